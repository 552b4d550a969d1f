"""The command line: what a person types, what comes back, and how it ends."""

import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from tiny_llama import TEXT, hub, trained

import rholaw as rl
from rholaw import __main__ as command
from rholaw.command_line import as_text

SCENARIO = """
formats = [{weights = "fp8_row", activations = "fp8_row"}]
model = {geometry = "Llama-3.1-8B"}
run = {samples = 100}
project = {kind = "train"}
"""


@pytest.fixture
def ask(capsys):
    """(exit code, stdout, stderr) of a command."""

    def asked(*arguments):
        code = command.main([str(one) for one in arguments])
        return (code, *capsys.readouterr())

    return asked


def test_help_lists_every_command_without_loading_torch_or_pandas():
    program = "import sys; from rholaw.__main__ import main\ntry: main(['--help'])\nfinally: print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    text, modules = said.rstrip().rsplit("\n", 1)
    for name, (what, *_) in command.COMMANDS.items():
        assert f"  {name:<8} {what}" in text
    assert not {"torch", "pandas", "numpy", "scipy"} & set(modules.split())


@pytest.mark.parametrize("name", command.COMMANDS)
def test_every_command_explains_itself_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as end:
        command.main([name, "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: rholaw {name}")
    assert f"examples:\n  rholaw {name}" in said


def test_an_example_in_the_overview_works(ask):
    code, out, _ = ask("gmse", "nvfp4", "2:4+int4/g128")
    assert code == 0
    header, *rows = [line.split() for line in out.splitlines()]
    assert header == ["format", "bits", "gmse", "stderr", "method", "samples", "weights"]
    for row, name in zip(rows, ["nvfp4", "2:4+int4/g128"], strict=True):
        assert row[0] == name
        assert float(row[2]) == pytest.approx(rl.gmse(name).value, rel=1e-5)


def test_csv_and_json_hold_every_digit(ask):
    table = pd.read_csv(io.StringIO(ask("gmse", "int4,int3", "--source", "laplace", "--csv")[1]))
    rows = json.loads(ask("gmse", "int4,", "int3", "--source=laplace", "--json")[1])
    want = [rl.gmse(name, "laplace").value for name in ("int4", "int3")]
    assert table.gmse.tolist() == pytest.approx(want, rel=1e-14)
    assert [row["gmse"] for row in rows] == pytest.approx(want, rel=1e-12)
    assert rows[0]["samples"] is None


def test_the_catalogue_is_listed_and_searched(ask):
    names = [row["name"] for row in json.loads(ask("formats", "--json")[1])]
    assert names == list(rl.catalogue())
    assert set(pd.read_csv(io.StringIO(ask("formats", "FP4", "--csv")[1])).name) >= {"nvfp4", "mxfp4"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["gmsee", "int4"], "gmsee: there is no such command; did you mean gmse?; rholaw --help explains"),
        ([], "the following arguments are required: COMMAND"),
        (["gmse"], "the following arguments are required: FORMAT; rholaw gmse --help explains"),
        (["gmse", "nf5"], "'nf5' is no element. Did you mean 'nf4'?"),
        (["gmse", "int4", "--source", "cauchy"], "unknown source 'cauchy'"),
        (["formats", "zzz"], "no name of a format contains 'zzz'"),
        (["survey", "/nowhere/x"], "/nowhere/x"),
        (["plan", "/nowhere/x.toml"], "there is no scenario file /nowhere/x.toml"),
        (["fit", "nobody"], "nobody: there is no such series"),
        (["fit", "quest2025", "--law", "unifed"], "unifed: there is no such law; did you mean unified?"),
        (["fit", "quest2025", "--where", "rotted"], "--where 'rotted' cannot be asked of the columns series, n_params"),
        (["train", "plann"], "plann: there is no such command; did you mean plan?; rholaw train --help explains"),
        (["data", "check", "x"], "unrecognized arguments: x"),
        (["gmse", "int4/g32:mse,int9", "--source", "laplace"], "rholaw: format 'int9'"),  # before the first is measured
        (["gmse", ","], "name at least one, as in"),
        (["formats", "x" * 9000], "no name of a format contains 'xxx"),
        (["gmse", "int4", "--x" + "y" * 9000], "rholaw gmse --help explains"),
        (["fit", "quest2025", "--where", "x" * 9000], "cannot be asked of the columns"),
        (["book", "biuld"], "biuld: there is no such command; did you mean build?"),
        (["fit", "x" * 9000], "File name too long"),
        (["predict", "x" * 9000], "File name too long"),
        (["predict", "a\nb.log"], r"there is no file a\nb.log"),
        (["gmse", "int4", "--source", "x" * 9000], "unknown source 'xxx"),
        (["gmse", "int4", "--source", "student-t(1." + "0" * 9000 + ")"], "ν must exceed 2"),
        (["fit", "quest2025", "--where", "1"], "--where '1' says neither yes nor no of a run, as loss < 3 does"),
        (["fit", "quest2025", "--where", "index"], "says neither yes nor no"),
        (["fit", "quest2025", "--where", "loss = 3"], "says neither yes nor no"),
        (["fit", "quest2025", "--where", ""], "--where '' cannot be asked"),
        (
            ["fit", "quest2025", "--bootstrap", "-1"],
            "-1 must be at least 0 and at most 100000 (n_bootstrap",
        ),
        (["fit", "quest2025", "--bootstrap", "999999999999"], "at most 100000"),
        (["predict", "--params", "0"], "n_params must lie between"),
        (["train", "plan", "x.toml", "--members", "0"], "argument --members: 0 must be at least 1; rholaw train plan"),
        (["train", "sweep", "x.toml", "--store", "y", "--workers=-1"], "argument --workers: -1 must be at least 1"),
    ],
)
def test_what_cannot_be_met_is_one_sentence_and_code_2(ask, arguments, says):
    code, out, err = ask(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("rholaw: ")
    assert says in err
    assert err.count("\n") == 1 and len(err) <= 520


@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 4, b"n_params\n1,2\n1,2,3\n"])
def test_a_csv_that_is_no_table_is_named(ask, tmp_path, content):
    (tmp_path / "mine.csv").write_bytes(content)
    code, out, err = ask("fit", tmp_path / "mine.csv")
    assert (code, out) == (2, "") and err.startswith(f"rholaw: {tmp_path}/mine.csv is no table of runs: ")
    assert err.count("\n") == 1


