"""Forecasts stay as they were made, and are scored by measurements of a later date alone."""

import math

import pandas as pd
import pytest

from rholaw import tables
from rholaw.fidelity import atlas, forecasts
from rholaw.fidelity.sensitivity import fit_sensitivity

FIT = fit_sensitivity(pd.DataFrame({"format": ["q4_k", "q3_k"], "rise": [0.03, 0.15]}))
ABOUT = {
    **{"date": "2026-11-26", "model": "m", "n_params": 10**9, "method": "ggml", "metric": "kl", "reference": "bf16"},
    **{"corpus": "text", "context": 512, "engine": "llama.cpp", "basis": "two types", "law": "abc"},
}


def made(**changed):
    table = forecasts.made(FIT, ["nvfp4", "q4_0"], ABOUT | changed)
    return table.assign(sha256=forecasts.chain(table))


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A folder of tables with the series "2026-11"; returns what writes a changed table and a manifest that fits."""
    monkeypatch.setattr(tables, "DATA", tmp_path)
    (tmp_path / "forecasts").mkdir()
    columns = ", ".join(f'"{name}"' for name in forecasts.COLUMNS)
    about = 'title = "t"\nclass = "synthetic"\nsource = "s"\nlicence = "MIT"\ndate = "2026"\nrows = 0\nsha256 = "x"\n'

    def write(table):
        table.to_csv(tmp_path / "forecasts/2026-11.csv", index=False, columns=list(forecasts.COLUMNS))
        (tmp_path / "forecasts/2026-11.toml").write_text(f'{about}columns = [{columns}]\nunknown = ["u"]\n[units]\n')
        tables.update("forecasts/2026-11")

    write(made())
    return write


def test_a_forecast_is_what_the_law_says(stored):
    table = forecasts.load("2026-11")
    assert forecasts.names() == ["2026-11"] and list(table) == list(forecasts.COLUMNS)
    assert table.rise.to_numpy() == pytest.approx(FIT.predict(["nvfp4", "q4_0"]), rel=1e-3)
    assert table.low95[0] == pytest.approx(FIT.predict_interval("nvfp4", 0.95)[0][0], rel=1e-3)
    ends = table[["low95", "low80", "low50", "rise", "high50", "high80", "high95"]]
    assert (ends.diff(axis=1).iloc[:, 1:] > 0).all(axis=None)


@pytest.mark.parametrize(
    ("change", "row"),
    [
        (lambda table: table.assign(rise=[table.rise[0] * 1.01, table.rise[1]]), 1),
        (lambda table: table.assign(high80=[table.high80[0], 9.0]), 2),
        (lambda table: table.assign(date="2026-11-25"), 1),
        (lambda table: table[1:], 1),
        (lambda table: table[::-1], 1),
        (lambda table: pd.concat([table, table[1:]]), 3),
    ],
    ids=["median", "interval", "date", "removed", "reordered", "added"],
)
def test_a_row_that_was_altered_later_is_seen(stored, change, row):
    stored(change(made()))  # the manifest is made to fit
    with pytest.raises(ValueError, match=rf"forecasts/2026-11: row {row} \(m, .*altered, removed or added"):
        forecasts.load("2026-11")


def fact(**values):
    row = {
        "model": "m",
        "format": "nvfp4",
        "metric": "kl",
        "rise": 0.05,
        "source": "s",
        "date": "2026-12",
        "doubt": None,
    }
    return row | values


def test_scores_by_hand():
    table = made()
    low, high = table.low50[0], table.high80[0]
    facts = pd.DataFrame([fact(rise=low * 0.999), fact(rise=high * 1.001), fact(rise=table.rise[0], date="2027")])
    scored = forecasts.score(table, facts)
    assert scored.in50.tolist() == [False, False, True] and scored.in80.tolist() == [True, False, True]
    assert scored.in95.all() and scored.log_error[2] == 0
    assert scored.log_error[1] == pytest.approx(math.log(high * 1.001 / table.rise[0]))
    summary = forecasts.coverage(scored)
    assert summary.share.tolist() == pytest.approx([1 / 3, 2 / 3, 1]) and (summary.measurements == 3).all()
    assert summary.attrs["factor"] == pytest.approx(math.exp(sorted(abs(scored.log_error))[1]))


@pytest.mark.parametrize(
    "values",
    [
        {"date": "2026-11-26"},
        {"date": "2026-11"},
        {"date": "2026"},
        {"model": "other"},
        {"format": "q4_k"},
        {"metric": "ppl"},
        {"doubt": "other text"},
        {"rise": math.nan},
    ],
)
def test_what_decides_nothing_does_not_count(values):
    scored = forecasts.score(made(), pd.DataFrame([fact(**values)]))
    assert scored.empty and {"measured", "log_error", "in80"} <= set(scored)
    assert forecasts.coverage(scored).share.isna().all()


@pytest.mark.parametrize("name", forecasts.names())
def test_the_forecasts_that_are_shipped_are_untouched_and_ahead_of_the_facts(name):
    table = forecasts.load(name)
    assert len(table) >= 30 and not table.duplicated(["model", "format", "metric"]).any()
    known = atlas.load()[["model", "format", "metric", "date"]].merge(table, on=["model", "format", "metric"])
    assert (known.date_x.astype(str) > known.date_y.astype(str)).all()
