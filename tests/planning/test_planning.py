"""Plans: by hand where everything is certain, at their limits, and what they say in two languages."""

import dataclasses
import functools
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import spoken
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import rholaw as rl
from rholaw.hardware import devices as hardware
from rholaw.hardware import geometry
from rholaw.laws import draws as capacities
from rholaw.planning import advice, cases, columns, costs, doubts, load, outcomes, rows, uncertain, words
from rholaw.planning.remarks import Verdict

RUNS = rl.runs.one_estimator(rl.runs.load("quest2025"))
FIT = rl.fit("unified", RUNS, fixed={"E": 1.0}, n_bootstrap=40)
FP8, INT4 = {"weights": "fp8_row", "activations": "fp8_row"}, {"weights": "sint4/g128"}
BASE = {
    "model": {"geometry": "Llama-3.1-8B", "tokens": 15e12},
    "formats": [FP8],
    "hardware": {"devices": ["H100 80GB SXM"], "batches": [64]},
    "traffic": {"requests_per_month": 3e8},
    "project": {"kind": "qat", "tolerance": 0.05},
    "run": {"samples": 100, "today": "2026-06-01"},
}
CERTAIN = {
    "hardware": {"devices": ["H100 80GB SXM"], "batches": [64], "system_efficiency": 0.5},
    "traffic": {"requests_per_month": 1e6, "tokens_in": 1000, "tokens_out": 200, "utilisation": 0.5},
    "prices": {"gpu_hour_usd": {"H100 80GB SXM": 3.0}, "overhead": 1.2, "power_share": 0.7, "pue": 1.2},
    "project": {"kind": "qat", "engineer_weeks": 5, "slowdown": 1.5, "mfu": 0.4, "tolerance": 1.0},
    "formats": [FP8 | {"rho": 0.8, "speedup_prefill": 1.5, "speedup_decode": 1.25, "measured_on": "by hand"}],
}


def planned(**parts):
    """The plan of BASE with other values; the same one for the same values."""
    return _planned(json.dumps(parts, sort_keys=True, default=float))


@functools.cache
def _planned(parts):
    return computed(**json.loads(parts))


def computed(**parts):
    """The same, anew."""
    data = BASE | {name: BASE.get(name, {}) | part if isinstance(part, dict) else part for name, part in parts.items()}
    return rl.plan(data, law=FIT)


def the(plan, option, **where):
    """The one row of a plan's table."""
    found = plan.table[plan.table.option == option]
    for name, value in where.items():
        found = found[found[name] == value]
    assert len(found) == 1
    return found.iloc[0]


# --- money and time -----------------------------------------------------------------------------------------------


@given(st.tuples(*[st.floats(0, 100)] * 3).map(sorted), st.floats(0.001, 0.999))
def test_the_triangular_distribution(bounds, quantile):
    low, mid, high = bounds
    if high - low < 1e-6:
        return
    expected = stats.triang((mid - low) / (high - low), low, high - low).ppf(quantile)
    assert float(costs.triangular((low, mid, high), quantile)) == pytest.approx(expected, abs=1e-6)


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=40))
def test_quantiles_are_values_of_which_so_many_are_no_larger(values):
    expected = np.quantile(values, (0.1, 0.5, 0.9), method="inverted_cdf")
    assert rows.quantiles(np.array(values)).tolist() == expected.tolist()
    several = rows.quantiles(np.array([values, [*values[1:], math.nan]]))
    assert several[0].tolist() == expected.tolist() and np.isnan(several[1]).all()


def test_costs_by_hand():
    assert costs.per_million(1000.0, 3.6, 0.5) == pytest.approx(2.0)  # 1000 s at USD 3.6 an hour, half of it idle
    assert costs.kwh_per_million(1000.0, 700, 1.2) == pytest.approx(0.7 * 1.2 * 1000 / 3600)
    assert costs.training_usd(8e9, 15e12, 0.4, 989e12, 2.0) == pytest.approx(
        6 * 8e9 * 15e12 / (0.4 * 989e12 * 3600) * 2
    )


def test_an_annuity_is_the_sum_of_its_discounted_payments():
    monthly = 1.08 ** (1 / 12)
    assert costs.annuity(30, 0.08) == pytest.approx(sum(monthly**-k for k in range(1, 31)))
    assert costs.annuity(30, 0.0) == 30


def test_returns_and_their_limits():
    found = costs.returns([100, 0, -5, 100, 0, np.nan, -5], [1200, 1200, 1200, 0, 0, 1, -100], 24, 0.0)
    assert found["npv"][:5].tolist() == [1200, -1200, -1320, 2400, 0]
    assert found["roi"][:5].tolist() == [1, -1, -1.1, math.inf, 0]
    assert found["payback_months"][:5].tolist() == [12, math.inf, math.inf, 0, 0]
    assert np.isnan([found[name][5] for name in found]).all()
    assert found["npv"][6] == -20 and found["payback_months"][6] == math.inf  # cheaper once, dearer every month


# --- a plan by hand -----------------------------------------------------------------------------------------------


SHAPE = {"layers": 10, "d_model": 1000, "heads": 10, "kv_heads": 5, "head_dim": 100, "d_ff": 3000, "tied": True}
SLIDE_RULE = {"memory": 10, "bandwidth": 1000, "bf16": 100, "power": 500}  # GB, GB/s, TFLOP/s, W: all its peaks reached
SLIDE_RULE |= {f"price_{level}": 3 for level in ("low", "mid", "high")}
UNCERTAIN = {name for name, column in columns.COLUMNS.items() if column.of}
OF_THE_LAW = {"loss", "dloss", "dloss_trained", "target_params", "target_tokens", "cost_target"}
"""Columns that the draws of the law move, whatever else is certain."""