def test_a_file_that_is_not_there_is_named_without_a_number_of_the_system(ask, tmp_path):
    assert ask("fit", tmp_path / "mine.csv")[2] == f"rholaw: {tmp_path}/mine.csv: No such file or directory\n"


def test_a_name_that_cannot_be_printed_is_escaped(ask):
    assert ask("data", "update", "a\x1bb")[2].startswith(r"refused  data/a\x1bb: there is no such table")


def test_tables_are_checked_by_either_name(ask):
    assert ask("data", "check")[:2] == ask("check")[:2]
    code, out, err = ask("update", "runs/nobody")
    assert (code, out) == (1, "")
    assert "data/runs/nobody: there is no such table" in err


def test_a_law_is_fitted_to_a_series_and_to_a_csv(ask, tmp_path):
    code, out, _ = ask("fit", "quest2025", "--law", "chinchilla", "--where", "weights == 'dense'")
    assert code == 0
    assert f"chinchilla on {(rl.runs.load('quest2025').weights == 'dense').sum()} runs" in out
    assert "told by the curvature alone; --bootstrap 200 tells it better" in out
    _, out, _ = ask("fit", "quest2025", "--law", "chinchilla", "--where", "weights == 'dense'", "--bootstrap", "5")
    assert "curvature alone" not in out
    law, points = rl.Law(A=400.0, alpha=0.34, B=410.0, beta=0.28, E=1.7), [1e7, 3e7, 1e8, 3e8]
    rows = [{"n_params": n, "n_tokens": 20 * d, "loss": law.loss(n, 20 * d)} for n in points for d in points]
    pd.DataFrame(rows).to_csv(tmp_path / "mine.csv", index=False)
    code, out, err = ask("fit", tmp_path / "mine.csv", "--law", "chinchilla", "--json")
    assert err == ""  # no bar of a bootstrap that is none
    for separator in ";\t":
        pd.DataFrame(rows).to_csv(tmp_path / "other.csv", index=False, sep=separator)
        assert ask("fit", tmp_path / "other.csv", "--law", "chinchilla", "--json") == (code, out, err)
    values = {row["parameter"]: row["value"] for row in json.loads(out)}
    assert values["alpha"] == pytest.approx(0.34, rel=1e-3)
    assert values["E"] == pytest.approx(1.7, rel=1e-3)


