"""The tables in data/ agree with their manifests, and one that does not is refused with a way out."""

import dataclasses
import math
import re
from pathlib import Path

import pytest
from full_disk import small_files

from rholaw import tables
from rholaw.__main__ import main
from rholaw.commands.data import data as command

NAME = "published/panferov2025_models"


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path.name}: the test would spoil nothing"
    path.write_text(text.replace(old, new, 1), encoding="utf-8", newline="\n")


def set_line(path, key, value):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith(f"{key} = ") for line in lines) == 1
    changed = [f"{key} = {value}" if line.startswith(f"{key} = ") else line for line in lines]
    path.write_text("\n".join(changed) + "\n", encoding="utf-8", newline="\n")


# ---- the tables as they are


@pytest.mark.parametrize("name", tables.names())
def test_every_table_agrees_with_its_manifest(name):
    frame, about = tables.read(name), tables.manifest(name)
    assert tuple(frame.columns) == about.columns
    assert len(frame) == about.rows > 0
    assert about.kind in tables.CLASSES
    record = {"table": name, "class": about.kind, "source": about.source, "licence": about.licence}
    assert frame.attrs["provenance"] == [record]
    raw = (tables.DATA / f"{name}.csv").read_bytes()
    assert b"\r" not in raw
    assert raw.endswith(b"\n")
    assert raw.isascii()


def test_the_tables_of_the_paper_are_there():
    panferov = {f"published/panferov2025_{part}" for part in ("capacities", "constants", "forms", "models")}
    others = {"published/chinchilla_constants", "published/quest2025_constants", "runs/quest2025"}
    assert panferov | others <= set(tables.names())


def test_nothing_but_tables_and_manifests_lies_in_data_and_a_model():
    others = {path.relative_to(tables.DATA) for path in tables.DATA.rglob("*") if path.is_file()}
    others = {path for path in others if path.suffix not in (".csv", ".toml")}
    model = {"README.md", "config.json", "model.safetensors", "tokenizer.json"}
    assert others <= {Path(".gitattributes"), *(Path("models/shakespeare-1m", name) for name in model)}


def test_capacity_matrices():
    cells = tables.read("published/panferov2025_capacities")
    assert cells.groupby("figure").size().to_dict() == {"2b": 25, "6": 25, "7": 20, "9": 50}
    axes = ["figure", "weight_bits", "weight_sparsity", "activation_bits", "activation_sparsity"]
    assert not cells.duplicated(axes).any()
    by = cells.set_index(axes)
    assert by.loc[("6", 4, 0, 4, 0), "rho"] == 0.85
    assert by.loc[("2b", 16, 0.2, 16, 0), "rho"] == 0.84
    assert by.loc[("9", 16, 0.2, 16, 0), "rho"] == 0.89
    assert by.loc[("7", 3, 0.75, 16, 0), ["rho", "rho_pm", "rho_product"]].tolist() == [0.35, 0.05, 0.37]
    assert (cells["rho_pm"].notna() == (cells["figure"] == "7")).all()


def test_printed_products_are_products_of_the_printed_margins():
    """An error in any margin shows: rows and columns of a matrix are held against each other, to the print's digits."""
    cells = tables.read("published/panferov2025_capacities")
    plain = {"weight_bits": 16, "weight_sparsity": 0, "activation_bits": 16, "activation_sparsity": 0}
    for figure, matrix in cells.groupby("figure"):
        one, other = (axis for axis in plain if matrix[axis].nunique() > 1)
        first = matrix[matrix[other] == plain[other]].set_index(one)["rho"]
        second = matrix[matrix[one] == plain[one]].set_index(other)["rho"]
        product = matrix[one].map(first) * matrix[other].map(second)
        assert (product - matrix["rho_product"]).abs().max() <= 0.0101, f"Figure {figure}"


