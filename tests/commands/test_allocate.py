"""`rholaw allocate`: a measured model or a file, a budget, a recipe; and what it refuses."""

import importlib.util
import json

import pytest
from tiny_llama import gguf_file, trained

from rholaw import __main__ as command


@pytest.fixture
def ask(capsys):
    """(exit code, stdout, stderr) of `rholaw allocate`."""

    def run(*arguments):
        code = command.main(["allocate", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run


def test_a_measured_model_gets_its_types_and_a_recipe(ask, tmp_path):
    file = tmp_path / "my.recipe"
    code, out, _ = ask("Qwen3.5-2B", "--bits", 4.5, "--recipe", file, "--fix", "token_embd.weight=Q6_K")
    assert code == 0 and "80 %:" in out and "measure" in out
    assert "^token_embd\\.weight$=q6_K" in file.read_text().splitlines()


def test_rows_for_programs(ask):
    code, out, _ = ask("Qwen3.5-2B", "--bytes", 1e9, "--types", "q3_k, q5_k", "--json")
    rows = json.loads(out)
    assert code == 0 and sum(row["bytes"] for row in rows) <= 1e9
    assert {row["type"] for row in rows} == {"q3_k", "q5_k", "f32"}


@pytest.mark.skipif(not importlib.util.find_spec("rholaw.fidelity.population"), reason="no prior yet")
def test_a_file_is_read_for_its_shapes(ask, tmp_path):
    file = tmp_path / "tiny.gguf"
    gguf_file(file, trained())
    code, out, error = ask(file, "--bits", 9, "--types", "q8_0, bf16", "--json")
    assert code == 0, error
    assert {row["type"] for row in json.loads(out)} <= {"q8_0", "bf16", "f32"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Qwen3.5-2Bb", "--bits", 4], "did you mean Qwen3.5-2B?, and there is no such file"),
        (["Qwen3.5-2B"], "one of the arguments --bytes --bits is required"),
        (["Qwen3.5-2B", "--bits", 2], "raise it, or name smaller types"),
        (["Qwen3.5-2B", "--bits", 4, "--fix", "output.weight"], "must be a tensor, = and a type"),
        (["Qwen3.5-2B", "--bits", 4, "--fix", "output.weight=q6_k"], "fixed: output.weight: there is no such tensor"),
        (["Qwen3.5-2B", "--bits", 4, "--types", "q4_k, q9_k"], "q9_k"),
    ],
)
def test_what_cannot_be_done_is_said(ask, arguments, message):
    code, out, error = ask(*arguments)
    assert code == 2 and message in error and not out
