"""`rholaw data predict`: runs of one's own against frozen laws, for people and programs; and what it refuses."""

import csv
import io
import json
import math
import re

import pandas as pd
import pytest

import rholaw as rl
from rholaw import __main__ as command
from rholaw.laws import offered

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
    few = "too few runs for sizes, too few pairs for order"
    assert any(line.startswith("unified ") and line.endswith(few) for line in lines)
    assert any(line.endswith("says nothing of these formats") for line in lines)
    assert "frozen2026: unified 5171" in lines[-1]


def test_a_run_whose_dense_loss_nobody_knows_is_predicted_all_the_same(ask):
    code, out, _ = ask([HEADER, ROWS[1]], "--law", "unified")
    _, one, _, _, told, *_ = out.splitlines()
    assert code == 0 and one.split()[:6] == ["unified", "2", "100000000", "10000000000", "int4", "dense"]
    assert len(one.split()) == 9 and told.endswith("nothing to compare with")  # neither extra nor inside
    assert "1 of 1 runs have no dense run of the same n_params, n_tokens: give it, or its dense_loss" in out


def test_a_loss_is_said_to_be_taken_as_nats_where_nobody_said_what_it_is(ask):
    taken = "losses were taken as nats per token, since no --unit was given"
    assert taken in ask([HEADER, *ROWS], "--verdicts")[1]
    assert taken not in ask([HEADER, *ROWS], "--verdicts", "--unit", "nats")[1]


def changed(runs, **factors):
    """Runs with columns multiplied."""
    return runs.assign(**{name: runs[name] * factor for name, factor in factors.items()})


def test_no_series_but_that_of_images_raises_a_doubt_about_its_numbers():
    told = {name: offered.doubts(rl.runs.load(name)) for name in rl.runs.series()}
    (doubt,) = told.pop("frantar2023_vit")
    assert "if they are bits per token, give --unit bits" in doubt
    assert not any(told.values())


@pytest.mark.parametrize(
    ("factors", "hint"),
    [
        ({"loss": 1 / math.log(2)}, "if they are bits per token, give --unit bits"),
        ({"n_params": 1e-3}, "was n_params counted in thousands?"),
        ({"n_tokens": 1e-3}, "n_tokens are all tokens of the training, written out"),
    ],
)
@pytest.mark.parametrize("series", ["quest2025", "quartet2025", "sparse2606"])
def test_numbers_that_were_counted_otherwise_raise_a_doubt(series, factors, hint):
    runs = changed(rl.runs.load(series), **factors)
    assert any(hint in doubt for doubt in offered.doubts(runs))
    if "loss" in factors:
        assert not offered.doubts(runs, "bits")


def test_large_models_counted_in_millions_raise_a_doubt(ask):
    lines = ["1200,2e6,dense,dense,2.35", "1200,2e6,int4,dense,2.38"]
    code, out, _ = ask([HEADER, *lines], "--verdicts")
    assert code == 0 and "line 2: 1.2e+03 parameters that saw 2e+06 tokens reach 2.35 nats per token; was n_pa" in out


def test_bits_per_byte_of_a_model_that_is_not_small_are_refused(ask):
    lines = ["1.2e8,6.5e9,dense,dense,1.55", "1.2e8,6.5e9,int1,dense,1.6"]
    code, _, error = ask([HEADER, *lines])
    assert code == 2 and "line 2: a loss of 1.55 is hardly nats per token; say what it is by --unit" in error
    assert ask([HEADER, *lines], "--unit", "nats", "--verdicts")[0] == 0
    assert ask([HEADER, *(line.replace("1.2e8", "1.2e6") for line in lines)], "--verdicts")[0] == 0  # may be letters