@pytest.fixture
def certain(tmp_path):
    """A plan in which the law alone is uncertain, on a device and of a model of round numbers."""
    path = tmp_path / "mine.csv"
    lines = ["device,property,value", *(f"Slide rule,{name},{value}" for name, value in SLIDE_RULE.items())]
    path.write_text("\n".join(lines))
    return planned(
        model={"geometry": SHAPE | {"vocabulary": 10_000}, "tokens": 1e10},
        hardware={"devices": ["Slide rule"], "batches": [8], "system_efficiency": 0.5, "overrides": str(path)},
        traffic={"requests_per_month": 1e6, "tokens_in": 1000, "tokens_out": 200, "utilisation": 0.5},
        prices={"billing": "hours", "overhead": 1.2, "power_share": 0.7, "pue": 1.2},
        project=CERTAIN["project"],
        formats=CERTAIN["formats"],
    )


def test_a_plan_without_uncertainty_is_what_one_computes_by_hand(certain):
    own, dense = the(certain, "fp8_row x fp8_row"), the(certain, "dense")
    linear = 10 * (2e6 + 1e6 + 6e6 + 3e6)  # query, key and value; output; gate and up; down
    assert own.n_params == linear + 21_000  # and 21 norms
    # 8 prompts of 1000 tokens, limited by arithmetic, each token looking back at 500 others on average
    flops = 2 * 8000 * linear + 4 * 8000 * 500 * 10 * 10 * 100
    read = 8000 / (flops / 100e12 / 0.5)
    # 8 tokens of output, limited by bytes: weights, 320 kB a token of activations, the head, 1100 tokens of cache each
    moved = 2 * linear + 8 * 320e3 + 2 * 10_000 * 1000 + 8 * 1100 * (2 * 10 * 5 * 100 * 2)
    write = 8 / (moved / 1000e9 / 0.5)
    assert (read, write) == pytest.approx((192_307.7, 9_120.76), rel=1e-6)
    assert dense.prefill_tokens_s == pytest.approx(read) and dense.decode_tokens_s == pytest.approx(write)
    assert own.prefill_tokens_s == pytest.approx(1.5 * read) and own.decode_tokens_s == pytest.approx(1.25 * write)
    rate = 1e6 / (730.5 * 3600) / 0.5  # of which Little's law makes fewer than one in flight
    alone = (2 * linear + 320e3 + 2 * 10_000 * 1000 + 1100 * 20e3) / 1000e9 / 0.5 / 1.25
    assert own.latency_ms == pytest.approx(1000 * alone, rel=0.02) and own.in_flight < 0.2
    assert own.in_flight == pytest.approx(rate * (1000 / 1.5 / read + 200 * own.latency_ms / 1000), rel=1e-3)
    assert own.cost_in == pytest.approx(1e6 * 3.6 / (3600 * 1.5 * read * 0.5))
    month = 1e6 * (1000 / read + 200 / write) / 3600 / 0.5 * 3.6
    saved = month - 1e6 * (1000 / 1.5 / read + 200 / 1.25 / write) / 3600 / 0.5 * 3.6
    assert dense.cost_month == pytest.approx(month) and own.saving_month == pytest.approx(saved)
    assert own.kwh_out == pytest.approx(1e6 / (1.25 * write) / 3600 * 0.5 * 0.7 * 1.2)
    once = 5 * 4000 + 5000 + 6 * 120_021_000 * 1e9 * 1.5 / (0.4 * 100e12 * 3600) * 3.6
    assert own.cost_once == pytest.approx(once) and own.payback_months == pytest.approx(once / saved)
    today = sum(1.05 ** (-month / 12) for month in range(1, 25))
    assert own.npv == pytest.approx(saved * today - once)
    assert own.roi == pytest.approx(own.npv / once) and own.pays == float(own.npv > 0)
    assert own.break_even_requests == pytest.approx(once / (saved / 1e6 * today))
    assert own.margin_decode == pytest.approx(1.25 * 0.8 - 1) and own.margin_memory == pytest.approx(
        1 - 8.0 / 12.8, abs=0.01
    )
    assert own.n_dense == pytest.approx(0.8 * own.n_params)
    assert dense.memory_weights_gb == pytest.approx(0.24) and dense.memory_kv_gb == pytest.approx(8 * 1200 * 20e-6)
    twice = rl.plan(certain.scenario.replace(prices={"currency": "JPY", "rate": 150}), law=FIT)
    assert the(twice, "dense").cost_month == pytest.approx(150 * month) and twice.npv[0] == pytest.approx(150 * own.npv)


def test_what_is_certain_is_one_value_and_not_a_draw_for_each_of_the_law(certain):
    for name in sorted((UNCERTAIN - OF_THE_LAW) & set(certain.table.columns)):
        low, mid, high = (certain.table[name + part] for part in ("_p10", "", "_p90"))
        assert ((low == mid) & (mid == high) | mid.isna()).all(), name
    assert len(certain.npv) == 100 and len(set(certain.npv)) == 1
    draws, scenario = capacities.draws(FIT), certain.scenario
    drawn = uncertain.random(scenario, draws.order(scenario.options))
    for case in cases.cases(scenario, hardware.devices(scenario.hardware.overrides)):
        outcome = outcomes.outcome(case, drawn, draws)
        for name in ("usd_month", "usd_once", "kwh_month", "memory", "latency_ms"):
            assert np.size(getattr(outcome, name)) == 1, name
        assert np.size(outcome.loss) == 100  # the law's draws


def test_loss_and_training_come_from_the_law():
    draws = capacities.draws(FIT)
    N, D = geometry.named()["Llama-3.1-8B"].non_embedding, 15e12
    own = the(planned(), "fp8_row x fp8_row")
    rho = FIT.capacity("fp8_row", "fp8_row", level=0.8)
    assert own.rho == pytest.approx(rho[0], rel=0.01) and own.rho_p10 == pytest.approx(rho[1], rel=0.01)
    law = FIT.law()
    assert own.dloss == pytest.approx(law.loss(N, D, rho[0]) - law.loss(N, D), rel=0.15)
    params, tokens = draws.cheapest(2.2, 0.8)
    assert draws.loss(params, tokens, 0.8) == pytest.approx(2.2)
    flops = 6 * params[0] * tokens[0]
    first = rl.Law(*(float(getattr(draws, name)[0]) for name in ("A", "alpha", "B", "beta", "E")))
    assert first.compute_optimal(flops, 0.8) == pytest.approx((params[0], tokens[0]), rel=1e-6)


