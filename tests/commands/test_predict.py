"""`rholaw predict`: from a log of two types to a table of all formats; from numbers; and what it refuses."""

import json

import pytest
from perplexity_logs import divergence, loaded, perplexity

from rholaw import __main__ as command


@pytest.fixture
def ask(capsys):
    """(exit code, stdout, stderr) of `rholaw predict`."""

    def asked(*arguments):
        code = command.main(["predict", *map(str, arguments)])
        return (code, *capsys.readouterr())

    return asked


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "my.log"
    path.write_text(loaded("q8_0") + divergence("0.0014") + loaded("q3_k_s") + divergence("0.2282") + loaded("q2_k"))
    return path


def test_a_log_of_two_types_predicts_all_formats(ask, log):
    code, out, _ = ask(log)
    lines = out.splitlines()
    assert code == 0 and len(lines) > 120
    assert lines[0].split() == ["format", "bits", "rise", "low", "high", "measured", "basis", "doubt"]
    nvfp4 = next(line.split() for line in lines if line.startswith("nvfp4 "))
    assert float(nvfp4[3]) < float(nvfp4[2]) < float(nvfp4[4]) and nvfp4[5] == "exact"
    assert any(line.startswith("κ = ") and line.endswith("(converged)") for line in lines)
    assert any(line.startswith("my.log, line") and "q3_k_s: 0.2282 nats" in line for line in lines)
    assert any(line.startswith("left out: my.log") and "q2_k: no result" in line for line in lines)


def test_runs_may_lie_in_several_logs(ask, tmp_path):
    for name, ppl in (("f16", 6.2332), ("q4_k_m", 6.4071), ("q3_k_s", 7.8638)):
        (tmp_path / f"{name}.log").write_text(perplexity(ppl))
    code, out, _ = ask(*tmp_path.glob("*.log"), "--formats", "nvfp4, iq4_ks", "--json")
    rows = json.loads(out)
    assert code == 0 and [row["format"] for row in rows] == ["iq4_ks", "nvfp4"]
    assert rows[1]["low"] < rows[1]["rise"] < rows[1]["high"] and rows[0]["basis"] == "inferred"


def test_numbers_serve_as_well_and_mixes_are_known(ask):
    code, out, _ = ask("--measured", "q4_k_m=0.03", "--measured", "q3_k=0.23", "--formats", "q3_k,q4_k", "--csv")
    rows = [line.split(",") for line in out.splitlines()]
    assert code == 0 and [row[0] for row in rows] == ["format", "q4_k", "q3_k"]
    assert float(rows[2][6]) == 0.23 and rows[1][6] == ""


def test_a_size_serves_where_nothing_was_measured(ask):
    told = {}
    for method in ("rtn", "imatrix"):
        code, out, _ = ask("--params", "8e9", "--tokens", "15e12", "--method", method, "--formats", "nvfp4", "--json")
        (told[method],) = json.loads(out)
        assert code == 0 and told[method]["high"] > 3 * told[method]["low"] and told[method]["measured"] is None
    assert told["imatrix"]["rise"] < told["rtn"]["rise"]
    assert "(prior)" in ask("--params", "8e9", "--active", "1e9")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give logs, or --measured, or --params"),
        (("--measured", "q4_k=0.03", "--params", "8e9"), "give logs, or --measured, or --params"),
        (("--params", "8"), "n_params must lie between"),
        (("--params", "8e9", "--method", "gtpq"), "did you mean gptq?"),
        (("--measured", "q4_k"), "q4_k: must be a format, = and the nats per token"),
        (
            ("--measured", "q4_k=-1"),
            "q4_k=-1: must be a format, = and the nats per token that it costs: -1 must be above 0",
        ),
        (("--measured", "q9_k=0.1"), "q9_k"),
        (("--measured", "q4_k=0.1", "--formats", "nvfp5"), "nvfp5"),
        (("nowhere.log",), "there is no file nowhere.log"),
    ],
)
def test_what_cannot_be_met_is_a_sentence(ask, arguments, message):
    code, out, error = ask(*arguments)
    assert (code, out) == (2, "") and message in error and error.count("\n") == 1
