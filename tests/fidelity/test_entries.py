"""Measurements of one's own enter the atlas whole or not at all, and every error says its line and what is right."""

import contextlib
import csv
import re

import pandas as pd
import pytest
from fake_training import forked
from sampling import some

import rholaw as rl
from rholaw import tables
from rholaw.commands.data import data as command
from rholaw.fidelity import atlas, entries

GOOD = {
    **{"source": "mine", "model": "Own-1B", "family": "Own", "n_params": "1000000000", "format": "q4_k"},
    **{"given": "Q4_K pure", "bits": "4.5", "purity": "pure", "method": "ggml", "activations": "q8 in kernels"},
    **{"metric": "kl", "value": "0.031", "stderr": "0.0004", "reference": "bf16", "corpus": "WikiText-2 test"},
    **{"context": "512", "engine": "llama.cpp", "place": "own measurement", "licence": "MIT", "date": "2026-11-26"},
    "credit": "a reader",
}


def written(path, *rows, columns=atlas.COLUMNS):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_good_file_is_appended_and_recorded(data, tmp_path, capsys):
    before = (data / "fidelity/atlas.csv").read_bytes()
    other = GOOD | {"metric": "ppl", "value": "8.2", "base": "8.0", "stderr": ""}
    path = written(tmp_path / "mine.csv", GOOD, other, columns=sorted(atlas.COLUMNS))
    assert command(["add-fidelity", str(path)]) == 0
    assert "added    2 rows" in capsys.readouterr().out
    rows = rl.fidelity.load(source="mine")
    assert rows["rise"].tolist() == pytest.approx([0.031, 0.024692612590371522])
    assert (data / "fidelity/atlas.csv").read_bytes().startswith(before)
    assert command(["check"]) == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": ""}, "line 2: model is empty"),
        ({"metric": "kld"}, "line 2: metric kld: there is no such metric; did you mean kl"),
        ({"method": "gtpq"}, "line 2: method gtpq: there is no such method; did you mean gptq"),
        ({"purity": "clean"}, "there are pure, mostly, mixed, unknown"),
        ({"activations": "int8"}, "activations int8: there is no such activations"),
        ({"format": "q4_kk"}, "line 2: format 'q4_kk'.* leave it empty where the grammar cannot say it"),
        ({"date": "26.11.2026"}, "2026, 2026-08 or 2026-08-31"),
        ({"value": "a lot"}, "value 'a lot' must be a number from 0"),
        ({"value": "-0.1"}, "value '-0.1' must be a number from 0"),
        ({"value": "nan"}, "value 'nan' must be a number"),
        ({"value": "404"}, "0 or 404 is how programmes write that it is missing"),
        ({"value": "0"}, "0 or 404"),
        ({"value": "35"}, "a rise of 35 nats per token cannot be"),
        ({"n_params": "1.5"}, "n_params '1.5' must be a whole number"),
        ({"n_active": "2000000000"}, "n_active 2000000000 is more than n_params 1000000000"),
        ({"context": "512.5"}, "context '512.5' must be a whole number"),
        ({"bits": "8.5"}, "bits 8.5, but q4_k has 4.5"),
        ({"base": "7"}, "base must be empty for a divergence"),
        ({"metric": "ppl", "value": "8.2"}, "base, the value of the reference, is missing"),
        ({"metric": "ppl", "value": "0.9", "base": "0.8"}, "a perplexity is 1 or more"),
        ({"metric": "ppl", "value": "8", "base": "9"}, "a rise of -0.118 nats per token cannot be"),
        ({"metric": "task", "value": "0.6", "base": "61"}, "one seems a share, the other per cent"),
        ({"model": "Llama-3-8B", "family": "Llama-3"}, "n_params 1000000000: Llama-3-8B has 8030261248"),
        ({"model": "Llama-3-8B", "n_params": "8030261248"}, "family Own: Llama-3-8B is of Llama-3"),
    ],
)
def test_a_wrong_row_is_told_with_what_would_be_right(changes, says):
    row = dict.fromkeys(atlas.COLUMNS, "") | GOOD
    assert entries.check(pd.DataFrame([row])) == []
    (problem, *_) = entries.check(pd.DataFrame([row | changes]))
    assert re.search(says, problem), problem