def test_equal_loss_serves_a_larger_model_and_pays_where_speed_up_times_rho_exceeds_one():
    faster = {"speedup_prefill": 1.5, "speedup_decode": 1.5, "measured_on": "x"}
    shape = {"layers": 2, "d_model": 8192, "heads": 1, "kv_heads": 1, "head_dim": 8, "d_ff": 32768, "vocabulary": 8}
    for rho in (0.6, 0.8):
        plan = planned(  # hardly any attention or vocabulary: products of matrices alone
            model={"geometry": shape, "tokens": 1e12},
            formats=[FP8 | faster | {"rho": rho}],
            project={"kind": "train"},
            hardware={"batches": [8192], "devices": ["A100 80GB SXM"], "reserve_gb": 0},
            traffic={"tokens_in": 1, "tokens_out": 1},
        )
        dense, row = the(plan, "dense"), plan.table[plan.table.option != "dense"].iloc[0]
        assert row.comparison == "equal-loss" and row.dloss == 0
        assert row.n_params == pytest.approx(dense.n_params / rho)
        assert row.prefill_tokens_s / dense.prefill_tokens_s == pytest.approx(1.5 * rho, rel=0.01)
        assert (row.margin_prefill > 0) == (row.prefill_tokens_s > dense.prefill_tokens_s) == (rho > 1 / 1.5)
        assert row.memory_weights_gb / dense.memory_weights_gb == pytest.approx((1 - row.margin_memory), rel=1e-6)


def test_equal_loss_and_equal_n_are_never_mixed():
    for compare in ("equal-loss", "equal-n"):
        plan = planned(project={"kind": "train", "compare": compare})
        assert (plan.table.comparison == compare).all()
        own = the(plan, "fp8_row x fp8_row")
        assert (own.dloss == 0, own.n_params == the(plan, "dense").n_params) == (
            (True, False) if compare == "equal-loss" else (False, True)
        )


def test_training_anew_charges_the_difference_to_a_dense_model():
    certain = {"project": CERTAIN["project"] | {"kind": "train", "compare": "equal-loss"}}
    plan = planned(**CERTAIN | certain)
    own, dense = the(plan, "fp8_row x fp8_row"), the(plan, "dense")
    assert own.cost_training == pytest.approx(dense.cost_training * 1.5 / 0.8)
    assert own.cost_once == pytest.approx(own.cost_training - dense.cost_training + 25000)
    assert own.cost_target / dense.cost_target == pytest.approx(1.5 / 0.8)


def test_an_option_may_have_a_slowdown_of_its_own():
    project = {"kind": "train", "compare": "equal-n", "slowdown": 2.0, "mfu": 0.4}
    plan = planned(formats=[FP8 | {"slowdown": 0.5}, INT4], project=project)
    dense = the(plan, "dense").cost_training
    assert the(plan, "fp8_row x fp8_row").cost_training == pytest.approx(dense / 2)
    assert the(plan, "sint4/g128").cost_training == pytest.approx(dense * 2)
    assert "fp8_row x fp8_row: slowdown of training in the format" in set(plan.assumptions.item)


# --- the hardware -------------------------------------------------------------------------------------------------


def test_a_large_model_needs_fewer_devices_when_compressed():
    plan = planned(model={"geometry": "Llama-3.1-70B"}, hardware={"gpus": [1, 2, 4], "batches": [16]})
    fits = plan.table.pivot(index="option", columns="gpus", values="fits")
    assert fits.loc["dense"].tolist() == [False, True, True]
    assert fits.loc["fp8_row x fp8_row"].tolist() == [False, True, True]  # 70 GB and a reserve: not on 80 GB with cache
    small = planned(model={"geometry": "Llama-3.1-70B"}, formats=[INT4], hardware={"gpus": [1, 2], "batches": [16]})
    assert the(small, "sint4/g128", gpus=1).fits and not the(small, "dense", gpus=1).fits
    assert any("communication is reckoned from their links" in text for text in plan.warnings)


def test_devices_that_cannot_share_the_heads_alike_are_stages_of_a_pipeline_and_the_plan_says_so():
    large = {"model": {"geometry": "Llama-3.1-70B"}, "formats": [INT4]}
    plan = planned(**large, hardware={"gpus": [4, 6], "batches": [1]})
    told = [text for text in plan.warnings if "pipeline" in text]
    assert len(told) == 1 and "of 6 devices is planned as 3 stages of a pipeline, each of 2 devices" in told[0]
    four, six = (the(plan, "dense", gpus=gpus) for gpus in (4, 6))
    assert six.fits and six.decode_tokens_s < four.decode_tokens_s  # two share each product, one after another


def test_several_devices_are_as_fast_as_their_efficiency_says():
    parts = {"gpus": [1, 2], "parallel_efficiency": 0.75, "system_efficiency": 0.6}
    plan = planned(hardware=parts, traffic={"utilisation": 0.5}, prices={"billing": "hours"})
    one, two = (the(plan, "dense", gpus=gpus) for gpus in (1, 2))
    assert two.decode_tokens_s == pytest.approx(1.5 * one.decode_tokens_s)
    assert two.cost_out == pytest.approx(one.cost_out / 0.75) and two.latency_ms == pytest.approx(one.latency_ms / 1.5)