def test_off_margin_cells_mostly_exceed_the_product():
    cells = tables.read("published/panferov2025_capacities")
    plain = {"weight_bits": 16, "weight_sparsity": 0, "activation_bits": 16, "activation_sparsity": 0}
    inner = cells[sum((cells[axis] != value).astype(int) for axis, value in plain.items()) == 2]
    gap = inner["rho"] - inner["rho_product"]
    assert (len(inner), (gap > 0.005).sum(), (gap < -0.005).sum()) == (80, 57, 6)


def test_printed_constants():
    law = tables.read("published/panferov2025_constants").set_index(["architecture", "corpus", "parameter"])
    assert law.loc[("llama", "c4", "F")].tolist() == [0.41, 0.02]
    assert law.loc[("olmo2", "climbmix", "E")].tolist() == [1.4, 0.3]
    dense = tables.read("published/chinchilla_constants").set_index(["fit", "parameter"])
    printed = dense.loc["hoffmann2022-print", "value"].to_dict()
    assert printed == {"A": 406.4, "alpha": 0.34, "B": 410.7, "beta": 0.28, "E": 1.69}
    refit = dense.loc["besiroglu2024-paper"]
    inside = refit.dropna()
    assert len(inside) == 5
    assert ((inside["low"] < inside["value"]) & (inside["value"] < inside["high"])).all()
    share = refit.loc["beta", "value"] / (refit.loc["alpha", "value"] + refit.loc["beta", "value"])
    assert math.isclose(share, refit.loc["a", "value"], abs_tol=1e-4)


def test_printed_fit_errors():
    forms = tables.read("published/panferov2025_forms")
    assert forms.groupby("table").size().to_dict() == {1: 6, 3: 4}
    by = forms.set_index(["table", "name", "fitted_to"])["error"]
    assert by[(1, "unified", "sparsity")] == 4.7e-4
    assert by[(1, "unified", "quantization")] == 2.1e-3
    printed = forms[forms["table"] == 3].set_index("name")["error"].to_dict()
    assert printed == {"decoupled": 4.2e-4, "tanh": 4.7e-4, "logistic": 4.9e-4, "logistic-bounded": 1.1e-3}


def test_quest_prints_its_notebook_to_two_digits_but_twice():
    values = tables.read("published/quest2025_constants")
    table = values[(values["quantity"] == "efficiency") & (values["estimator"] == "quest")]
    pairs = table.pivot(index=["weights", "activations"], columns="origin", values="value").dropna()
    off = pairs[(pairs["paper"] - pairs["notebook"]).abs() > 0.005]
    assert len(pairs) == 5
    assert off.index.tolist() == [("int2", "int2"), ("int4", "int4")]
    assert off.to_dict("list") == {"notebook": [0.1519, 0.6918], "paper": [0.16, 0.7]}


def test_model_shapes_give_the_parameter_counts_of_the_runs():
    """Llama without embeddings: four attention and three feed-forward matrices, two norms a layer, one at the end."""
    counts = set(tables.read("runs/quest2025")["n_params"])
    for shape in tables.read("published/panferov2025_models").itertuples():
        hidden = math.ceil(8 * shape.width / 3 / 256) * 256
        matrices = shape.n_layers * (4 * shape.width**2 + 3 * shape.width * hidden)
        assert matrices + (2 * shape.n_layers + 1) * shape.width in counts, shape.model


# ---- what the reader makes of a table


def test_cells_become_the_first_type_that_fits_the_column():
    for cells, values in {
        ("true", "false"): [True, False],
        ("1", "2"): [1, 2],
        ("2b", "none"): ["2b", "none"],
        ("a", ""): ["a", None],
        ("3.2071399688720703", "7.5e-05"): [3.2071399688720703, 7.5e-05],
    }.items():
        typed = tables._typed(cells)
        assert typed == values
        assert [type(one) for one in typed] == [type(one) for one in values]
    one, missing = tables._typed(("1", ""))
    assert (one, math.isnan(missing)) == (1.0, True)


def test_provenance_survives_filtering():
    frame = tables.read(NAME)
    assert frame[frame["width"] > 700].query("n_layers > 7").assign(x=1).attrs == frame.attrs != {}


