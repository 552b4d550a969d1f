"""Which weights survive."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import rholaw as rl
from rholaw.formats import sparsity


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("n", [1, 7, 100, 1001])
def test_top_k_prunes_exactly_its_share_even_among_ties(share, n):
    x = torch.randint(-2, 3, (n,), generator=torch.Generator().manual_seed(n)).float()
    mask = rl.parse(f"s{share}").sparsity.mask(x)
    assert (~mask).sum() == round(share * n)
    if mask.any() and not mask.all():
        assert x[~mask].abs().max() <= x[mask].abs().min()


def test_of_equal_magnitudes_the_first_survive():
    x = torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert rl.parse("s0.5").quantize(x).tolist() == [1, -1, 0, 0]
    assert rl.parse("2:4").quantize(x).tolist() == [1, -1, 0, 0]
    assert rl.parse("1:2").quantize(x).tolist() == [1, 0, 1, 0]


@given(st.lists(st.floats(-10, 10, width=32), min_size=16, max_size=16), st.sampled_from(["1:2", "2:4", "3:8", "7:16"]))
def test_n_of_m_keeps_the_largest(values, text):
    sparsity, x = rl.parse(text).sparsity, torch.tensor(values)
    for group, kept in zip(x.reshape(-1, sparsity.m), sparsity.mask(x).reshape(-1, sparsity.m), strict=True):
        assert kept.sum() == sparsity.n
        assert group[~kept].abs().max() <= group[kept].abs().min()


def test_n_of_m_needs_rows_it_divides():
    for shape in [(3, 6), (7,), ()]:
        with pytest.raises(ValueError, match="no multiple of 4"):
            rl.parse("2:4+int4").quantize(torch.ones(shape))


def test_pruned_weights_are_zero_also_on_a_grid_without_zero():
    y = rl.parse("2:4+int4").quantize(torch.randn(8, 64, generator=torch.Generator().manual_seed(0)))
    assert ((y == 0).reshape(-1, 4).sum(dim=1) == 2).all()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_equal_magnitudes_survive_from_the_first_on_in_parts_too(monkeypatch, share):
    x = torch.randn(40, 50, generator=torch.Generator().manual_seed(4)).round()
    whole = sparsity.TopK(share).mask(x)
    monkeypatch.setattr(sparsity, "CHUNK", 64)
    assert int((~whole).sum()) == round(share * x.numel())
    assert torch.equal(sparsity.TopK(share).mask(x), whole)