def test_a_checkpoint_is_surveyed_and_summed(ask, tmp_path):
    weights = np.random.default_rng(0).standard_normal((64, 128)).astype(np.float32)
    save_file({"layers.0.attention.wq.weight": weights}, tmp_path / "model.safetensors")
    arguments = ["survey", tmp_path / "model.safetensors", "--formats", "int4, nvfp4"]
    code, out, _ = ask(*arguments)
    assert code == 0
    assert out.split()[:3] == ["name", "role", "format"]
    rows = json.loads(ask(*arguments, "--totals", "--json", "--out", tmp_path / "survey.csv")[1])
    assert [row["format"] for row in rows] == ["int4", "nvfp4"]
    assert len(pd.read_csv(tmp_path / "survey.csv")) == 2
    broken = weights.copy()
    broken[0, 5] = np.nan
    for values, told in ((weights, ""), (0 * weights, "holds one number throughout"), (broken, "The model is broken")):
        save_file({"layers.0.attention.wq.weight": values}, tmp_path / "model.safetensors")
        for more in ([], ["--totals"]):
            code, out, err = ask(*arguments, *more)
            assert code == 0 and "int4" in out
            assert ("nothing follows from these numbers" in err and told in err) == bool(told)


def test_a_scenario_is_planned_in_words_and_numbers(ask, tmp_path):
    (tmp_path / "scenario.toml").write_text(SCENARIO, encoding="utf-8")
    code, out, _ = ask("plan", tmp_path / "scenario.toml")
    assert code == 0
    assert "The options that nothing beats, none at over 10 times the least bill, and those spoken of, in USD" in out
    about = json.loads(ask("plan", tmp_path / "scenario.toml", "--json")[1])
    name = "FP8 weights and activations"
    assert out.startswith(about["recommendation"].replace("fp8_row x fp8_row", name)) and f"Mind: {name}: " in out
    assert {"dense", "fp8_row x fp8_row"} == {row["option"] for row in about["table"]}
    assert "  speed of FP8 weights and activations on H100 80GB SXM: measured: vLLM " in out
    assert re.search(r"the interval of that speed: 80% intervals held \d+% of \d+ held-out reports", out)
    assert {"H100 80GB SXM: an hour", "engineering weeks"} <= {row["item"] for row in about["assumptions"]}
    japanese = ask("plan", tmp_path / "scenario.toml", "--language", "ja")[1]
    assert about["summary_ja"].startswith(japanese.split("\n")[0]) and "\n注意　" in japanese
    assert not re.search(r"(?m)^(注意|【).*[a-z]{3,} [a-z]{2,} [a-z]{2,}", japanese)


def test_a_plan_names_no_price_where_none_is_known(ask, tmp_path):
    device = '[hardware]\ndevices = ["Jetson AGX Orin 64GB"]\n'
    (tmp_path / "unpriced.toml").write_text(SCENARIO + device, encoding="utf-8")
    code, out, _ = ask("plan", tmp_path / "unpriced.toml")
    assert code == 0 and "What the numbers rest on" in out and "No price of Jetson AGX Orin 64GB is known" in out
    assert "an hour:" not in out and not re.search(r"\bnan\b", out)


