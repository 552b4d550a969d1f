"""`rholaw allocate`: a measured model or a file, a budget, a recipe; and what it refuses."""

import json

import pytest
import torch
from safetensors.torch import save_file

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


def test_a_file_is_read_for_its_shapes(ask, tmp_path):
    shapes = {"model.embed_tokens.weight": (1000, 256), "model.norm.weight": (256,)}
    shapes |= {f"model.layers.{i}.mlp.{part}_proj.weight": (128, 256) for i in range(3) for part in ("up", "gate")}
    file = tmp_path / "model.safetensors"
    save_file({name: torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}, file)
    code, out, error = ask(file, "--bits", 6, "--json")
    assert code == 0, error
    types = {row["tensor"]: row["type"] for row in json.loads(out)}
    assert types["model.norm.weight"] == "f32" and types["token_embd.weight"] in ("q5_k", "q6_k", "q8_0")
    assert set(types) >= {f"blk.{i}.ffn_{part}.weight" for i in range(3) for part in ("up", "gate")}


def test_a_file_that_is_too_small_for_the_law_is_refused(ask, tmp_path):
    save_file({"lm_head.weight": torch.zeros(2, 256)}, tmp_path / "small.safetensors")
    code, _, error = ask(tmp_path / "small.safetensors", "--bits", 6)
    assert code == 2 and "n_params" in error


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
