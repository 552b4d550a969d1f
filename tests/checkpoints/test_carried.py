"""The small decoder that the project carries: what its card says is so, and transformers computes the same."""

import re

import pytest
import torch

import rholaw as rl
from rholaw import checkpoints
from rholaw.checkpoints import llama

FOLDER = checkpoints.carried()["shakespeare-1m"]


@pytest.fixture(scope="module")
def model():
    return llama.load(FOLDER)


@pytest.fixture(scope="module")
def blocks(model):
    """Held-out text that its training did not see, 32 blocks of 128 tokens."""
    return llama.blocks(model, llama.text("shakespeare"), 32, 128)


@pytest.mark.slow
def test_it_is_small_and_no_format_has_touched_it():
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 3e6
    with checkpoints.open(FOLDER) as checkpoint:
        assert {tensor.dtype for tensor in checkpoint.tensors} == {"BF16"}
        assert not any(tensor.quantised for tensor in checkpoint.tensors)
    error = rl.totals(rl.survey(FOLDER, "int4/g128", progress=False)).error.item()
    assert error == pytest.approx(rl.gmse("int4/g128").value, rel=0.05)  # on a grid it would be far from it


@pytest.mark.slow
def test_its_card_has_its_parameters_and_its_loss(model, blocks):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    counts = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) (?:parameters|more)", card)]
    assert sum(counts) == sum(weight.numel() for weight in model.weights.values())
    assert sum(counts) < 1.5e6
    loss = float(re.search(r"Held out: ([\d.]+)", card)[1])
    assert float(model.losses(blocks).mean()) == pytest.approx(loss, abs=0.15)


def test_its_losses_are_those_of_transformers(model, blocks):
    transformers = pytest.importorskip("transformers")
    other = transformers.LlamaForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = other(blocks[:4, :-1]).logits
    theirs = torch.nn.functional.cross_entropy(logits.flatten(0, 1), blocks[:4, 1:].flatten(), reduction="none")
    torch.testing.assert_close(model.losses(blocks[:4]).flatten(), theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_what_it_loses_is_in_proportion_to_the_error(model):
    table = rl.evaluate(FOLDER, "int6/g64, int4/g64, int3/g64", count=4, length=128, progress=False)
    times = table.kl / table.gmse
    assert times.max() < 1.2 * times.min()
