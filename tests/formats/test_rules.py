"""Rules by hand, and that each does what it says it needs of a block."""

import pytest
import torch

import rholaw as rl
from rholaw.distributions import source
from rholaw.formats.rules import RULES


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_rules_by_hand():
    x = torch.tensor([[-8.0, 3.2, 0.4, 7.9]])
    assert rl.parse("fint4/g4:fp32:signmax").quantize(x).tolist() == [[-8, 3, 0, 7]]
    assert rl.parse("uint4/g4:fp32").quantize(torch.tensor([[1.0, 16.0, 3.4, 8.6]])).tolist() == [[1, 16, 3, 9]]
    assert rl.parse("uint4/g4:fp32:zero").quantize(torch.tensor([[-5.0, 10.0, 0.4, 3.6]])).tolist() == [[-5, 10, 0, 4]]
    y = rl.parse("ternary/tensor:fp32:absmean").quantize(torch.tensor([[2.0, -4.0, 0.5, 1.5]]))
    assert y.tolist() == [[2, -2, 0, 2]]


def test_mse_and_four_six_never_do_worse_than_absmax():
    x = normal(64, 256)
    for better, worse in [("int4/g32:mse", "int4/g32"), ("e2m1/g32:e8m0:mse", "mxfp4"), ("nvfp4_46", "nvfp4")]:
        errors = [((rl.parse(text).quantize(x) - x) ** 2).reshape(-1, 16).sum(1) for text in (better, worse)]
        blocks = [error.reshape(-1, rl.parse(better).block.size // 16).sum(1) for error in errors]
        assert (blocks[0] <= blocks[1] * (1 + 1e-5)).all()


def test_survivors_alone_set_the_scale():
    x = torch.tensor([[4.0, 3.9, 0.0, 0.0, 8.0, 7.0, 0.1, 0.1]])
    assert rl.parse("2:4+sint4/g4:fp32").quantize(x).tolist()[0][4:] == [8.0, pytest.approx(48 / 7, rel=1e-6), 0, 0]


def test_what_is_pruned_has_no_say_in_the_least_error():
    """A grid without a zero would err by half a step there, and small scales would look better than they are."""
    x = normal(64, 64)
    y = rl.parse("s0.8+int4/g32:fp32:mse").quantize(x)
    blocks, kept = x.view(-1, 32), (y != 0).view(-1, 32)
    least = (y.view(-1, 32) - blocks).mul(kept).square().sum(1)
    for factor in torch.linspace(1, 0.45, 48):
        scale = (blocks * kept).abs().amax(1, keepdim=True) * factor / 7.5
        tried = ((blocks / scale).floor() + 0.5).clamp(-7.5, 7.5) * scale
        assert ((tried - blocks).mul(kept).square().sum(1) > least * 0.999 - 1e-6).all()


A_FORMAT_OF = {
    "absmax": "sint4/g8:fp32",
    "mse": "int4/g8:fp32:mse",
    "signmax": "fint4/g8:fp32:signmax",
    "minmax": "uint4/g8:fp32",
    "zero": "uint4/g8:fp32:zero",
    "absmean": "ternary/g8:fp32:absmean",
    "rms": "int4/g8:fp32:rms",
    "four-six": "nvfp4_46",
}


def test_every_rule_has_its_format():
    assert {name: rl.parse(text).block.rule for name, text in A_FORMAT_OF.items()} == RULES


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if "largest" in rule.needs])
def test_where_the_largest_fixes_the_scale_it_meets_the_reach(name):
    format, x = rl.parse(A_FORMAT_OF[name]), normal(64, 8)
    scale = format.coder.scale(x)
    assert torch.allclose(scale.abs() * format.block.rule.reach(format.element), x.abs().amax(1, keepdim=True))
    x[:, 1:] = (x[:, :1].abs() * 0.99).where(x[:, :1] < 0, -x[:, :1].abs() * 0.99)  # all but the first change
    largest_stays = x.abs().argmax(1) == 0
    assert largest_stays.all()
    alone = torch.cat([x[:, :1], torch.zeros(64, 7)], 1)
    assert torch.equal(format.coder.scale(x), format.coder.scale(alone))


def test_where_the_ends_fix_the_levels_they_come_back():
    x = normal(64, 8)
    values = rl.parse(A_FORMAT_OF["minmax"]).quantize(x)
    for end in (torch.amin, torch.amax):
        assert torch.allclose(end(values, 1), end(x, 1), rtol=1e-6)


@pytest.mark.parametrize("name", ["absmean", "rms"])
@pytest.mark.parametrize("distribution", ["normal", "laplace"])
def test_the_scale_of_an_endless_block_is_its_limit(name, distribution):
    format, data = rl.parse(A_FORMAT_OF[name].replace("g8", "tensor")), source(distribution)
    values = torch.from_numpy(data.distribution.ppf((torch.arange(2**18).double().numpy() + 0.5) / 2**18))
    limit = format.block.rule.limit(format.element, data)
    assert format.coder.scale(values[None]).item() == pytest.approx(limit, rel=1e-3)
    unlimited = {known for known, rule in RULES.items() if rule.limit(format.element, data) is None}
    assert unlimited == RULES.keys() - {"absmean", "rms"}
