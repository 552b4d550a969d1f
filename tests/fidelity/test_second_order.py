"""The second order: tables made up so that the answer is known, and what the recorded table is quoted for."""

import numpy as np
import pandas as pd
import pytest

import rholaw as rl
from rholaw.fidelity import second_order

BLOCKS = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "mxfp4", "mxfp6_e2m3", "nvfp4", "int4/g32", "sint4/g32", "sint8/g32"]


def made_up(kappa=3.0, n_params=1000, n_tokens=10_000, schedule="constant"):
    """A model on which all that the theory says is so."""
    errors = {name: float(rl.gmse(name)) for name in BLOCKS} | {"0.01": 0.01, "0.1": 0.1}
    rows = []
    for name, error in errors.items():
        kind = "format" if name in BLOCKS else "noise"
        row = {"n_params": n_params, "n_tokens": n_tokens, "schedule": schedule, "dense_loss": 3.0, "kind": kind}
        row |= {"name": name, "gmse": error, "of": "blocks" if kind == "format" else "noise", "kappa": kappa}
        row |= {"kappa_stderr": 0.0, "error": error} | dict.fromkeys(("fisher", "quadratic", "kl"), kappa * error)
        rows.append(row | {"kl_stderr": 1e-4 * kappa * error})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("kind", "names"),
    {
        "grids": ["int4", "lm3", "nf4", "e8p"],
        "floats": ["e2m1", "fp8_tensor"],
        "rows": ["sint4/row", "fp8_row"],
        "blocks": ["q4_0", "iq4_nl", "q4_k", "nvfp4", "nf4/g64:fp32"],
        "pruned": ["2:4", "s0.5+int4", "2:4+nvfp4"],
        "outliers apart": ["int4+out0.01"],
    }.items(),
)
def test_kinds(kind, names):
    assert {second_order.kind(rl.parse(name)) for name in names} == {kind}


def test_three_ways_to_one_kappa():
    row = second_order.models(made_up(3.0)).iloc[0]
    assert row.kappa == row.noise == pytest.approx(3.0) and row.slope == pytest.approx(1.0)
    assert row.blocks == pytest.approx(3.0, rel=0.02) and row.blocks_low < 3.0 < row.blocks_high
    assert row.status == "converged"


def test_few_formats_in_blocks_tell_no_kappa():
    table = made_up()
    few = second_order.models(pd.concat([table[~table.name.isin(BLOCKS[3:])], made_up(n_params=2000)]))
    assert few.blocks.isna().tolist() == [True, False]


def test_the_factors_multiply_to_the_departure():
    table = made_up().assign(fisher=0.2, quadratic=0.3, kl=0.6)
    parts = second_order.factors(table)
    assert np.allclose(parts["size"] * parts.direction * parts.beyond, parts.total)
    assert np.allclose(parts.total, 0.6 / (3.0 * table.gmse)) and (parts.beyond == 2.0).all()


def test_growth_finds_the_exponents_it_was_made_with():
    sizes = pd.DataFrame({"n_params": [1e4, 1e4, 1e5, 1e5, 1e6], "n_tokens": [1e6, 1e8, 1e6, 1e7, 1e9]})
    sizes["kappa"] = 2 * sizes.n_params**0.2 * (sizes.n_tokens / sizes.n_params) ** 0.5
    table = second_order.growth(sizes)
    assert table.exponent.to_dict() == pytest.approx({"N": 0.2, "D/N": 0.5, "scatter": 1.0})
    assert (table.low[:2] <= table.exponent[:2] + 1e-9).all() and (table.high[:2] >= table.exponent[:2] - 1e-9).all()
    with pytest.raises(ValueError, match="four models, and there are 3"):
        second_order.growth(sizes[:3])


def test_decay_is_the_factor_between_pairs():
    factors = {(10, 1): 1.0, (20, 1): 4.0, (10, 2): 1.5}
    rows = [
        {"n_params": n, "n_tokens": d, "schedule": schedule, "kappa": n * (factor if schedule == "decayed" else 1.0)}
        for (n, d), factor in factors.items()
        for schedule in ("constant", "decayed")
    ]
    rows.append({"n_params": 30, "n_tokens": 2, "schedule": "constant", "kappa": 1.0})  # no pair
    table = second_order.decay(pd.DataFrame(rows))
    assert table.loc[1].tolist() == pytest.approx([2.0, 1.0, 4.0, 2]) and table.loc[2].tolist() == [1.5, 1.5, 1.5, 1]


def test_rounded_before_compares_with_the_untouched_model():
    untouched, other = made_up().assign(stored="dense"), made_up(n_params=2000).assign(stored="dense")
    before = untouched.assign(stored="q4_1", dense_loss=3.1, kl=1.5 * untouched.kl, kappa=2.0 * untouched.kappa)
    table = second_order.rounded_before(pd.concat([untouched, other, before])).set_index("name")
    assert list(table.index) == BLOCKS and np.allclose(table[["error", "kl", "kappa", "lost"]], [1.0, 1.5, 2.0, 0.1])


def test_what_the_recorded_models_are_quoted_for():
    table = second_order.disturbed().query("stored == 'dense'")
    assert table[table.kind == "format"].groupby(second_order.MODEL).size().min() >= 40
    parts = second_order.factors(table)
    for _, part in parts.groupby(second_order.MODEL):
        noise, blocks = part[part.kind == "noise"], part[(part.of == "blocks") & (part.gmse < 0.02)]
        assert (noise.quadratic / noise.fisher).mean() == pytest.approx(1.0, abs=0.07)
        assert len(blocks) < second_order.ENOUGH or blocks.total.median() == pytest.approx(1.0, abs=0.1)
        assert (part.kl_stderr / part.kl)[part.gmse.between(0.005, 0.02)].median() < 0.03
    models = table.groupby(second_order.MODEL).kappa.first().unstack("schedule").dropna()
    longer = models.query("n_tokens > 1e6")
    assert len(longer) >= 4 and (longer.decayed > longer.constant).all()
    assert (models.groupby("n_params").agg(lambda kappas: kappas.is_monotonic_increasing)).all(axis=None)


def test_models_that_were_only_rounded_have_the_kappa_of_their_own_rises():
    table = second_order.rounded().set_index(["n_params", "n_tokens"])
    rises = second_order.tables.read("measured/gpu2026_rounded").dropna(subset=["rise"])
    size = table.index[0]
    own = rises[(rises.n_params == size[0]) & (rises.n_tokens == size[1])].set_index("format").rise
    blocks = [name for name in own.index if second_order.kind(rl.parse(name)) == "blocks"]
    slopes = [own[name] / float(rl.gmse(name)) for name in blocks if own[name] > 0.02]
    assert len(blocks) >= second_order.ENOUGH and (table.schedule == "cosine").all()
    assert table.blocks.loc[size] == pytest.approx(np.median(slopes), rel=0.3)
    assert (table.blocks_low < table.blocks).all() and (table.blocks < table.blocks_high).all()