def test_memory_is_counted_with_everything_that_lies_in_it():
    own = the(planned(traffic={"context": 4000}), "fp8_row x fp8_row")
    parts = [own[f"memory_{name}_gb"] for name in ("weights", "embeddings", "kv", "reserve")]
    assert own.memory_gb == pytest.approx(sum(parts)) and own.memory_reserve_gb == 3.5
    assert own.memory_kv_gb == pytest.approx(131072 * 64 * 4000 / 1e9)
    half = the(
        planned(formats=[FP8 | {"kv": "fp8_tensor"}], traffic={"context": 4000}), "fp8_row x fp8_row kv fp8_tensor"
    )
    assert half.memory_kv_gb == pytest.approx(own.memory_kv_gb / 2)
    emulated = the(planned(formats=[INT4 | {"kernel": "emulated"}]), "sint4/g128")
    assert emulated.memory_weights_gb == the(planned(), "dense").memory_weights_gb and emulated.speedup_decode == 1


def test_a_bought_device_pays_for_its_electricity_and_a_rented_one_does_not():
    rented = planned(**CERTAIN)
    prices = CERTAIN["prices"] | {"purchase_usd": {"H100 80GB SXM": 3 * 36 * costs.HOURS}, "electricity_usd_kwh": 0.1}
    prices.pop("gpu_hour_usd")
    own = the(planned(**CERTAIN | {"prices": prices}), "dense")
    dear = the(rented, "dense")
    assert own.cost_month == pytest.approx(dear.cost_month / 1.2 + own.kwh_month * 0.1)


def test_whole_machines_are_paid_whole():
    found = planned(prices={"billing": "machines"}, traffic={"requests_per_month": 1e3})
    assert (found.table.hours_month == costs.HOURS).all() and not (found.table.saving_month > 0).any()
    assert found.verdict == "do not compress"


def test_more_traffic_than_one_replica_bears_is_priced_as_several():
    parts = {"hardware": {"gpus": [2], "batches": [64], "devices": ["H100 80GB SXM"]}, "formats": [INT4]}
    given = {"traffic": {"utilisation": [0.3, 0.5, 0.7]}}
    busy = {
        billing: planned(**parts, **given, prices={"billing": billing}).table.iloc[0]
        for billing in ("hours", "machines")
    }
    used, whole = busy["hours"], busy["machines"]
    assert used.replicas > 1 and used.hours_month == pytest.approx(used.replicas * costs.HOURS)
    assert whole.replicas == math.ceil(used.replicas / load.FULL) and whole.devices_paid == 2 * whole.replicas
    fewer = {"traffic": {"requests_per_month": 3e8 / used.replicas, "utilisation": [0.3, 0.5, 0.7]}}
    alone = planned(**parts, **fewer, prices={"billing": "hours"}).table.iloc[0]
    assert alone.replicas == pytest.approx(1) and used.cost_month / alone.cost_month == pytest.approx(used.replicas)


def test_one_request_a_minute_pays_for_a_machine_all_month():
    alone = planned(traffic={"requests_per_month": 43_800}).table
    assert (alone.devices_paid == 1).all() and alone.cost_month.between(1500, 5000).all()
    assert (alone.in_flight < 1).all() and (alone.utilisation < 0.1).all()


def test_limits_of_latency_at_the_peak_are_bought_with_replicas_or_stand_against_a_row():
    free = the(planned(), "dense")
    bound = the(planned(traffic={"latency_ms": 0.8 * free.latency_ms, "ttft_ms": 0.5 * free.ttft_ms}), "dense")
    assert bound.feasible and bound.replicas > free.replicas and bound.in_flight < free.in_flight
    assert bound.latency_ms <= 0.8 * free.latency_ms and bound.ttft_ms <= 0.5 * free.ttft_ms
    late = the(planned(traffic={"ttft_ms": 5}), "dense")
    assert not late.feasible and "to the first token, with a limit of 5" in late.why_not


def test_speculation_may_be_credited_to_16_bits_too():
    credit = {"speculation": 2, "measured_on": "vLLM 0.18, H100"}
    plan = planned(formats=[{"weights": "dense"} | credit, FP8])
    plain, fast = the(planned(), "dense"), the(plan, "dense")
    assert fast.decode_tokens_s == pytest.approx(2 * plain.decode_tokens_s) and fast.speedup_decode == 1
    assert fast.prefill_tokens_s == pytest.approx(plain.prefill_tokens_s)
    assert any("speculation" in text for text in plan.warnings)
    with pytest.raises(rl.ScenarioError, match="measured_on"):
        planned(formats=[FP8 | {"speculation": 2}])


def test_absurd_numbers_of_machines_are_doubted():
    assert not any("leanest" in text for text in planned().warnings)
    told = planned(traffic={"requests_per_month": 1e14}, hardware={"gpus": [2]}).warnings
    [text] = [text for text in told if "leanest" in text]
    assert int(re.search(r"needs ([\d,]+) devices", text)[1].replace(",", "")) > doubts.MANY


def test_overrides_reach_the_plan(tmp_path):
    path = tmp_path / "mine.csv"
    lines = [f"H100 80GB SXM,price_{level},1" for level in ("low", "mid", "high")]
    path.write_text("\n".join(["device,property,value", *lines]))
    cheap, dear = planned(hardware={"overrides": str(path)}), planned()
    assert the(cheap, "dense").cost_month < the(dear, "dense").cost_month / 2


# --- limits -------------------------------------------------------------------------------------------------------


def test_no_traffic():
    plan = planned(traffic={"requests_per_month": 0}, prices={"billing": "hours"})
    assert plan.verdict == "do not compress" and "no traffic" in plan.recommendation
    assert (plan.table.cost_month == 0).all() and (plan.table.npv <= 0).all()


def test_one_token():
    plan = planned(traffic={"tokens_in": 1, "tokens_out": 1, "requests_per_month": 1}, hardware={"batches": [1]})
    assert plan.verdict == "do not compress" and np.isfinite(plan.table.cost_month).all()


