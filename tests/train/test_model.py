"""The decoder: counted, causal, the same alone as in company; and layers for models of one's own."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import rholaw as rl
from rholaw.train.config import PAPER_SIZES, Config, llama
from rholaw.train.model import Decoder, QuantizedLinear, convert

TINY = Config(
    **llama(width=16, layers=2, heads=2),
    context=16,
    vocabulary=300,
    corpus="shakespeare",
    tokens=1024,
    batch_tokens=64,
    lr=1e-2,
)


def tokens(members=1, rows=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(300, (1, rows, 17), generator=generator).expand(members, rows, 17)


def test_the_parameters_are_counted_in_groups_that_sum_to_the_total():
    model = Decoder([TINY])
    assert sum(TINY.parameters.values()) == sum(p.numel() for p in model.parameters())
    assert TINY.n_params == sum(TINY.parameters.values()) - 2 * 300 * 16


def test_the_papers_smallest_decoder_has_the_parameters_of_the_runs_of_quest():
    sizes = {replace(TINY, **shape).n_params for shape in PAPER_SIZES.values()}
    assert sizes <= set(rl.runs.load("quest2025")["n_params"])


def test_a_loss_depends_on_the_past_only():
    model, x = Decoder([TINY]), tokens().clone()
    with torch.no_grad():
        before = model(x)
        x[..., 9] = (x[..., 9] + 1) % 300
        after = model(x)
    assert torch.equal(before[..., :8], after[..., :8])
    assert not torch.allclose(before[..., 9:], after[..., 9:])


def test_the_first_loss_is_that_of_chance():
    with torch.no_grad():
        assert abs(float(Decoder([TINY])(tokens()).mean()) - torch.tensor(300.0).log()) < 1


def test_it_computes_a_llama_decoder():
    """Against the same arithmetic written with plain torch modules, head by head."""
    model, x = Decoder([TINY]), tokens()
    with torch.no_grad():
        h = model.embedding[0][x[0, :, :-1]]
        for block in model.blocks:
            y = F.rms_norm(h, (16,), block.attention_norm[0, 0], 1e-6)
            q, k, v = (y @ linear.weight[0].T for linear in (block.query, block.key, block.value))
            heads = []
            for part in (slice(0, 8), slice(8, 16)):
                q1, k1 = (turned(z[..., part]) for z in (q, k))
                scores = (q1 @ k1.mT / 8**0.5).masked_fill(torch.ones(16, 16).triu(1).bool(), -torch.inf)
                heads.append(scores.softmax(-1) @ v[..., part])
            h = h + torch.cat(heads, -1) @ block.out.weight[0].T
            y = F.rms_norm(h, (16,), block.mlp_norm[0, 0], 1e-6)
            gated = F.silu(y @ block.gate.weight[0].T) * (y @ block.up.weight[0].T)
            h = h + gated @ block.down.weight[0].T
        logits = F.rms_norm(h, (16,), model.norm[0, 0], 1e-6) @ model.head[0].T
        expected = F.cross_entropy(logits.flatten(0, 1), x[0, :, 1:].flatten(), reduction="none").view(1, 3, 16)
        torch.testing.assert_close(model(x), expected)


def turned(x):
    """Rotary positions as complex numbers: channel i with channel i + 4."""
    pairs = torch.complex(x[..., :4].double(), x[..., 4:].double())
    angle = torch.arange(16)[:, None] * 10_000.0 ** (-torch.arange(0, 8, 2) / 8)
    pairs = pairs * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([pairs.real, pairs.imag], -1).float()


@pytest.mark.parametrize("weights", ["dense", "int2", "s0.5+int4", "nvfp4"])
@pytest.mark.parametrize("activations", ["dense", "int4"])
def test_a_member_computes_the_same_alone_as_in_company(weights, activations):
    own = replace(TINY, weights=weights, activations=activations, seed=3)
    company = [replace(TINY, seed=1), replace(TINY, weights="int3"), own, replace(own, seed=4)]
    with torch.no_grad():
        torch.testing.assert_close(Decoder(company)(tokens(4))[2], Decoder([own])(tokens())[0])


def test_members_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="share their shape"):
        Decoder([TINY, replace(TINY, width=32)])


def test_a_quantised_linear_is_a_linear_of_quantised_values():
    layer = QuantizedLinear(32, 8, bias=True, weights="int4/g16", activations="int4")
    x = torch.randn(5, 32)
    expected = F.linear(rl.parse("int4").quantize(x), rl.parse("int4/g16").quantize(layer.weight.detach()), layer.bias)
    torch.testing.assert_close(layer(x), expected)
    layer(x).sum().backward()
    assert layer.weight.grad.abs().sum() > 0
    assert rl.QuantizedLinear is QuantizedLinear


def test_a_layer_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="multiple of 32, and this layer has rows of 24"):
        QuantizedLinear(24, 8, weights="mxfp4")
    with pytest.raises(ValueError, match="method must be one of"):
        QuantizedLinear(32, 8, weights="int4", method="lsq")


def test_a_model_of_ones_own_is_converted_in_place():
    model = nn.ModuleDict({"a": nn.Sequential(nn.Linear(16, 16), nn.ReLU()), "lm_head": nn.Linear(16, 4)})
    weight = model["a"][0].weight
    assert convert(model, weights="int2") is model
    assert isinstance(model["a"][0], QuantizedLinear) and model["a"][0].weight is weight
    assert type(model["lm_head"]) is nn.Linear
    quantised = rl.parse("int2").quantize(weight.detach())
    torch.testing.assert_close(model["a"](torch.eye(16)), F.relu(quantised.T + model["a"][0].bias))