@pytest.mark.parametrize(
    "other",
    [
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace(",", ", "),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace(HEADER, HEADER.upper()),
        lambda text: text.replace("dense", "BF16").replace("int4", "INT4"),
        lambda text: text + "\n,,,,\n",
        lambda text: "".join(f"{line},\n" for line in text.splitlines()),
        lambda text: "".join(f"{place or 'index'},{line}\n" for place, line in enumerate(text.splitlines())),
    ],
)
def test_a_table_is_read_as_spreadsheets_and_others_write_it(other, tmp_path):
    files = {tmp_path / "plain.csv": "\n".join([HEADER, *ROWS]) + "\n"}
    files[tmp_path / "other.csv"] = other(*files.values())
    for file, text in files.items():
        file.write_bytes(text.encode())
    plain, read = map(offered.read, files)
    pd.testing.assert_frame_equal(read[plain.columns], plain)
    assert list(plain.index) == [2, 3, 4] and plain.weights.tolist() == ["dense", "int4", "int2"]


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("", "write dense for what is not compressed"),
        ("W4A16", "'W4A16': it says both"),
        ("1.58-bit", "write ternary, or bitnet_b158"),
        ("50%", "write the share, as s0.5 for 50%"),
        ("4-bit", "say how the bits are used: int4 has no zero level"),
        ("2", "say how the bits are used"),
        ("FP4", "write e2m1 with one scale a tensor"),
        ("fp8", "write fp8_row or fp8_tensor"),
        ("GPTQ", "is a method: write the format that it rounds to"),
        ("GPTQ-4bit", "is a method: write the format that it rounds to"),
        ("W4", "say how the bits are used"),
        ("4.0", "say how the bits are used"),
        ("Q4_K_M", "several types: write that of most weights"),
        ("0.5", "write the share, as s0.5"),
        ("BitNet b1.58", "write ternary, or bitnet_b158"),
        ("fp8 e4m3", "write fp8_row or fp8_tensor"),
    ],
)
def test_a_format_as_people_call_it_is_told_as_the_grammar_has_it(ask, cell, hint):
    code, _, error = ask([HEADER, f"1e8,1e10,{cell},dense,3"])
    assert code == 2 and "line 2, weights: " in error and hint in error and "There are int1" not in error
    for name in re.findall(
        r"\b(?:s0\.5|q4_k|int4|sint4/g128|sint4|ternary|bitnet_b158|\w*fp[48]_\w+|e2m1|dense)\b", error
    ):
        rl.parse(name)


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
        (["n_params,n_tokens,weights,loss", "1e8,1e10,int4,3"], (), "where none are compressed, write dense in it"),
        (["N,D,W,A,val_loss", ROWS[1]], (), "did you mean 'n' for n_params, 'd' for n_tokens, 'w' for weights"),
        ([HEADER.replace("loss", "ppl"), ROWS[1]], (), "a loss is the natural logarithm of a perplexity"),
        ([HEADER, "1e8,20B,int4,dense,3"], (), "line 2, n_tokens: '20B' is no number; write it as 20e9"),
        ([HEADER, '1e8,"20,000,000",int4,dense,3'], (), "write it as 20000000"),
        ([HEADER, "1e8,20,000,000,int4,dense,3"], (), "line 2: it does not have 5 cells; a number has a decimal point"),
        ([HEADER.replace(",", ";"), "1e8;1e10;int4;dense;3,15"], (), "write it with a point, 3.15"),
        ([HEADER, "1e8,1e10,int4,dense,3.1 nats"], (), "write the number alone, 3.1"),
        ([HEADER, "1e8,1e10,int4,dense,3%"], (), "'3%' is no number; write one such as 3.15"),
        ([HEADER, "1e300,1e10,int4,dense,3"], (), "line 2, n_params: 1e+300 is hardly a count"),
        ([HEADER + ",dense_loss", ROWS[1] + ",0.9"], (), "line 2: a loss of 0.9 is hardly nats per token"),
        (["PK\3\4\0", ""], (), "is no plain text, but packed, of Excel or UTF-16: save it as CSV"),
        (
            [HEADER, ROWS[0], "124M,1e10,int4,dense,3"],
            (),
            "line 3, n_params: '124M' is no number; write it as 124e6",
        ),
        ([HEADER, "-1e8,1e10,int4,dense,3"], (), "line 2, n_params: -1e+08 must be above 0"),
        (
            [HEADER, "1e8,0.75,int4,dense,3"],
            (),
            "line 2, n_tokens: 0.75 is hardly a count; write millions and billions out",
        ),
        ([HEADER, "124,1e10,int4,dense,3"], (), "line 2, n_params: 124 is hardly a count"),
        ([HEADER, "1e8,1e10,int4,dense,nan"], (), "line 2, loss: must be a finite number"),
        ([HEADER, "1e8,1e10,int4,dense,"], (), "line 2, loss: the cell is empty; leave the run out, or give its loss"),
        ([HEADER, "1e8,1e10,int4,dense"], (), "line 2: it does not have 5 cells"),
        ([HEADER, ROWS[1], ROWS[1]], (), "line 3: this run is there twice; a column such as seed"),
        ([HEADER, ROWS[0]], (), "all of these runs are dense"),
        ([HEADER, "1e8,1e10,int4,dense,23.1"], (), "of a perplexity take the natural logarithm"),
        ([HEADER, "7e9,1e12,dense,dense,5.68"], (), "dense model of this size has about 2.1; of a perplexity take"),
        ([HEADER, *ROWS, "100e6,1e10,int1,dense,10.82"], (), "line 5: a loss of 10.82 is hardly nats per token"),
        ([HEADER, "7000,1e12,int4,dense,2.1"], (), "line 2: 1.43e+08 tokens a parameter are hardly a training"),
        ([HEADER, "1e8,20000,int4,dense,3"], (), "line 2: 0.0002 tokens a parameter are hardly a training"),
        (
            [HEADER + ",status", ROWS[0] + ",ok", ROWS[1] + ",Diverged"],
            (),
            "line 3: its status is 'Diverged'; leave out",
        ),
        ([HEADER + ",n_active", "3e10,1e12,int4,dense,2.1,3e9"], (), "n_active is 3e+09; the frozen laws were fitted"),
        ([HEADER, "30B-A3B,1e12,int4,dense,2.1"], (), "the frozen laws say nothing of mixtures of experts"),
        ([HEADER + ",non_embedding_params", ROWS[1] + ",85e6"], (), "n_params is to be N without embeddings"),
        (
            [HEADER + ",dense_loss", ROWS[0] + ",", ROWS[1] + ",3.2"],
            (),
            "line 3: its dense_loss is 3.2, and the dense run",
        ),
        (
            [HEADER + ",dense_loss", ROWS[0] + ",2.9", ROWS[1] + ","],
            (),
            "line 2: its dense_loss is 2.9, and the dense run",
        ),
        ([HEADER + ",loss_stderr", ROWS[1] + ",0.5"], (), "line 2: a loss_stderr of 0.5 is more than 10% of the loss"),
        (
            [HEADER.replace(",", ";"), "100.000.000;1e10;int4;dense;3,1"],
            (),
            "n_params: '100.000.000' is no number; write it ",
        ),
        ([HEADER, "100 000 000,1e10,int4,dense,3"], (), "write it as 100000000"),
        ([HEADER.replace(",", ";"), "1,00E+08;1e10;int4;dense;3"], (), "write it with a point, 1.00E+08"),
        ([HEADER, "mean,,,,3.1"], (), "line 2, n_params: 'mean' is no number"),
        ([HEADER, *ROWS], ("--unit", "bits-per-byte"), "give --bytes-per-token"),
        ([HEADER, *ROWS], ("--bytes-per-token", 4), "give --unit bits-per-byte with it"),
        ([HEADER, *ROWS], ("--unit", "bit"), "did you mean one of bits, bits-per-byte?"),
        ([HEADER, *ROWS], ("--fit", "frozen2025"), "did you mean frozen2026?"),
        ([HEADER, *ROWS], ("--law", "unifed"), "did you mean unified"),
        ([HEADER, *ROWS], ("--level", 95), "95 must be at least 0.5 and at most 0.999"),
        ([HEADER] + ["1e8,1e10,int4,dense,3"] * 100_001, (), "100001 runs; at most 100000 are compared"),
    ],
)
def test_what_cannot_be_met_is_a_sentence(ask, lines, arguments, message):
    code, out, error = ask(lines, *arguments)
    assert (code, out) == (2, "") and message in error and error.count("\n") == 1


