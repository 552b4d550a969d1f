"""Masks of sparse training, against the definitions they have in papers and against loops that read like them."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import norm

from rholaw.formats.sparsity import NofM, TopK
from rholaw.train import masks
from rholaw.train.masks import backward_mask, magnitude_mask, parse_backward, parse_schedule, topk_mask

BACKWARD = ["fw", "rms:0.1", "rms:0.49", "banded-rms:0", "banded-rms:0.1", "banded-rms:0.4", "area-banded-rms:0"]
BACKWARD += ["area-banded-rms:0.3", "area-banded-rms:1"]
shares = st.floats(0, 1) | st.sampled_from([0.25, 0.5, 0.75])
few = st.integers(-3, 3).map(float)  # many ties


def stacks(values, width=None):
    """Tensors of one to three members."""
    shapes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.just(width) if width else st.integers(1, 8))
    return arrays("float32", shapes, elements=values).map(torch.from_numpy)


wild = stacks(few) | stacks(st.floats(-(2.0**100), 2.0**100, width=32)) | stacks(st.floats(-1, 1, width=32))


def gaussian(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# ---- forward masks by magnitude


@given(wild, shares)
def test_every_member_loses_what_top_k_prunes(weight, share):
    expected = torch.stack([TopK(share).mask(part) for part in weight])
    assert torch.equal(topk_mask(weight, share), expected)


@given(stacks(few), st.lists(shares, min_size=3, max_size=3))
def test_members_may_differ_in_their_share(weight, several):
    several = several[: len(weight)]
    expected = torch.stack([TopK(share).mask(part) for part, share in zip(weight, several, strict=True)])
    assert torch.equal(topk_mask(weight, torch.tensor(several, dtype=torch.float64)), expected)


@given(stacks(few, width=8))
def test_magnitude_masks_are_those_of_the_sparsity(weight):
    pairs = NofM(2, 4)
    assert torch.equal(magnitude_mask(pairs, weight, None), torch.stack([pairs.mask(part) for part in weight]))
    assert torch.equal(magnitude_mask(TopK(0.9), weight, 0.25), topk_mask(weight, 0.25))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, which finds the threshold by a sort")
def test_a_gpu_prunes_what_a_cpu_does():
    weight = gaussian(3, 40, 50)
    weight[1] = weight[1].round()
    for share in (0.0, 0.3, 1.0, torch.tensor([0.2, 0.5, 0.9])):
        on_gpu = topk_mask(weight.cuda(), share.cuda() if isinstance(share, torch.Tensor) else share)
        assert torch.equal(on_gpu.cpu(), topk_mask(weight, share))


# ---- backward masks


@pytest.mark.parametrize("text", BACKWARD)
def test_a_backward_mask_reads_as_it_is_written(text):
    assert str(parse_backward(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rms", "'rms' is no backward mask; right would be fw, rms:X with X above 0 and below 0.5, banded-rms:X with"),
        ("fw:0.1", "'fw:0.1' is no backward mask"),
        ("rms:ten", "'rms:ten' is no backward mask"),
        ("banded:0.1", "'banded:0.1' is no backward mask"),
        ("rms:0", "'rms:0': 0 is out of range; right would be a number above 0 and below 0.5"),
        ("rms:0.5", "above 0 and below 0.5"),
        ("banded-rms:0.5", "from 0 to below 0.5"),
        ("banded-rms:-0.1", "from 0 to below 0.5"),
        ("area-banded-rms:1.01", "'area-banded-rms:1.01': 1.01 is out of range; right would be a number from 0 to 1"),
        ("area-banded-rms:nan", "from 0 to 1"),
    ],
)
def test_a_wrong_backward_mask_is_refused_with_what_is_right(text, message):
    with pytest.raises(ValueError) as error:
        parse_backward(text)
    assert message in str(error.value)


def formula(text, weight, kept):
    """(mask, thresholds) by the paper's formulas, for one member whose forward mask has one threshold."""
    name, _, x = text.partition(":")
    x = float(x or 0)
    size = weight.double().abs()
    rms = size.square().mean().sqrt().item()
    t_k = size[kept].min().item() if kept.any() else math.inf
    t_p = rms * norm.ppf(0.5 + x) if x < 0.5 else math.nan
    if name == "fw":
        return kept, []
    if name == "rms":
        return size > t_p, [t_p]
    if name == "banded-rms":
        return (size < min(t_p, t_k)) | (size > max(t_p, t_k)), [t_p, t_k]
    t_a = (1 - x) * t_k  # near 0, where Φ(z) − ½ has lost its digits but the density is flat
    if t_k > 1e-6 * rms:
        t_a = rms * norm.ppf(0.5 + (1 - x) * (norm.cdf(t_k / rms) - 0.5))
    return (size < t_a) | (size > t_k), [t_a, t_k]