MACHINES = st.tuples(st.sampled_from(list(hardware.devices())), st.integers(1, 10**6), st.integers(1, 10**6))
TERMS = st.tuples(st.sampled_from(["train", "qat", "post-training"]), st.sampled_from(["hours", "machines"]))


@pytest.mark.slow
@given(st.floats(1e6, 1e14), st.floats(0, 1e12), MACHINES, TERMS)
def test_whatever_is_asked_there_is_an_answer(params, requests, machine, terms):
    (device, batch, tokens), (kind, billing) = machine, terms
    plan = planned(
        model={"geometry": "", "params": min(params, 1e12) if kind == "post-training" else params, "tokens": 0},
        formats=[FP8, INT4, {"weights": "int1", "kernel": "native"}],
        traffic={"requests_per_month": requests, "tokens_in": tokens},
        project={"kind": kind},
        hardware={"devices": [device], "batches": [batch]},
        prices={"billing": billing},
    )
    assert plan.verdict in set(Verdict) and plan.summary_en and plan.summary_ja
    assert (plan.table.feasible | (plan.table.why_not != "")).all()


def test_a_device_without_the_format():
    plan = planned(hardware={"devices": ["A100 80GB SXM"], "engine": "SGLang"}, formats=[FP8])
    own = the(plan, "fp8_row x fp8_row")
    assert not own.feasible and own.speedup_decode == 1 and own.speed_source_decode == "no kernel"
    assert plan.verdict == "do not compress"
    assert "SGLang has fp8 x fp8 from compute capability 8.9 on" in plan.recommendation


def test_a_kernel_that_is_not_known_is_no_verdict():
    plan = planned(formats=[{"weights": "int4+out0.01"}], project={"tolerance": 1.0})
    own = the(plan, "int4+out0.01")
    assert own.kernel == "unknown" and own.untried and not own.feasible and own.speedup_decode == 1
    assert own.speed_source_decode == "kernel not known"
    assert plan.verdict == "cannot tell" and "not known" in plan.recommendation
    assert any(
        "no source here says whether vLLM runs outlier-keeping 4-bit integer weights" in warning
        for warning in plan.warnings
    )
    beside = planned(formats=[{"weights": "int4+out0.01"}, FP8], project={"tolerance": 1.0})
    assert beside.verdict == planned(project={"tolerance": 1.0}).verdict == "compress"  # another is known to pay


@pytest.mark.slow
def test_sparse_kernels_were_removed_and_a_credited_speed_says_on_what():
    sparse = {"weights": "2:4+fp8_row", "activations": "fp8_row"}
    plan = planned(formats=[sparse])
    assert "removed from vLLM 0.19.1" in plan.recommendation and plan.verdict == "do not compress"
    assert the(plan, "2:4+fp8_row x fp8_row").rho_source == "printed capacities, figures disagree"
    credited = planned(
        formats=[sparse | {"speedup_prefill": 1.7, "speedup_decode": 1.5, "measured_on": "vLLM 0.18 on H100"}],
        project={"tolerance": 1.0},
    )
    own = the(credited, "2:4+fp8_row x fp8_row")
    assert own.feasible and own.speed_source_decode == "yours" and own.speedup_decode == pytest.approx(1.5)
    assert any("measured on vLLM 0.18 on H100" in text and "credited by you" in text for text in credited.warnings)


def test_a_target_at_or_below_the_irreducible_loss_is_out_of_reach():
    plan = planned(project={"kind": "train", "target_loss": 0.9})
    assert np.isinf(plan.table.target_params).all() and plan.verdict == "do not compress" and plan.baseline is None
    assert "a loss of 0.9 is out of reach" in plan.recommendation
    assert any("A loss of 0.9 is out of reach in more than 99% of the law's draws" in text for text in plan.warnings)


def test_a_capacity_that_may_be_zero():
    plan = planned(formats=[FP8 | {"rho": [0.0, 0.0, 0.01]}, INT4 | {"rho": 0.0}], project={"kind": "train"})
    for row in plan.table[plan.table.option != "dense"].itertuples():
        assert not row.feasible and not row.fits and (math.isinf(row.n_params_p90) or row.n_params_p90 > 1e12)
    assert plan.recommendation.count("ρ may be as low as 0") == 2 and plan.verdict == "do not compress"


def test_nine_of_ten_draws_must_be_good_enough():
    options = [FP8 | {"dloss": [0.0, 0.01, 0.04]}, INT4 | {"dloss": [0.0, 0.01, 0.02]}]
    plan = planned(formats=options, project={"tolerance": 0.02})
    assert "loss too high" in the(plan, "fp8_row x fp8_row").why_not and the(plan, "sint4/g128").feasible


def test_when_only_the_compressed_model_fits():
    plan = planned(
        model={"geometry": "Qwen2.5-72B"},
        formats=[INT4],
        hardware={"devices": ["A100 80GB SXM"], "batches": [8]},
    )
    assert plan.verdict == "compress" and plan.baseline is None and plan.choice.option == "sint4/g128"
    assert "no 16-bit deployment meets the limits" in plan.summary_en and np.isnan(plan.choice.npv)


@pytest.mark.slow
def test_prices_that_are_old_or_missing():
    assert not any("days old" in text for text in planned().warnings)
    old = planned(run={"today": "2026-11-24"})
    assert any("price of H100 80GB SXM is 216 days old" in text for text in old.warnings)
    trained = planned(project={"train_device": "B300 SXM"})
    assert "no price of B300 SXM" in trained.recommendation and the(trained, "dense").feasible
    assert trained.verdict == "cannot tell" and the(trained, "fp8_row x fp8_row").unpriced == "B300 SXM"
    unknown = planned(hardware={"devices": ["B300 SXM"]})
    assert "no price of B300 SXM" in unknown.recommendation and unknown.table.cost_month.isna().all()
    assert any("sources differ about its int8; 153.5" in text for text in unknown.warnings)
    one = planned(hardware={"devices": ["TPU v6e"], "engine": "JetStream"})
    assert any("Only one price of TPU v6e was seen" in text for text in one.warnings)


