"""Keys that count for nothing, and values that are unusual, are told; all others change something."""

import copy
import math

import pytest

import rholaw as rl
from rholaw.planning import slips, words
from rholaw.planning.inputs import Option
from rholaw.planning.scenario import PARTS

H100 = "H100 80GB SXM"
RIGHT = {
    "model": {"geometry": "Llama-3.1-8B"},
    "formats": [{"weights": "q4_k"}],
    "hardware": {"batches": [32]},
    "traffic": {"requests_per_month": 20e6},
    "prices": {},
    "project": {"kind": "post-training"},
    "run": {"samples": 100, "today": "2026-06-01"},
}
OTHER = {
    "model": {"tokens": 9e12, "kappa": [4, 5, 7], "measured": [{"weights": "q6_k", "rise": 0.003}]},
    "hardware": {
        **{"engine": "SGLang", "gpus": 2, "reserve_gb": 5, "devices": "L40S", "batches": 64},
        **{"system_efficiency": [0.5, 0.6, 0.7], "parallel_efficiency": [0.6, 0.8, 0.9]},
    },
    "traffic": {
        **{"requests_per_month": 1e7, "tokens_in": 2000, "tokens_out": 400, "context": 4096, "latency_ms": 5},
        **{"ttft_ms": 6, "peak_over_mean": 1.2, "utilisation": [0.3, 0.5, 0.7]},
    },
    "prices": {
        **{
            "lifetime_months": 60,
            "billing": "hours",
            "overhead": 1.1,
            "interruption": 0.1,
            "server": 1.5,
            "upkeep": 0.1,
        },
        **{"electricity_usd_kwh": 0.3, "electricity_kwh": 0.3, "pue": 2.0, "power_share": 0.3},
        **{
            "gpu_hour_usd": {"L4": 0.5},
            "gpu_hour": {"L4": 0.5},
            "purchase_usd": {"L4": 3000},
            "purchase": {"L4": 3000},
        },
    },
    "project": {
        **{
            "tolerance": 0.15,
            "target_loss": 2.3,
            "engineer_weeks": 1,
            "engineer_week_usd": 3000,
            "engineer_week": 3000,
        },
        **{"evaluation_usd": 100, "evaluation": 100, "qat_tokens": 5e9, "calibration_hours": 100, "slowdown": 1.7},
        **{"mfu": 0.2, "train_device": "A100 80GB SXM", "horizon_months": 12, "discount_rate": 0.2},
    },
    "run": {"samples": 200, "seed": 3},
    "formats": {
        **{"weights": "q5_k", "kv": "fp8_tensor", "activations": "fp8_row", "kernel": "native", "method": "imatrix"},
        **{"rho": 0.6, "dloss": 0.002, "speedup_prefill": 1.3, "speedup_decode": 1.3, "speculation": 1.4},
        **{"slowdown": 1.9},
    },
}
"""Another value of each key."""
REFUSED = {"geometry", "checkpoint", "params", "active", "compare", "kind", "currency", "rate", "measured_on", "today"}
REFUSED |= {"catalogue", "overrides"}
"""Keys that another one must go with or against, or that name files."""


def told(parts: dict) -> tuple:
    """The numbers of a plan, and its warnings as one text."""
    plan = rl.plan(parts)
    return plan.table.to_json(), plan.tornado.to_json(), " ".join(plan.warnings)


def test_every_key_has_another_value_here():
    kinds = PARTS | {"formats": Option}
    missing = {name: set(kind.__dataclass_fields__) - OTHER[name].keys() - REFUSED for name, kind in kinds.items()}
    assert {name: keys for name, keys in missing.items() if keys - {"measured"}} == {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["post-training", "qat", "train"])