def test_a_manifest_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        tables.manifest(NAME).rows = 3


# ---- what is refused


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("30M,640", "30M,641", "sha256"),
        ("\n200M,1280,10,10,0.0003", "", "3 rows, the manifest says 4"),
        ("n_layers", "layers", "columns are model, width, layers,"),
        ("width,n_layers", "n_layers,width", "the manifest lists model, width, n_layers"),
        ("200M,1280,10,10,0.0003", "200M,1280,10,10", "record 5 does not have 5 cells"),
        ("\n50M", "\r\n50M", "sha256"),
    ],
)
def test_a_changed_table_is_refused_with_the_way_out(data, old, new, says):
    edit(data / f"{NAME}.csv", old, new)
    with pytest.raises(ValueError, match=says) as refusal:
        tables.read(NAME)
    for part in (f"table {NAME}", f"git checkout data/{NAME}.csv", f"python -m rholaw update {NAME}"):
        assert part in str(refusal.value)


def test_any_flipped_byte_is_refused(data):
    path = data / f"{NAME}.csv"
    raw = path.read_bytes()
    for place in range(len(raw)):
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        with pytest.raises(ValueError, match="does not match its manifest"):
            tables.read(NAME)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="does not match its manifest"):
        tables.read(NAME)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("class", '"real"', "must be one of published, measured, synthetic"),
        ("rows", "5", "4 rows, the manifest says 5"),
        ("rows", '"4"', "rows must be a whole number"),
        ("rows", "true", "rows must be a whole number"),
        ("licence", '""', "licence must be text with content"),
        ("sha256", '"0000"', "sha256"),
        ("columns", '["model", "width"]', "columns are model, width, n_layers, .* the manifest lists model, width"),
        ("width", '"metres"\ndepth = "metres"', "units for columns that it does not list: depth"),
        ("title", '"half', "is not TOML"),
        ("date", '"2025"\nauthor = "nobody"', "missing or unknown keys: author"),
    ],
)
def test_a_wrong_manifest_is_refused(data, key, value, says):
    set_line(data / f"{NAME}.toml", key, value)
    with pytest.raises(ValueError, match=says):
        tables.read(NAME)


def test_a_table_without_rows_is_refused(data):
    (data / f"{NAME}.csv").write_text("model,width,n_layers,n_heads,lr\n", encoding="utf-8")
    with pytest.raises(ValueError, match="it has 0 rows"):
        tables.update(NAME)
    set_line(data / f"{NAME}.toml", "rows", "0")
    with pytest.raises(ValueError, match="it has 0 rows"):
        tables.read(NAME)


def test_silence_about_what_is_unknown_is_refused(data):
    path = data / f"{NAME}.toml"
    before, rest = path.read_text(encoding="utf-8").split("unknown = [")
    path.write_text(before + "unknown = []\n[units]" + rest.split("[units]")[1], encoding="utf-8")
    with pytest.raises(ValueError, match="unknown must be a list with content"):
        tables.read(NAME)


def test_a_long_manifest_is_refused(data):
    path = data / f"{NAME}.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(lines + ["#"] * (20 - len(lines))), encoding="utf-8")
    assert tables.manifest(NAME).rows == 4
    path.write_text("\n".join(lines + ["#"] * (21 - len(lines))), encoding="utf-8")
    with pytest.raises(ValueError, match="21 lines, at most 20"):
        tables.manifest(NAME)


@pytest.mark.parametrize("ending", [".csv", ".toml"])
def test_half_a_table_is_listed_and_refused(data, ending, capsys):
    (data / f"{NAME}{ending}").unlink()
    assert NAME in tables.names()
    with pytest.raises(ValueError, match=f"no file data/{NAME}{ending}"):
        tables.read(NAME)
    assert command(["check"]) == 1
    assert f"refused  table {NAME} has no file" in capsys.readouterr().err