def test_what_was_taken_without_a_source_is_one_sentence_of_what_the_plan_uses():
    (said,) = [text for text in planned(hardware={"devices": ["RTX 3090"]}).warnings if "without a source" in text]
    assert "memory 24 GB, bandwidth 936 GB/s" in said and "link" not in said and "nan" not in said and "fp4" not in said


@pytest.mark.slow
def test_without_a_price_it_is_not_money_that_decides():
    unknown = planned(hardware={"devices": ["B300 SXM"], "gpus": [1, 2], "batches": [8, 64]})
    own = unknown.table[unknown.table.option != "dense"]
    dense = unknown.table[unknown.table.option == "dense"]
    assert unknown.verdict == "cannot tell" and not unknown.table.feasible.any() and unknown.table.meets.all()
    assert unknown.choice is None and unknown.baseline is None
    for rows_ in (own, dense):
        hours = (rows_.gpus * rows_.hours_month).min()
        assert f"{float(f'{hours:.3g}'):,.12g}" in unknown.recommendation
    memory = planned(
        model={"geometry": "Qwen2.5-72B"}, formats=[INT4], hardware={"devices": ["B300 SXM"], "batches": [400]}
    )
    assert not the(memory, "dense").fits and the(memory, "sint4/g128").meets
    assert memory.verdict == "compress" and "What that costs cannot be told: no price of B300" in memory.recommendation
    slow = planned(hardware={"devices": ["B300 SXM"]}, project={"kind": "qat", "tolerance": 0})
    assert slow.verdict == "do not compress" and "neither do 16 bits" not in slow.recommendation  # the loss decides
    both = planned(hardware={"devices": ["H100 80GB SXM", "B300 SXM"]})
    assert both.choice.device == both.baseline.device == "H100 80GB SXM"
    assert the(both, "dense", device="B300 SXM").why_not == "no price of B300 SXM: give prices.gpu_hour_usd"


def test_energy_is_doubted_by_what_the_table_has_seen():
    told = [text for text in planned(formats=[INT4]).warnings if "kWh" in text]
    assert not any("kWh" in text for text in planned().warnings)  # fp8 computes in fp8
    rows_ = pd.read_csv(Path(__file__).parents[2] / "data" / "hardware" / "energy.csv")
    for kind, change in rows_.groupby("numbers").change:
        weights, beside, _ = kind.partition(" x ")
        assert (
            (f"{weights.upper()} weights" if beside else kind) in told[0]
            and f"{change.min():+.0%}" in told[0]
            and f"{change.max():+.0%}" in told[0]
        )


def test_a_kernel_that_was_seen_to_be_slow_is_doubted():
    nf4 = {"formats": [{"weights": "nf4/g64"}]}
    (told,) = [text for text in planned(**nf4).warnings if "bitsandbytes" in text]  # by which vLLM runs it
    assert "it was 0.58 to 0.93 times as fast" in told
    assert not any("bitsandbytes was" in text for text in planned(formats=[INT4]).warnings)


def test_a_finished_model_is_not_doubted_for_the_capacity_of_a_format():
    for kind, expected in (("qat", True), ("post-training", False)):
        plan = planned(formats=[{"weights": "mxfp6_e2m3"}], project={"kind": kind, "tolerance": 0.05})
        assert ("rho_without_runs" in {doubt.code for doubt in plan.doubts}) == expected


def test_an_engine_that_is_not_known_is_named():
    for name in ("vllm", "vlm", "vLLM 0.18"):
        with pytest.raises(rl.ScenarioError, match=f"hardware.engine: {name}: there is no such engine; .* vLLM"):
            planned(hardware={"engine": name})
    lists = [text for text in planned(hardware={"engine": "ours"}).warnings if "hardware.engine" in text]
    assert "there are vLLM, " in lists[0] and "llama.cpp" in lists[0]
    assert not any("hardware.engine" in text for text in planned().warnings)


def test_where_nothing_is_feasible_the_least_obstacle_of_each_option_is_named():
    parts = {"formats": [FP8 | {"dloss": 1.0}], "hardware": {"batches": [2048, 8]}, "traffic": {"latency_ms": 30}}
    plan = planned(**parts)
    assert plan.baseline.batch == 8 and the(plan, "dense", batch=2048).why_not.startswith("does not fit")
    assert "16 bits:" not in plan.recommendation and "fp8_row x fp8_row: loss too high" in plan.recommendation
    assert "does not fit" not in plan.recommendation


# --- uncertainty --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_same_seed_gives_the_same_plan():
    first, second, other = computed(), computed(), computed(run={"seed": 1})
    pd.testing.assert_frame_equal(first.table, second.table)
    assert first.npv.tolist() == second.npv.tolist() != other.npv.tolist()


def test_quantiles_rise_and_match_the_draws():
    plan = planned(run={"samples": 2000}, formats=[FP8, INT4])
    for name in UNCERTAIN & set(plan.table.columns):
        low, mid, high = (plan.table[name + part] for part in ("_p10", "", "_p90"))
        assert ((low <= mid) & (mid <= high) | mid.isna()).all(), name
    assert plan.choice.npv == np.quantile(plan.npv, 0.5, method="inverted_cdf")
    assert plan.choice.pays == (plan.npv > 0).mean()


def test_the_baseline_is_the_cheapest_dense_row_and_the_choice_the_best_option():
    plan = planned(formats=[FP8, INT4], hardware={"batches": [8, 64, 2048]})
    dense = plan.table[(plan.table.option == "dense") & plan.table.feasible]
    others = plan.table[(plan.table.option != "dense") & plan.table.feasible]
    assert len(dense) == 2 and len(others) > 2  # a batch of 2048 does not fit
    assert plan.baseline.cost_month == dense.cost_month.min() and plan.baseline.saving_month == 0
    assert plan.choice.npv == others.npv.max() > others.npv.min()