@pytest.mark.parametrize("bought", [False, True])
def test_no_key_is_passed_over_in_silence(kind, bought):
    """It changes the numbers, it limits and is kept, or the plan names it."""
    base = copy.deepcopy(RIGHT) | {
        "project": {"kind": kind},
        "prices": {"purchase_usd": {H100: 30_000}} if bought else {},
    }
    numbers, tornado, _ = told(base)
    for part, values in OTHER.items():
        for key, value in values.items():
            parts = copy.deepcopy(base)
            own = parts["formats"][0] if part == "formats" else parts[part]
            own[key] = own.get(key, {}) | value if isinstance(value, dict) else value
            own |= {"measured_on": "mine"} if key.startswith("spe") else {}
            try:
                *now, warnings = told(parts)
            except rl.ScenarioError:
                continue  # which names it
            named = f"formats 1.{key}" if part == "formats" else f"{part}.{key}"
            kept = key == "tolerance" and kind == "qat"  # the loss is within either
            assert now != [numbers, tornado] or named in warnings or kept, (named, kind, bought)


def test_a_key_that_counts_for_nothing_is_told_with_the_reason_in_both_languages():
    parts = RIGHT | {"prices": {"server": 1.5, "gpu_hour_usd": {"L4": 0.5}}, "hardware": {"parallel_efficiency": 0.9}}
    plan = rl.plan(parts)
    doubts = {doubt.data["why"]: doubt for doubt in plan.doubts if doubt.code == "unused"}
    assert doubts["rented"].data["keys"] == ("prices.server",) and doubts["alone"]
    assert doubts["elsewhere"].data["keys"] == ("prices.gpu_hour_usd L4",)
    assert words.told(doubts["rented"]).startswith(
        "prices.server: given, and counted nowhere, since no device is bought"
    )
    assert words.told(doubts["rented"], "ja").startswith("prices.server：指定されていますが、購入する機器がない")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"prices": {"lifetime_months": 3, "purchase_usd": {H100: 3e4}}}, "prices.lifetime_months: 3 is unusual"),
        ({"project": {"kind": "post-training", "discount_rate": 0.9}}, "project.discount_rate: 0.9 is unusual"),
        ({"formats": [{"weights": "q4_k", "dloss": 6.3}]}, "formats 1.dloss: 6.3 is unusual, beyond -0.02 to 1"),
        ({"model": {"geometry": "Llama-3.1-8B", "tokens": 15e9}}, "model.tokens: 2.15 tokens a parameter is unusual"),
        ({"traffic": {"context": 1100}}, "1,100 tokens do not hold prompt and answer, 1,300 together"),
        (
            {"prices": {"currency": "EUR", "rate": 1.03}},
            "1.03 EUR a USD: in the year to 2026-10-30 it was 0.8351 to 0.8985",
        ),
        ({"prices": {"currency": "RMB", "rate": 7.1}}, "RMB is no currency of the table of rates here"),
        ({"formats": [{"weights": "q4_k", "kv": "q4_0"}]}, "no source here says that vLLM keeps its cache so"),
        ({"model": {"params": 3e10, "active": 3e9}}, "Memory and speed are those of a dense model of 30 billion"),
    ],
)
def test_what_is_unusual_is_told(parts, said):
    assert said in " ".join(rl.plan(RIGHT | parts).warnings)


def test_what_is_usual_is_not_told():
    prices = {"currency": "EUR", "rate": 0.87, "lifetime_months": 36, "electricity_usd_kwh": [0.08, 0.12, 0.2]}
    parts = {"prices": prices, "hardware": {"engine": "llama.cpp", "batches": [1]}}
    plan = rl.plan(RIGHT | parts | {"formats": [{"weights": "q4_k", "kv": "q8_0"}]})
    odd = {"unused", "unlikely", "trained_unlikely", "context_short", "rate_unlike", "rate_unknown", "cache_unknown"}
    assert not odd & {doubt.code for doubt in plan.doubts}


def test_defaults_are_usual():
    for key, (low, high) in slips.USUAL.items():
        part, _, name = key.partition(".")
        default = PARTS[part].__dataclass_fields__[name].default
        value = default[1] if isinstance(default, tuple) and default else default
        assert value in ((), 0) or not math.isfinite(value) or low <= value <= high, key