def test_all_problems_are_told_at_once_and_nothing_is_written(data, tmp_path):
    before = (data / "fidelity/atlas.csv").read_bytes()
    path = written(tmp_path / "mine.csv", GOOD | {"metric": "kld", "date": "soon"}, GOOD, GOOD | {"value": "x"})
    with pytest.raises(ValueError, match="is not added") as refusal:
        entries.add(path)
    lines = str(refusal.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == ["line 2", "line 2", "line 4"]
    assert (data / "fidelity/atlas.csv").read_bytes() == before


def test_a_measurement_enters_once(data, tmp_path):
    path = written(tmp_path / "mine.csv", GOOD, GOOD | {"value": "0.032"})
    with pytest.raises(ValueError, match="line 3: there already, in line 2: source, model"):
        entries.add(path)
    path = written(tmp_path / "mine.csv", GOOD)
    assert entries.add(path) == 1
    with pytest.raises(ValueError, match="line 2: there already, in the atlas"):
        entries.add(path)


def test_another_reference_of_the_same_place_is_refused(data, tmp_path):
    row = GOOD | {"metric": "ppl", "value": "8.2", "base": "8.0", "stderr": ""}
    entries.add(written(tmp_path / "mine.csv", row))
    other = row | {"given": "Q2_K", "format": "q2_k", "bits": "", "base": "7.5"}
    path = written(tmp_path / "mine.csv", other)
    with pytest.raises(ValueError, match=r"base 7\.5: the same source has 8 for this model"):
        entries.add(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("\n", "it lacks the columns source"),
        ("source,model\n", "it lacks the columns family"),
        ("sauce\n", "sauce: there is no such column of the atlas; did you mean source"),
        (",".join([*atlas.COLUMNS, "source"]) + "\n", "a column is there twice"),
        (",".join(atlas.COLUMNS) + "\n", "there is no row"),
        (",".join(atlas.COLUMNS) + "\nmine,x\n", "line 2: it does not have 26 cells"),
        (",".join(atlas.COLUMNS) + "\n\nm\u00fc\n", "line 3: tables are plain ASCII"),
        (",".join(atlas.COLUMNS) + "\nmine,x", "its last line has no end, and may be cut short"),
        (",".join(atlas.COLUMNS) + '\nmine,"x\n', "unexpected end of data"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, content, says):
    path = tmp_path / "mine.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=says):
        entries.add(path)


def test_an_addition_that_was_killed_before_its_manifest_is_finished_by_the_same_call(data, tmp_path, monkeypatch):
    path, table = written(tmp_path / "mine.csv", GOOD), data / "fidelity/atlas.csv"
    before = len(atlas.load())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tables, "update", lambda name: (_ for _ in ()).throw(KeyboardInterrupt))
        entries.add(path)
    after = table.read_bytes()
    other = written(tmp_path / "other.csv", GOOD | {"model": "Other-1B"})
    with pytest.raises(ValueError, match="does not match its manifest"):
        entries.add(other)
    assert entries.add(path) == 1
    assert table.read_bytes() == after and len(atlas.load()) == before + 1
    with pytest.raises(ValueError, match="there already, in the atlas"):
        entries.add(path)
    assert entries.add(other) == 1


def test_of_two_who_add_at_once_both_have_added(data, tmp_path):
    before = len(atlas.load())
    paths = [written(tmp_path / f"{name}.csv", GOOD | {"model": name}) for name in ("Own-1B", "Other-1B", "Third-1B")]
    with contextlib.ExitStack() as started:
        for process in [started.enter_context(forked(entries.add, path)) for path in paths]:
            process.join()
            assert process.exitcode == 0
    assert len(atlas.load()) == before + 3
    assert sorted(path.name for path in (data / "fidelity").glob("atlas*")) == ["atlas.csv", "atlas.toml"]


@pytest.mark.slow
def test_the_rows_of_the_atlas_pass_too():
    """All but that they are there already, and dates that are a span of years."""
    rows = atlas.load()[list(atlas.COLUMNS)]
    for name in ("n_params", "n_active", "n_tokens", "context"):
        rows[name] = rows[name].map("{:.0f}".format).replace("nan", "")
    rows = rows.astype(object).where(rows.notna(), "").astype(str).assign(date="2026")
    chosen = rows.loc[some(rows.index, 60)]
    assert [problem for problem in entries.check(chosen) if "there already, in the atlas" not in problem] == []
    assert len(entries.check(chosen)) == len(chosen)