def test_a_plan_of_which_nothing_is_feasible_has_no_table(ask, tmp_path):
    (tmp_path / "slow.toml").write_text(SCENARIO + "[traffic]\nlatency_ms = 0.2\n", encoding="utf-8")
    code, out, _ = ask("plan", tmp_path / "slow.toml")
    assert code == 0 and "too slow" in out and "The options that nothing beats" not in out


def test_a_plan_says_what_to_measure_and_what_training_on_may_cost(ask, tmp_path):
    lines = ["[model]", 'geometry = "Llama-3.1-8B"', "kappa = [3, 5, 8]", "[[formats]]", 'weights = "sint4/g128"']
    lines += ["[hardware]", "batches = [16]", "[traffic]", "requests_per_month = 1e9"]
    lines += ["[project]", 'kind = "post-training"', "tolerance = 0.07"]
    (tmp_path / "finished.toml").write_text("\n".join(lines))
    code, out, _ = ask("plan", tmp_path / "finished.toml")
    assert code == 0 and re.match(r"Measure this first: INT4 weights on \d+ × H100", out)
    assert "\n  llama-perplexity -m MODEL.gguf -f TEXT --kl-divergence-base BASE\n" in out
    assert "\nOr: INT4 weights: rounding adds" in out
    about = json.loads(ask("plan", tmp_path / "finished.toml", "--json")[1])
    assert about["verdict"] == "measure this" and len(about["steps"]) == 5 and len(about["alternatives"]) == 1


@pytest.mark.slow
def test_a_closed_pipe_ends_quietly():
    piped = f"{sys.executable} -m rholaw formats | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", piped], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("encoding", "said"), [("ascii", rb"\u03ba = \u7d50"), ("cp932", "κ = 結".encode("cp932"))])
def test_a_terminal_without_the_letters_shows_their_codes(encoding, said):
    program = "from rholaw.command_line import guarded; guarded(lambda: print('κ = 結'))"
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert (done.returncode, done.stdout.rstrip(), done.stderr) == (0, said, b"")


def test_an_interruption_is_130(ask, monkeypatch):
    def interrupted(arguments, prog):
        raise KeyboardInterrupt

    monkeypatch.setattr("rholaw.commands.formats.gmse", interrupted)
    assert ask("gmse", "int4") == (130, "", "stopped\n")


def test_a_table_for_a_terminal_aligns_and_leaves_missing_values_empty():
    table = pd.DataFrame({"a": ["x", None], "n": [1.0, np.nan], "v": [1234567.891, 1e-9]})
    assert as_text(table).splitlines() == ["a  n            v", "x  1  1.23457e+06", "            1e-09"]


def test_a_language_model_is_evaluated(ask, tmp_path):
    (tmp_path / "text").write_text(TEXT)
    arguments = ["evaluate", hub(tmp_path / "model", trained()[1]), "--text", tmp_path / "text", "--count", 4]
    code, out, errors = ask(*arguments, "--length", 16, "--formats", "int8/g8, int2/g8", "--out", tmp_path / "out.csv")
    assert code == 0 and "evaluate: 100%" in errors
    header, fine, coarse = (line.split() for line in out.splitlines())
    assert header[:3] == ["format", "kl", "kl_stderr"] and (fine[0], coarse[0]) == ("int8/g8", "int2/g8")
    assert float(fine[1]) < float(coarse[1]) == pytest.approx(pd.read_csv(tmp_path / "out.csv").kl[1], rel=1e-5)
    code, out, _ = ask(*arguments, "--length", 16, "--formats", "dense", "--cache", "int2/g8", "--csv")
    assert code == 0 and pd.read_csv(io.StringIO(out))[["cache", "coverage"]].to_numpy().tolist() == [["int2/g8", 1]]