@pytest.mark.slow
def test_a_dearer_month_makes_compression_pay_more():
    saved = [planned(traffic={"requests_per_month": r}).choice.npv for r in (1e6, 1e7, 1e8, 1e9)]
    assert saved == sorted(saved) and saved[0] < 0 < saved[-1]
    verdicts = [planned(traffic={"requests_per_month": r}).verdict for r in (1e6, 1e10)]
    assert verdicts == ["do not compress", "compress"]


def test_the_tornado_names_what_matters():
    plan = planned(traffic={"utilisation": [0.3, 0.5, 0.7]}, prices={"billing": "hours"})
    assert set(plan.tornado.input) == set(uncertain.NAMES) and plan.tornado.span.is_monotonic_decreasing
    by_name = plan.tornado.set_index("input")
    assert by_name.span["parallel"] == by_name.span["electricity"] == 0  # one device, rented
    assert by_name.low["utilisation"] > by_name.high["utilisation"]  # idle machines make a saving worth more
    assert by_name.low["effort"] > by_name.centre["effort"] > by_name.high["effort"]
    centre = by_name.centre.iloc[0]
    assert centre == pytest.approx(plan.choice.npv, rel=0.5)  # of the medians, not the median


def test_no_feasible_row_beats_one_of_the_pareto_set():
    plan = planned(formats=[FP8, INT4], hardware={"batches": [1, 128], "devices": ["H100 80GB SXM", "A100 80GB SXM"]})
    goals = ["cost_month", "cost_once", "dloss", "latency_ms"]
    feasible = plan.table[plan.table.feasible]
    for row in feasible.itertuples():
        own = feasible.loc[row.Index, goals].to_numpy(float)
        better = [(other <= own).all() and (other < own).any() for other in feasible[goals].to_numpy(float)]
        assert row.pareto == (not any(better))
    assert feasible.pareto.nunique() == 2 and not plan.table.pareto[~plan.table.feasible].any()


def test_a_law_must_have_a_bootstrap_and_a_curve():
    with pytest.raises(ValueError, match="no bootstrap"):
        rl.plan(BASE, law=dataclasses.replace(FIT, samples=FIT.samples[:0]))
    with pytest.raises(ValueError, match="needs the law 'unified'"):
        rl.plan(BASE, law=rl.fit("chinchilla", RUNS, fixed={"E": 1.0}, n_bootstrap=20))
    several = capacities.draws((FIT, FIT))
    assert len(several.A) == 80


# --- words --------------------------------------------------------------------------------------------------------

TOLD = [
    {"traffic": {"requests_per_month": 1e9}},
    {"traffic": {"requests_per_month": 5e7}},
    {"traffic": {"requests_per_month": 1e6}},
    {"traffic": {"requests_per_month": 0}},
    {"hardware": {"devices": ["A100 80GB SXM"]}},
    {
        "model": {"geometry": "Qwen2.5-72B"},
        "formats": [INT4],
        "hardware": {"devices": ["A100 80GB SXM"], "batches": [8]},
    },
    {"prices": {"currency": "JPY", "rate": 150}, "traffic": {"requests_per_month": 1e9}},
    {"project": {"kind": "train", "slowdown": [0.66, 0.75, 0.78]}},
    {"hardware": {"devices": ["B300 SXM"]}},
    {"project": {"kind": "post-training", "tolerance": 0.12}, "formats": [INT4]},
    {"project": {"kind": "post-training"}, "formats": [FP8]},
    {"project": {"kind": "post-training", "tolerance": 0.12}, "formats": [INT4], "hardware": {"devices": ["B300 SXM"]}},
]


@pytest.mark.slow
@pytest.mark.parametrize("parts", TOLD)
def test_both_summaries_have_a_few_sentences_and_the_same_numbers(parts):
    plan = planned(**parts)
    assert 3 <= len(re.findall(r"\.(?= |$)", plan.summary_en)) <= 9 and 3 <= plan.summary_ja.count("。") <= 7
    english, japanese = (sorted(spoken.numbers(text)) for text in (plan.summary_en, plan.summary_ja))
    assert english == pytest.approx(japanese)
    assert plan.summary_en.startswith(words.texts("en")["verdicts"][plan.verdict])
    assert plan.summary_ja.startswith(f"【{words.texts('ja')['verdicts'][plan.verdict]}】")


def test_amounts_as_people_write_them():
    assert words.money(1234567, "USD") == "USD 1,230,000" and words.money(1234567, "JPY", "ja") == "123万円"
    assert words.money(12.345, "USD") == "USD 12.30" and words.money(0.0, "EUR", "ja") == "0ユーロ"
    assert words.money(9_996, "JPY", "ja") == "1万円" and words.money(9_990, "JPY", "ja") == "9,990円"
    assert words.money(-14_600, "USD") == "USD -14,600" and words.money(-14_600, "USD", "ja") == "▲1.46万米ドル"
    assert words.money(-0.5, "USD") == "USD -0.50" and words.money(math.inf, "USD") == "–"
    assert words.money(12.345, "JPY", "ja") == "12円" and words.money(99.96, "CHF", "ja") == "100 CHF"
    assert words.money(2e-7, "USD") == "less than USD 0.01" and words.money(0.3, "JPY", "ja") == "1円未満"
    assert words.months(math.inf) == "never" and words.months(3.14, "ja") == "3.1か月"
    assert words.months(0.0) == "at once" and words.months(0.01, "ja") == "0.1か月未満"