@given(wild, shares, st.sampled_from(BACKWARD))
def test_backward_masks_follow_the_formulas(weight, share, text):
    kept = topk_mask(weight, share)
    found = backward_mask(parse_backward(text), weight, kept)
    assert found.shape == weight.shape and found.dtype == torch.bool
    for w, k, mask in zip(weight, kept, found, strict=True):
        expected, thresholds = formula(text, w, k)
        clear = torch.ones_like(k)  # of the thresholds, where rounding decides
        for threshold in thresholds:
            if math.isfinite(threshold):
                clear &= (w.double().abs() - threshold).abs() > 1e-5 * threshold
        assert torch.equal(mask[clear], expected[clear])


@given(wild, shares)
def test_the_ends_of_the_bands(weight, share):
    kept = topk_mask(weight, share)
    assert torch.equal(backward_mask(parse_backward("fw"), weight, kept), kept)
    assert torch.equal(backward_mask(parse_backward("banded-rms:0"), weight, kept), kept)
    assert torch.equal(backward_mask(parse_backward("area-banded-rms:1"), weight, kept), kept)
    assert backward_mask(parse_backward("area-banded-rms:0"), weight, kept).all()


@given(wild, shares, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_area_blocks_more_and_never_what_is_kept(weight, share, a, b):
    kept = topk_mask(weight, share)
    wide, narrow = (backward_mask(masks.Backward("area-banded-rms", x), weight, kept) for x in (max(a, b), min(a, b)))
    assert not (kept & ~wide).any() and not (wide & ~narrow).any()


@given(wild, shares, st.sampled_from(BACKWARD))
def test_a_member_of_a_stack_is_masked_as_if_it_were_alone(weight, share, text):
    policy, kept = parse_backward(text), topk_mask(weight, share)
    together = backward_mask(policy, weight, kept)
    for i in range(len(weight)):
        assert torch.equal(together[i : i + 1], backward_mask(policy, weight[i : i + 1], kept[i : i + 1]))


def test_weights_of_zero_exceed_no_threshold():
    weight = torch.zeros(1, 2, 4)
    kept = topk_mask(weight, 0.5)
    assert not backward_mask(parse_backward("rms:0.1"), weight, kept).any()
    for text in ("banded-rms:0.1", "area-banded-rms:0.3"):
        assert torch.equal(backward_mask(parse_backward(text), weight, kept), kept)


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_shares_of_gaussian_weights(share):
    weight = gaussian(2, 400, 500) * torch.tensor([0.02, 3.0])[:, None, None]
    kept = topk_mask(weight, share)
    for p in (0.05, 0.25, 0.4):
        passing = backward_mask(masks.Backward("rms", p), weight, kept)
        assert passing.flatten(1).double().mean(1) == pytest.approx(1 - 2 * p, abs=0.004)
        blocked = ~backward_mask(masks.Backward("banded-rms", p), weight, kept)
        assert blocked.flatten(1).double().mean(1) == pytest.approx(abs(share - 2 * p), abs=0.004)
    for a in (0.2, 0.5, 0.9):
        blocked = ~backward_mask(masks.Backward("area-banded-rms", a), weight, kept)
        assert blocked.flatten(1).double().mean(1) == pytest.approx(a * share, abs=0.004)
        assert not (blocked & kept).any()


@pytest.mark.parametrize("text", BACKWARD)
def test_n_of_m_has_a_threshold_in_every_group(text):
    weight, pairs = gaussian(2, 6, 16), NofM(2, 4)
    kept = pairs.mask(weight)
    found = backward_mask(parse_backward(text), weight, kept, group=4).view(2, -1, 4)
    rms = weight.double().square().mean((1, 2)).sqrt()
    for member in range(2):
        scaled = weight[member].reshape(-1, 4).double() / rms[member]
        for group, k, mask in zip(scaled, kept[member].reshape(-1, 4), found[member], strict=True):
            t_k = group[k].abs().min().item()
            x = parse_backward(text).parameter
            t_a = norm.ppf(0.5 + (1 - x) * (norm.cdf(t_k) - 0.5)) if text.startswith("area") else 0
            t_p = norm.ppf(0.5 + x) if "rms" in text and not text.startswith("area") else 0
            for value, alive, stays in zip(group.abs().tolist(), mask.tolist(), k.tolist(), strict=True):
                if text.startswith("rms"):
                    assert alive == (value > t_p)
                elif text.startswith("area") and x > 0:
                    assert alive == (stays or value < t_a)
                elif text.startswith("banded"):
                    assert alive == (value < min(t_p, t_k) or value > max(t_p, t_k) or (stays and t_p <= t_k))
                else:
                    assert alive == (stays or text != "fw")


# ---- schedules


@pytest.mark.parametrize("text", ["magnitude", "gmp", "rigl:100", "rigl:1"])
def test_a_schedule_reads_as_it_is_written(text):
    assert str(parse_schedule(text)) == text


@pytest.mark.parametrize("text", ["rigl", "rigl:ten", "rigl:1.5", "gmp:3", "Magnitude", ""])
def test_an_unknown_schedule_is_refused(text):
    with pytest.raises(ValueError, match="is no schedule; right would be magnitude, gmp or rigl:K"):
        parse_schedule(text)


def test_an_exchange_every_zero_steps_is_refused():
    with pytest.raises(ValueError, match=r"'rigl:0': .* right would be rigl:100"):
        parse_schedule("rigl:0")


def test_gmp_is_cubic_and_full_at_three_quarters():
    gmp = parse_schedule("gmp")
    assert gmp.share(0, 0.9) == 0
    assert gmp.share(0.375, 0.8) == pytest.approx(0.8 * (1 - 0.5**3))
    assert [gmp.share(t, 0.9) for t in (0.75, 0.8, 1)] == [0.9] * 3
    ramp = [gmp.share(t / 100, 0.9) for t in range(76)]
    assert all(a < b for a, b in pairwise(ramp))
    per_member = torch.tensor([0.5, 0.9], dtype=torch.float64)
    assert gmp.share(0.375, per_member).tolist() == pytest.approx([0.4375, 0.7875])


@given(st.floats(0, 1), shares)
def test_the_other_schedules_prune_their_full_share_throughout(progress, share):
    assert parse_schedule("magnitude").share(progress, share) == share
    assert parse_schedule("rigl:100").share(progress, share) == share


def test_rigl_exchanges_in_its_steps_and_less_and_less():
    hundred, one = parse_schedule("rigl:100"), parse_schedule("rigl:1")
    assert [s for s in range(1000) if hundred.updates(s, 1000)] == [100, 200, 300, 400, 500, 600, 700]
    assert [s for s in range(400) if hundred.updates(s, 400)] == [100, 200]
    assert [s for s in range(1000) if one.updates(s, 1000)] == list(range(1, 1000))
    for schedule, end in ((hundred, 0.75), (one, 1.0)):
        assert schedule.fraction(0) == pytest.approx(0.3)
        assert schedule.fraction(end / 2) == pytest.approx(0.15)
        assert schedule.fraction(end) == schedule.fraction(1) == pytest.approx(0)
        falling = [schedule.fraction(end * t / 50) for t in range(51)]
        assert all(a > b for a, b in pairwise(falling))


# ---- RigL


def exchanged(mask, weight, gradient, fraction):
    """Algorithm 1 of Evci et al. for one member, in lists."""
    w, g = weight.abs().flatten().tolist(), gradient.abs().flatten().tolist()
    active = [i for i, on in enumerate(mask.flatten().tolist()) if on]
    count = int(len(active) * fraction)
    stay = sorted(active, key=lambda i: (-w[i], i))[: len(active) - count]
    others = [i for i in range(len(w)) if i not in stay]
    chosen = {*stay, *sorted(others, key=lambda i: (-g[i], i))[:count]}
    return torch.tensor([i in chosen for i in range(len(w))]).view(mask.shape)


@given(array_shapes(min_dims=3, max_dims=3, max_side=6), shares, st.sampled_from([0.0, 0.1, 0.3, 1.0]), st.data())
def test_rigl_drops_the_smallest_and_grows_where_the_gradient_is_largest(shape, share, fraction, data):
    weight, gradient = (torch.from_numpy(data.draw(arrays("float32", shape, elements=few))) for _ in range(2))
    mask = masks.rigl_init(weight, share, [torch.Generator().manual_seed(i) for i in range(shape[0])])
    new = masks.rigl_update(mask, weight, gradient, share, fraction)
    expected = [exchanged(*parts, fraction) for parts in zip(mask, weight, gradient, strict=True)]
    assert torch.equal(new, torch.stack(expected))


def test_rigl_keeps_its_density_and_exchanges_what_it_says():
    weight, final, schedule = gaussian(3, 50, 40), torch.tensor([0.1, 0.5, 0.9]).double(), parse_schedule("rigl:1")
    mask = masks.rigl_init(weight, final, [torch.Generator().manual_seed(i) for i in range(3)])
    for step in range(20):
        gradient, fraction = gaussian(3, 50, 40, seed=step), schedule.fraction(step / 40)
        new = masks.rigl_update(mask, weight, gradient, final, fraction)
        assert new.flatten(1).sum(1).tolist() == [1800, 1000, 200]
        gone, come = (mask & ~new).flatten(1).sum(1), (new & ~mask).flatten(1).sum(1)
        assert torch.equal(gone, come) and (gone <= fraction * torch.tensor([1800, 1000, 200])).all() and gone.all()
        mask = new
    assert torch.equal(masks.rigl_update(mask, weight, gradient, final, schedule.fraction(1)), mask)


def test_the_first_mask_is_random_and_a_members_own():
    weight = gaussian(3, 50, 40)

    def draw(*seeds):
        return masks.rigl_init(weight[: len(seeds)], 0.5, [torch.Generator().manual_seed(seed) for seed in seeds])

    assert torch.equal(draw(1, 2, 3)[2:], draw(3))
    assert not torch.equal(draw(1), draw(2))
    assert (draw(1, 2, 3).flatten(1).sum(1) == 1000).all()
    assert weight[draw(1, 2, 3)].abs().mean() == pytest.approx(weight.abs().mean().item(), rel=0.05)  # blind to size