def test_an_unknown_table_is_refused_with_the_names_that_exist(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"data/runs/nobody: there is no such table; there are codebooks/iq1"):
        tables.read("runs/nobody")
    monkeypatch.setattr(tables, "DATA", tmp_path / "nowhere")
    with pytest.raises(ValueError, match="install it again"):
        tables.names()


# ---- check and update


def test_check_passes_here(capsys):
    assert command(["check"]) == 0
    assert "runs/quest2025: published, 104 rows" in capsys.readouterr().out


def test_update_records_a_meant_change_and_nothing_else(data, capsys):
    table, about = data / f"{NAME}.csv", data / f"{NAME}.toml"
    before = about.read_text(encoding="utf-8").splitlines()
    with table.open("a", encoding="utf-8", newline="\n") as file:
        file.write("430M,1664,13,13,0.00015\n")
    assert command(["check"]) == 1
    assert "5 rows, the manifest says 4" in capsys.readouterr().err
    assert command(["update", NAME]) == 0
    after = about.read_text(encoding="utf-8").splitlines()
    changed = [new.split(" = ")[0] for old, new in zip(before, after, strict=True) if old != new]
    assert changed == ["rows", "sha256"]
    assert len(tables.read(NAME)) == 5
    assert not list(data.rglob("*.draft"))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda raw: raw[:-1], "its last line has no end, and may be cut short"),
        (lambda raw: raw[:-4], "its last line has no end"),
        (lambda raw: raw.replace(b"30M", b"30\xe9"), "its line 2 is not UTF-8"),
        (lambda raw: raw.replace(b"30M", b'"30M'), "unexpected end of data"),
        (lambda raw: raw.replace(b"30M", b"3" * 200_000), "field larger than field limit"),
        (lambda raw: raw + b"x\n", "record 6 does not have 5 cells"),
        (lambda raw: b"", "its columns are , the manifest lists model"),
    ],
)
def test_update_does_not_bless_a_damaged_table(data, damage, says, capsys):
    path = data / f"{NAME}.csv"
    path.write_bytes(damage(path.read_bytes()))
    before = (data / f"{NAME}.toml").read_bytes()
    for asked in (["update", NAME], ["check"]):
        assert command(asked) == 1
        said = capsys.readouterr().err
        assert says in said and len(said) < 700
    assert (data / f"{NAME}.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('columns = [["model"]]', "columns must be a list of texts, each once"),
        ('columns = ["model", "model"]', "columns must be a list of texts, each once"),
        (f"columns = {'[' * 900}", "brackets are nested too deeply"),
        ("columns = 9" + "9" * 1900, "columns must be a list, not 99"),
        ("columns = 9" + "9" * 2900, "line 6 has more than 2000 characters"),
        ('columns = "\xe9"', "the text is not UTF-8 in line 6"),
    ],
)
def test_a_manifest_of_another_form_is_refused_in_a_sentence(data, line, says):
    path = data / f"{NAME}.toml"
    path.write_bytes(re.sub(rb"(?m)^columns = .*$", lambda _: line.encode("latin-1"), path.read_bytes()))
    with pytest.raises(ValueError, match=says) as error:
        tables.update(NAME)
    assert NAME in str(error.value) and len(str(error.value)) < 500


def test_a_table_that_cannot_be_recorded_is_told_by_name(data, capsys):
    path = data / f"{NAME}.csv"
    path.write_bytes(path.read_bytes() + b"430M,1664,13,13,0.00015\n")
    with small_files(10):
        assert main(["data", "update", NAME]) == 2
    assert f"{data / NAME}.toml: File too large" in capsys.readouterr().err
    assert main(["data", "update", NAME]) == 0


def test_update_does_not_bless_other_columns(data, capsys):
    edit(data / f"{NAME}.csv", "n_layers", "layers")
    before = (data / f"{NAME}.toml").read_bytes()
    assert command(["update", NAME]) == 1
    assert "by hand" in capsys.readouterr().err
    assert (data / f"{NAME}.toml").read_bytes() == before