FREE = {"engineer_weeks": 0, "evaluation_usd": 0}
SPOKEN = {  # how a plan speaks where a number is one, nothing, or below nothing
    "one of each": (
        {"hardware": {"batches": [1]}, "project": {"kind": "qat", "horizon_months": 1, "tolerance": 0.05}},
        ["1 sequence in flight", "within 1 month in"],
    ),
    "cheaper once": (
        {"project": {"kind": "train", "slowdown": [0.66, 0.75, 0.78]}, "hardware": {"system_efficiency": 0.65}},
        ["less once than 16 bits do, so that nothing has to be paid back"],
    ),
    "nothing once": (
        {"project": {"kind": "post-training", "calibration_hours": 0} | FREE, "formats": [FP8 | {"dloss": 0.001}]},
        ["costs nothing once, so that nothing has to be paid back"],
    ),
    "cheaper once, dearer a month": (
        {
            "project": {"kind": "train", "slowdown": 0.5},
            "formats": [FP8 | {"rho": 0.9, "speedup_prefill": 1.0, "speedup_decode": 1.0, "measured_on": "x"}],
            "traffic": {"requests_per_month": 1e6, "utilisation": [0.3, 0.5, 0.7]},
            "prices": {"billing": "hours"},
        },
        ["less once than 16 bits do and USD", "more a month than the cheapest"],
    ),
    "cheaper once, the same a month": (
        {
            "project": {"kind": "train", "slowdown": 0.5},
            "formats": [FP8 | {"rho": 0.9, "speedup_prefill": 1.0, "speedup_decode": 1.0, "measured_on": "x"}],
            "traffic": {"requests_per_month": 1e6},
        },
        ["less once than 16 bits do and as much a month as the cheapest"],
    ),
    "dearer, and paid once": (
        {"project": {"kind": "train"}, "formats": [FP8 | {"rho": 0.5}]},
        [" once and USD", " a month. In half of the draws or more it saves nothing"],
    ),
    "next to nothing saved": (
        {"traffic": {"requests_per_month": 1, "utilisation": [0.3, 0.5, 0.7]}, "prices": {"billing": "hours"}},
        ["would cost USD 24,000 once", "save less than USD 0.01 a month"],
    ),
    "neither fits": (
        {"model": {"geometry": "Qwen2.5-72B"}, "hardware": {"devices": ["RTX 4090"]}},
        ["neither a compressed option nor 16 bits", "16 bits: does not fit"],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SPOKEN)
def test_what_a_plan_says_reads_well(name):
    parts, expected = SPOKEN[name]
    plan = planned(**parts)
    for text in expected:
        assert text in plan.recommendation
    wrong = re.compile(r"(?<!\d)[-−]\d|(?<![\d.])1 (sequences|months)\b|\b0\.0 |\bnan\b|\binf\b")
    assert not wrong.findall(" ".join([plan.recommendation, plan.summary_en, plan.summary_ja, *plan.warnings]))


def test_how_far_the_law_is_extrapolated():
    def told(params):
        found = planned(model={"geometry": "", "params": params}, project={"kind": "train"}).warnings
        return [text for text in found if "as large as the largest run" in text]

    largest = RUNS.n_params.max()
    assert told(largest) == [] and "1.3 times as large" in told(1.3 * largest)[0]
    assert "4,100 times as large" in told(4100 * largest)[0]


def test_every_column_is_described_and_every_assumption_has_a_source():
    plan = planned()
    assert list(plan.table.columns) == [part for column in columns.COLUMNS.values() for part in column.parts]
    values = plan.assumptions.set_index("item").value
    assert (
        values["N, non-embedding parameters"] == "6.9796 billion" and not values.str.contains("e+", regex=False).any()
    )
    assert (plan.assumptions.source.str.len() > 3).all() and plan.assumptions.as_of.str.startswith("2026").any()


def test_a_model_that_is_trained_for_longer_loses_capacity():
    law = capacities.default_fit(16)

    def row(ratio):
        found = rl.plan(
            {
                "model": {"params": 8e9, "tokens": ratio * 8e9},
                "formats": [{"weights": "int4"}],
                "project": {"kind": "train"},
                "run": {"samples": 100},
            },
            law,
        )
        return found.table[found.table.option == "int4"].iloc[0], found.warnings

    (short, _), (long, said) = row(100), row(1900)
    draws = capacities.draws(law)
    rho, _ = draws.capacity("int4")
    assert short.rho == pytest.approx(np.median(rho), rel=0.02)
    assert long.rho == pytest.approx(np.median(draws.longer(rho, 1900)), rel=0.02)
    assert long.rho < short.rho
    assert any("1,900 tokens a parameter" in text for text in said)


@pytest.mark.slow
def test_the_example_of_the_module():
    template = Path(__file__).parents[2] / "chapters" / "scenario.toml"
    plan = rl.plan(template, law=FIT)
    assert plan.verdict in set(Verdict) and len(plan.table) == 4 * 2 * 5
    case = cases.cases(plan.scenario, hardware.devices())[0]
    assert case.option.dense and case.batches.shape == (5, 1)


def test_what_the_hours_in_use_would_cost_stands_beside_what_is_paid():
    quiet = planned(prices={"billing": "machines"}, traffic={"requests_per_month": 1e4}).table
    used = planned(prices={"billing": "hours"}, traffic={"requests_per_month": 1e4}).table
    assert (quiet.cost_used < quiet.cost_month / 5).all()
    np.testing.assert_allclose(quiet.cost_used, used.cost_month, rtol=0.02)
    np.testing.assert_allclose(used.cost_used, used.cost_month)


@pytest.mark.slow
@pytest.mark.parametrize(("near", "told"), [(0.03, True), (0.0, False)])
def test_a_verdict_near_its_limit_is_said_to_be_close(near, told, monkeypatch):
    sure = computed()
    monkeypatch.setattr(advice, "SURE", float(sure.choice.pays) - 0.01)
    monkeypatch.setattr(advice, "NEAR", near)
    assert ("close" in {doubt.code for doubt in computed().doubts}) == told
