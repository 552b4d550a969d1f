"""`rholaw data predict`: runs of one's own against frozen laws, for people and programs; and what it refuses."""

import csv
import io
import json
import math

import pytest

from rholaw import __main__ as command

HEADER = "n_params,n_tokens,weights,activations,loss"
ROWS = ("100e6,1e10,dense,dense,3.10", "100e6,1e10,int4,dense,3.13", "100e6,1e10,Int2,dense,3.26")


@pytest.fixture
def ask(capsys, tmp_path):
    """(exit code, stdout, stderr) of `rholaw data predict` on the lines of a CSV."""

    def asked(lines, *arguments):
        file = tmp_path / "runs.csv"
        file.write_text("\n".join(lines) + "\n")
        code = command.main(["data", "predict", str(file), *map(str, arguments)])
        return code, *capsys.readouterr()

    return asked


def test_runs_get_predictions_and_every_law_a_verdict(ask):
    code, out, _ = ask([HEADER, *ROWS], "--fit", "frozen2026")
    lines = out.splitlines()
    assert code == 0 and lines[0].split()[:3] == ["law", "line", "n_params"]
    assert any(line.startswith("unified ") and line.endswith("True") for line in lines)
    assert any(line.startswith("unified ") and line.endswith("sizes hold, order holds") for line in lines)
    assert any(line.endswith("says nothing of these formats") for line in lines)
    assert "frozen2026: unified 5171" in lines[-1]


def test_a_run_whose_dense_loss_nobody_knows_is_predicted_all_the_same(ask):
    code, out, _ = ask([HEADER, ROWS[1]], "--law", "unified")
    _, one, _, _, told, *_ = out.splitlines()
    assert code == 0 and one.split()[:6] == ["unified", "2", "100000000", "10000000000", "int4", "dense"]
    assert len(one.split()) == 9 and told.endswith("nothing to compare with")  # neither extra nor inside


def test_rows_for_programs(ask):
    code, out, _ = ask([HEADER, *ROWS], "--law", "unified", "--json")
    rows = json.loads(out)
    assert code == 0 and [row["weights"] for row in rows] == ["int4", "int2"] and rows[0]["row"] == 3
    assert all(row["low"] < row["predicted"] < row["high"] for row in rows)
    code, out, _ = ask([HEADER, *ROWS], "--verdicts", "--csv")
    verdicts = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and len(verdicts) >= 9 and {"law", "coverage", "right", "verdict"} <= verdicts[0].keys()


def test_losses_in_other_units_are_turned_into_nats(ask):
    options = ("--law", "unified", "--json")
    plain = [row["extra"] for row in json.loads(ask([HEADER, *ROWS], *options)[1])]
    bits = [HEADER, *(f"{row.rpartition(',')[0]},{float(row.split(',')[-1]) / math.log(2)}" for row in ROWS)]
    told = json.loads(ask(bits, "--unit", "bits", *options)[1])
    assert [row["extra"] for row in told] == pytest.approx(plain)
    per_byte = [HEADER, *(f"{row.rpartition(',')[0]},{float(row.split(',')[-1]) / math.log(2) / 4}" for row in ROWS)]
    told = json.loads(ask(per_byte, "--unit", "bits-per-byte", "--bytes-per-token", 4, *options)[1])
    assert [row["extra"] for row in told] == pytest.approx(plain)
    code, _, error = ask(per_byte, *options)
    assert code == 2 and "hardly nats per token; say what it is by --unit bits-per-byte" in error


@pytest.mark.parametrize(
    ("lines", "arguments", "message"),
    [
        ([HEADER], (), "has columns but no run"),
        ([""], (), "lacks the columns n_params, n_tokens, weights, activations, loss"),
        (["n_param,n_tokens,weights,activations,loss", ROWS[1]], (), "lacks the columns n_params; did you mean"),
        (["n_params,n_tokens,weights,activations,bpb", ROWS[1]], (), "name them loss, and give --unit bits-per-byte"),
        ([HEADER + ",loss", ROWS[1] + ",3"], (), "the column 'loss' is there more than once"),
        (
            [HEADER, "1e8,1e10,nvfp5,dense,3"],
            (),
            "line 2, weights: format 'nvfp5': 'nvfp5' is no element. Did you mean",
        ),
        ([HEADER, "1e8,1e10,int4,bf16,3"], (), "line 2, activations: write dense for what is not compressed"),
        (
            [HEADER, ROWS[0], "124M,1e10,int4,dense,3"],
            (),
            "line 3, n_params: '124M' is no number; write it as 124000000",
        ),
        ([HEADER, "-1e8,1e10,int4,dense,3"], (), "line 2, n_params: -1e+08 must be above 0"),
        (
            [HEADER, "1e8,0.75,int4,dense,3"],
            (),
            "line 2, n_tokens: 0.75 is hardly a count; write millions and billions out",
        ),
        ([HEADER, "124,1e10,int4,dense,3"], (), "line 2, n_params: 124 is hardly a count"),
        ([HEADER, "1e8,1e10,int4,dense,nan"], (), "line 2, loss: must be a finite number"),
        ([HEADER, "1e8,1e10,int4,dense,"], (), "line 2, loss: '' is no number"),
        ([HEADER, "1e8,1e10,int4,dense"], (), "line 2: it does not have 5 cells"),
        ([HEADER, ROWS[1], ROWS[1]], (), "line 3: this run is there twice; a column such as seed"),
        ([HEADER, ROWS[0]], (), "all of these runs are dense"),
        ([HEADER, "1e8,1e10,int4,dense,23.1"], (), "of a perplexity take the natural logarithm"),
        ([HEADER, *ROWS], ("--unit", "bits-per-byte"), "give --bytes-per-token"),
        ([HEADER, *ROWS], ("--bytes-per-token", 4), "give --unit bits-per-byte with it"),
        ([HEADER, *ROWS], ("--unit", "bit"), "did you mean one of bits, bits-per-byte?"),
        ([HEADER, *ROWS], ("--fit", "frozen2025"), "did you mean frozen2026?"),
        ([HEADER, *ROWS], ("--law", "unifed"), "did you mean unified"),
        ([HEADER, *ROWS], ("--level", 95), "95 must be at least 0.5 and at most 0.999"),
        ([HEADER] + [f"1e8,1e10,int4,dense,{3 + i / 1e4}" for i in range(5001)], (), "at most 5000 are compared"),
    ],
)
def test_what_cannot_be_met_is_a_sentence(ask, lines, arguments, message):
    code, out, error = ask(lines, *arguments)
    assert (code, out) == (2, "") and message in error and error.count("\n") == 1
