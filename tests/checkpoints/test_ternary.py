"""A model whose matrices are ternary is known by its values, or by its name, and nothing else is taken for one."""

import json

import pytest
import torch
from safetensors.torch import save_file
from small_folders import SIZES, tensors

import rholaw as rl
from rholaw import checkpoints
from rholaw.checkpoints import counting, summing
from rholaw.checkpoints.ternary import ternary

GENERATOR = torch.Generator().manual_seed(0)
LLAMA = {"model_type": "llama", **SIZES}


def made(values):
    """A small decoder whose layers' matrices hold what ``values`` makes of their shape."""
    weights = tensors()
    return weights | {name: values(x.shape).bfloat16() for name, x in weights.items() if "proj" in name}


def trits(shape):
    return (torch.randint(-1, 2, shape, generator=GENERATOR) * 0.03 * (1 + torch.rand(shape[0], 1))).bfloat16()


def by_groups(x):
    return (x.view(len(x), -1, 32) * torch.rand(len(x), x.shape[1] // 32, 1)).view(x.shape)


KINDS = {
    "ternary, a scale for each row": (trits, True),
    "ternary, a scale for 32": (lambda shape: by_groups(trits(shape).sign()), True),
    "binary": (lambda shape: torch.randint(0, 2, shape, generator=GENERATOR) - 0.5, True),
    "four values": (lambda shape: torch.randint(-2, 2, shape, generator=GENERATOR) + 0.5, False),
    "normal": (lambda shape: torch.randn(shape, generator=GENERATOR), False),
    "zeros, as from a start": (torch.zeros, False),
    "0 and 1": (lambda shape: trits(shape).abs().sign(), False),
}


@pytest.mark.parametrize("name", KINDS)
def test_matrices_are_ternary_by_their_values(tmp_path, name):
    values, told = KINDS[name]
    weights = made(values)
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    with checkpoints.open(tmp_path) as checkpoint:
        assert bool(ternary(checkpoint.tensors)) == told
    blank = "blank" if "zeros" in name else ""
    assert counting.geometry(tmp_path).changes.code == ("rounds" if told else blank)
    doubt = summing.doubt(rl.survey(tmp_path, "int4/g32", progress=False))
    assert ("holds one number throughout" in doubt) == bool(blank)
    assert ("0 and one magnitude" in doubt) == told
    save_file(
        weights | {name: torch.randn(x.shape) for name, x in weights.items() if "mlp" in name}, tmp_path / "mixed"
    )
    with checkpoints.open(tmp_path / "mixed") as checkpoint:
        assert not ternary(checkpoint.tensors)


@pytest.mark.parametrize(
    "said",
    [
        {"quantization_config": {"quant_method": "bitnet", "quantization_mode": "online"}},
        {"architectures": ["BitNetForCausalLM"]},
        {"model_type": "bitnet"},
    ],
)
def test_a_bitnet_is_known_by_its_config(tmp_path, said):
    save_file(made(lambda shape: torch.randn(shape, generator=GENERATOR)), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | said))
    with checkpoints.open(tmp_path) as checkpoint:
        assert checkpoint.changes.code == "rounds"