def test_columns_that_agree_with_the_others_are_no_matter(ask):
    """Statuses of what came to its end, an N that is that of n_params, and a dense loss to the digits printed."""
    plain = ask([HEADER, *ROWS], "--law", "unified", "--json")[1]
    header = HEADER + ",status,n_active,dense_loss"
    rows = [row + more for row, more in zip(ROWS, (",finished,1e8,3.1", ",,1e8,3.104", ",OK,,"), strict=True)]
    told = [json.loads(text) for text in (plain, ask([header, *rows], "--law", "unified", "--json")[1])]
    assert [row["predicted"] for row in told[0]] == [row["predicted"] for row in told[1]]
    assert told[1][0]["extra"] == pytest.approx(3.13 - 3.104) and told[1][1]["extra"] == told[0][1]["extra"]


def test_runs_below_their_dense_run_are_asked_about(ask):
    below = "2 of 2 runs ended below their dense run: is it named rightly, and as long?"
    assert below in ask([HEADER, ROWS[0].replace("3.10", "3.60"), *ROWS[1:]])[1]
    assert "below their dense run" not in ask([HEADER, *ROWS])[1]


def test_runs_of_another_context_are_not_of_one_model(ask):
    _, out, _ = ask([HEADER + ",seq_len", ROWS[0] + ",512", ROWS[1] + ",1024"], "--law", "unified")
    assert "1 of 1 runs have no dense run of the same seq_len, n_params, n_tokens" in out
