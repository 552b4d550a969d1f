"""The reference lines agree with independent numbers, and no other line lies below Shannon's."""

import numpy as np
import pytest

import rholaw as rl
from rholaw.error.bounds import entropy_coded, shannon, sparse_support

# Computed apart from this package, by quadrature: bits → step, GMSE with centres, GMSE with centroids.
ENTROPY_CODED = {
    1: (2.4216194554, 0.46817230270396964, 0.34833863751159333),
    2: (1.0824465436, 0.09764087091361696, 0.0889412224738978),
    3: (0.5224332450, 0.022744707956448514, 0.022238833387326573),
    4: (0.2590167439, 0.00559080613323494, 0.005559722572841097),
    5: (0.1292377018, 0.0013918652966108873, 0.001389930699409292),
    6: (0.0645851495, 0.0003476034612565148, 0.0003474826750721194),
    8: (0.0161436572, 2.1718138859297224e-05, 2.1717667197274082e-05),
}


@pytest.mark.parametrize("bits", ENTROPY_CODED)
def test_entropy_coded_grids_agree_with_independent_values(bits):
    step, centre, centroid = ENTROPY_CODED[bits]
    ours = entropy_coded(bits)
    assert ours.step == pytest.approx(step, abs=1e-10)
    assert ours.centre == pytest.approx(centre, rel=1e-9)
    assert ours.centroid == pytest.approx(centroid, rel=1e-9)


@pytest.mark.parametrize("bits", [0.1, 0.5, 1, 2.5, 6, 12])
def test_bound_then_centroids_then_centres(bits):
    assert shannon(bits) < entropy_coded(bits).centroid < entropy_coded(bits).centre < 1


def test_at_high_rates_a_quarter_bit_is_lost():
    lost = np.log2(entropy_coded(12).centre / shannon(12)) / 2
    assert lost == pytest.approx(np.log2(np.pi * np.e / 6) / 2, abs=1e-5)


def test_entropy_is_what_was_asked_for():
    rng = np.random.default_rng(0)
    codes = np.round(rng.standard_normal(10**6) / entropy_coded(3.3).step)
    share = np.unique(codes, return_counts=True)[1] / 10**6
    assert -(share * np.log2(share)).sum() == pytest.approx(3.3, abs=0.005)


@pytest.mark.parametrize("bits", [0, 0.05, 13, np.inf, np.nan])
def test_a_rate_out_of_range_is_refused(bits):
    with pytest.raises(ValueError, match=r"0\.1 to 12 bits"):
        entropy_coded(bits)


def test_shannon_takes_arrays():
    assert shannon(np.array([1, 2])).tolist() == [0.25, 0.0625]


@pytest.mark.parametrize("bits", [0.0, 0.5, 2.0, 6.0])
def test_without_pruning_the_sparse_bound_is_shannons(bits):
    assert sparse_support(bits, 1.0) == pytest.approx((shannon(bits),) * 2)


@pytest.mark.parametrize("bits", [0.3, 1.0, 2.0, 4.0])
def test_pruning_first_never_beats_shannon_and_never_helps(bits):
    for density in np.linspace(0.01, 1, 100):
        bound = sparse_support(bits, density)
        assert shannon(bits) <= bound.lower <= bound.reached * (1 + 1e-12) or bound.lower == np.inf
    reached = [sparse_support(bits, density).reached for density in np.linspace(0.01, 1, 100)]
    assert np.argmin(reached) == 99


@pytest.mark.parametrize(("kept", "rate"), [("s0.5", 3), ("s0.5", 5), ("s0.75", 4)])
def test_formats_lie_above_the_sparse_bound(kept, rate):
    density = 1 - float(kept[1:])
    mask = -(density * np.log2(density) + (1 - density) * np.log2(1 - density))
    bound = sparse_support(mask + density * rate, density)
    assert bound.lower < rl.gmse(f"{kept}+lm{rate}").value
    assert bound.lower > rl.gmse(kept).value


def test_the_entropy_power_of_the_survivors_is_right():
    from scipy import integrate, stats

    density, rate = 0.4, 7.0
    edge = stats.norm.isf(density / 2)
    entropy = (
        2 * integrate.quad(lambda x: -stats.norm.pdf(x) / density * np.log(stats.norm.pdf(x) / density), edge, 12)[0]
    )
    mask = stats.bernoulli(density).entropy() / np.log(2)
    error = sparse_support(mask + density * rate, density).lower - rl.gmse("s0.6").value
    assert error == pytest.approx(density * np.exp(2 * entropy) / (2 * np.pi * np.e) * 4**-rate, rel=1e-6)


def test_a_mask_that_does_not_fit_is_infinite_and_a_wrong_share_is_refused():
    assert sparse_support(0.5, 0.5) == (np.inf, np.inf)
    with pytest.raises(ValueError, match="0 < density"):
        sparse_support(2, 0)
