"""Rounding a finished model: where its loss comes from, what the plan says of it, and training on instead."""

import functools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import rholaw as rl
from rholaw.fidelity.population import prior_sensitivity
from rholaw.fidelity.sensitivity import fit_sensitivity
from rholaw.hardware import geometry
from rholaw.laws import draws as capacities
from rholaw.laws.law import rise_in_training
from rholaw.planning import damage, measuring, words
from rholaw.planning.inputs import Option

RUNS = rl.runs.one_estimator(rl.runs.load("quest2025"))
FIT = rl.fit("unified", RUNS, fixed={"E": 1.0}, n_bootstrap=20)
INT4, FP8 = {"weights": "sint4/g128"}, {"weights": "fp8_row", "activations": "fp8_row"}
OPEN = float(f"{prior_sensitivity(geometry.named()['Llama-3.1-8B'].total, 15e12).rise('sint4/g128')[0]:.2g}")
"""A tolerance at which nobody knows whether INT4 is good enough, before anything is measured."""
BASE = {
    "model": {"geometry": "Llama-3.1-8B", "tokens": 15e12},
    "formats": [INT4],
    "hardware": {"devices": ["H100 80GB SXM"], "batches": [64], "system_efficiency": [0.6, 0.65, 0.7]},
    "traffic": {"requests_per_month": 1e9},
    "project": {"kind": "post-training", "tolerance": OPEN},
    "run": {"samples": 400, "today": "2026-06-01"},
}


def planned(**parts):
    """The plan of BASE with other values; the same one for the same values."""
    return _planned(json.dumps(parts, sort_keys=True, default=float))


@functools.cache
def _planned(parts):
    parts = json.loads(parts)
    data = BASE | {name: BASE.get(name, {}) | part if isinstance(part, dict) else part for name, part in parts.items()}
    return rl.plan(data, law=FIT)


def three(plan, option="sint4/g128", column="dloss"):
    """(P10, median, P90) of an option, and where its loss comes from."""
    row = plan.table[plan.table.option == option].iloc[0]
    return [row[column + part] for part in ("_p10", "", "_p90")], row.dloss_source


def measured(**rises):
    return {"measured": [{"weights": name, "rise": rise} for name, rise in rises.items()]}


# --- where the loss comes from ------------------------------------------------------------------------------------


def test_a_certain_kappa_gives_one_exact_number():
    loss, source = three(planned(model={"kappa": 4.0}))
    assert loss == [4.0 * rl.gmse("sint4/g128").value] * 3 and source == "κ given"


def test_an_uncertain_kappa_is_a_triangle_as_other_inputs_are():
    loss, _ = three(planned(model={"kappa": [2.0, 4.0, 8.0]}))
    kappa = stats.triang((4 - 2) / (8 - 2), 2, 6).ppf([0.1, 0.5, 0.9])
    assert loss == pytest.approx(kappa * rl.gmse("sint4/g128").value, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("rises", [{"q4_0": 0.04}, {"q4_0": 0.04, "q6_k": 0.003}])
def test_measured_formats_give_what_their_fit_predicts(rises):
    loss, source = three(planned(model=measured(**rises)))
    fit = fit_sensitivity(pd.DataFrame({"format": list(rises), "rise": list(rises.values())}))
    low, high = fit.rise_interval(["sint4/g128"])
    assert loss == pytest.approx([low[0], fit.rise(["sint4/g128"])[0], high[0]], rel=0.1)
    assert source == f"from {len(rises)} measurement{'s' * (len(rises) > 1)}"


@pytest.mark.slow
def test_two_measured_formats_say_more_than_one_and_one_more_than_none():
    every = [{}, measured(q4_0=0.04), measured(q4_0=0.04, q6_k=0.003)]
    widths = [np.log(loss[2] / loss[0]) for loss, _ in (three(planned(model=model)) for model in every)]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.slow
def test_a_format_that_was_measured_costs_what_was_measured():
    plan = planned(model=measured(**{"sint4/g128": 0.031, "q6_k": 0.002}), formats=[INT4, {"weights": "nvfp4"}])
    assert three(plan) == ([0.031] * 3, "measured in this format")
    assert three(plan, "nvfp4")[1] == "from 2 measurements"
    rounded = planned(model=measured(fp8_row=0.004), formats=[FP8])  # its activations were not
    assert three(rounded, "fp8_row x fp8_row")[1] == "from 1 measurement"


@pytest.mark.slow
@pytest.mark.parametrize("given", [{"tokens": 15e12}, {"tokens": 0}, {"active": 3e9, "geometry": "", "params": 72e9}])
def test_without_measurements_models_of_its_size_say(given):
    plan = planned(model=given)
    model = plan.scenario.model
    prior = prior_sensitivity(model.shape.total, model.tokens or None, "rtn", model.active or None)
    low, high = prior.rise_interval(["sint4/g128"])
    loss, source = three(plan)
    assert loss == pytest.approx([low[0], prior.rise(["sint4/g128"])[0], high[0]], rel=0.15)
    assert source == "prior over models" and any("taken from other models" in text for text in plan.warnings)


@pytest.mark.parametrize("model", [{"kappa": 4.0}, {"kappa": [2, 4, 8]}, measured(q4_0=0.04), {}])
def test_kappa_stands_among_the_assumptions_with_its_source(model):
    plan = planned(model=model)
    [row] = plan.assumptions[plan.assumptions["item"] == "sint4/g128: κ"].itertuples()
    low, middle, high = (float(part) for part in row.value.split(" / "))
    loss, source = three(plan)
    assert low <= middle <= high and row.source == source
    assert middle * rl.gmse("sint4/g128").value == pytest.approx(loss[1], rel=0.1)


@pytest.mark.slow
def test_models_of_its_size_were_rounded_in_some_way():
    def kappa(**option):
        loss, _ = three(planned(formats=[option]), option["weights"])
        return loss[1] / rl.gmse(option["weights"]).value

    size = planned().scenario.model
    for method in ("rtn", "gptq", "awq"):
        expected = prior_sensitivity(size.shape.total, size.tokens, method).kappa
        assert kappa(weights="sint4/g128", method=method) == pytest.approx(expected, rel=0.1)
    assert kappa(weights="q4_k") == pytest.approx(
        prior_sensitivity(size.shape.total, size.tokens, "ggml").kappa, rel=0.1
    )
    assert kappa(weights="q4_k", method="imatrix") < kappa(weights="q4_k")


def test_a_size_that_no_model_has_is_refused():
    with pytest.raises(rl.ScenarioError, match="model: nothing is known of what rounding costs such a model: n_tokens"):
        planned(model={"tokens": 1e15})


def test_a_mixture_of_experts_is_not_a_dense_model_of_its_size():
    size = {"geometry": "", "params": 72e9}
    assert three(planned(model=size))[0] != three(planned(model=size | {"active": 3e9}))[0]


@pytest.mark.parametrize("model", [{}, {"kappa": 9.0}, measured(q4_0=0.4)])
def test_a_loss_of_your_own_wins(model):
    assert three(planned(model=model, formats=[INT4 | {"dloss": 0.02}])) == ([0.02] * 3, "dloss given")


def test_other_projects_do_not_ask_the_law_after_training():
    for project, source in (("qat", "law of training"), ("train", "equal loss")):
        plan = planned(model={"kappa": 4.0}, project={"kind": project})
        assert three(plan)[1] == source and plan.alternatives == () and plan.steps == ()
        assert plan.table.qat_tokens.isna().all()


# --- the verdict --------------------------------------------------------------------------------------------------


def limit(kappa):
    """A tolerance at which sint4/g128 costs ``kappa``, exactly."""
    return kappa * rl.gmse("sint4/g128").value


def test_clearly_good_enough_and_clearly_not():
    good, bad = (planned(model={"kappa": [3, 4, 5]}, project={"tolerance": limit(kappa)}) for kappa in (5.0, 3.0))
    assert good.verdict == "compress" and good.choice.option == "sint4/g128"
    assert bad.verdict == "do not compress" and "loss too high" in bad.recommendation


def test_what_straddles_the_tolerance_is_to_be_measured():
    plan = planned(model={"kappa": [3, 4, 5]}, project={"tolerance": limit(4.0)})
    assert plan.verdict == "measure this" and plan.choice is None
    assert "would save USD" in plan.recommendation and "(κ given)" in plan.summary_en
    assert "Measure this model in q3_k and q4_k. A rise of less than" in plan.recommendation
    assert [why.split()[0] for why, _ in plan.steps] == ["Record", "Round", "Read", "Or,", "Then"]
    assert "loss not settled" in plan.table.why_not[1] and len(plan.tornado)


@pytest.mark.slow
def test_a_loss_within_the_tolerance_that_is_open_says_why():
    plan = planned(formats=[FP8], project={"kind": "post-training", "tolerance": 0.1})
    why = plan.table.why_not[plan.table.option == "fp8_row x fp8_row"].iloc[0]
    assert "with a tolerance of 0.1 nats, and what rounded activations cost is in no law; measure it" in why
    wide = planned(project={"kind": "post-training", "tolerance": OPEN})
    assert f"with a tolerance of {OPEN:g} nats; measure it" in wide.table.why_not[wide.table.unsettled].iloc[0]


def test_no_number_is_no_reason_not_to_compress():
    for format in (INT4, FP8, {"weights": "sint8/g128"}):
        assert planned(formats=[format]).verdict in ("compress", "measure this")
        assert planned(formats=[format], hardware={"devices": ["B300 SXM"]}).verdict != "do not compress"


def test_what_would_not_pay_is_not_worth_measuring():
    idle = planned(traffic={"requests_per_month": 1e5})
    assert idle.verdict == "do not compress" and "even the best option, sint4/g128" in idle.recommendation
    assert "limits" not in idle.recommendation and idle.steps == ()
    assert planned(traffic={"requests_per_month": 0}).verdict == "do not compress"


def test_without_money_the_loss_is_what_there_is_to_measure():
    unpriced = planned(hardware={"devices": ["B300 SXM"]})
    alone = planned(model={"geometry": "Qwen2.5-72B"}, hardware={"batches": [8]})
    for plan in (unpriced, alone):
        assert (
            plan.verdict == "measure this"
            and "would meet the limits of the scenario, if good enough" in plan.summary_en
        )


def test_a_better_option_that_is_open_is_named_beside_the_one_that_pays():
    plan = planned(formats=[{"weights": "sint8/g128", "dloss": 0.001}, INT4])
    [text] = [text for text in plan.warnings if "worth more" in text]
    assert plan.choice.option == "sint8/g128" and text.startswith("sint4/g128 would be worth more, if good")


# --- what is to be measured ---------------------------------------------------------------------------------------


def test_of_two_formats_one_is_as_coarse_as_the_option_and_one_finer():
    pairs = {
        "sint4/g128": ("q3_k", "q4_k"),
        "q4_k": ("q4_k", "q5_k"),
        "int2": ("q2_k", "q3_k"),
        "q8_0": ("q5_k", "q6_k"),
    }
    assert {name: measuring.pair(Option(weights=name)) for name in pairs} == pairs
    errors = np.array([rl.gmse(name).value for name in measuring.LADDER])
    assert ((errors[:-1] / errors[1:] > 3) & (errors[:-1] / errors[1:] < 6)).all()


@pytest.mark.slow
def test_what_is_measured_below_or_above_the_limits_settles_it():
    found = planned().conclusion.measurement
    coarse, fine = found.formats
    share = rl.gmse(fine).value / rl.gmse(coarse).value
    assert 0 < found.passes < found.fails
    for rise, verdict in ((0.97 * found.passes, "compress"), (1.03 * found.fails, "do not compress")):
        assert planned(model=measured(**{coarse: rise, fine: rise * share})).verdict == verdict
    between = (found.passes * found.fails) ** 0.5
    again = planned(model=measured(**{coarse: between, fine: between * share}))
    assert again.verdict == "measure this" and again.conclusion.measurement.formats == ()
    assert "Measure sint4/g128 as such" in again.recommendation and again.steps[-1][1] == "dloss = …"


def test_an_option_that_is_measured_as_it_is_has_its_tolerance_as_limit():
    assert measuring.limits(Option(weights="q4_k"), ("q4_k", "q5_k"), 0.05) == (0.05, 0.05)
    passes, fails = measuring.limits(Option(weights="q4_0"), ("q4_k", "q5_k"), 0.05)
    assert passes < 0.05 * rl.gmse("q4_k").value / rl.gmse("q4_0").value < fails


def test_the_commands_are_those_of_the_tools():
    scenario = planned(formats=[{"weights": "q4_k"}]).scenario
    steps = dict(measuring.commands(measuring.measurement(scenario, scenario.formats[0])))
    assert steps["base"] == "llama-perplexity -m MODEL.gguf -f TEXT --kl-divergence-base BASE"
    assert steps["rounded"].splitlines() == [
        "llama-quantize --pure MODEL.gguf MODEL-q4_k.gguf Q4_K_S",
        "llama-perplexity -m MODEL-q4_k.gguf --kl-divergence-base BASE --kl-divergence 2>&1 | tee q4_k.log",
        "llama-quantize --pure MODEL.gguf MODEL-q5_k.gguf Q5_K_S",
        "llama-perplexity -m MODEL-q5_k.gguf --kl-divergence-base BASE --kl-divergence 2>&1 | tee q5_k.log",
    ]
    assert steps["predict"] == "rholaw predict q4_k.log q5_k.log"
    served = dict(measuring.commands(measuring.measurement(scenario, Option(**FP8))))
    assert (
        served["engine"].splitlines()[1] == "lm_eval --model vllm --model_args pretrained=COMPRESSED --tasks wikitext"
    )
    assert set(served) == {"engine", "give_loss"}  # this book rounds no activations
    for language in words.LANGUAGES:
        assert len(words.steps(steps.items(), language)) == 5


def test_the_chapter_that_measures_has_the_parameters_that_are_named():
    scenario = planned().scenario
    [own] = [c for name, c in measuring.commands(measuring.measurement(scenario, scenario.formats[0])) if name == "own"]
    cells = json.loads((Path(__file__).parents[2] / own.split()[1]).read_text())["cells"]
    [parameters] = ["".join(cell["source"]) for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    for name in re.findall(r"-p (\w+)", own):
        assert re.search(rf"^{name}: str = ", parameters, flags=re.M), name


# --- what the law leaves out --------------------------------------------------------------------------------------

LEFT_OUT = {
    "activations": FP8,
    "rows": {"weights": "sint4/row"},
    "pruned": {"weights": "2:4+fp8_row", "kernel": "native"},
}


@pytest.mark.slow
@pytest.mark.parametrize("gap", LEFT_OUT)
def test_what_the_law_leaves_out_is_doubted_and_measured_itself(gap):
    option, low = Option(**LEFT_OUT[gap]), {"kappa": 0.01}
    plan = planned(formats=[LEFT_OUT[gap]], model=low)
    assert damage.gaps(plan.scenario, option) == (gap,)
    assert plan.verdict == "measure this" and plan.conclusion.measurement.formats == ()
    assert any(words.told(doubt) in plan.warnings for doubt in plan.doubts if doubt.code == f"beyond_{gap}")
    assert planned(formats=[LEFT_OUT[gap] | {"dloss": 0.01}], model=low).verdict == "compress"
    high = planned(formats=[LEFT_OUT[gap]], model={"kappa": 1000.0})
    assert "loss too high" in high.recommendation and high.verdict == "do not compress"  # even without what is left out


def test_only_scales_that_spread_over_many_weights_break_models():
    scenario = planned().scenario
    fine = ["sint4/g128", "nvfp4", "q2_k", "sint8/row", "fp8_row", "hadamard128+int4", "higgs_2"]
    assert [damage.gaps(scenario, Option(weights=name)) for name in fine] == [()] * len(fine)
    coarse = ["sint4/row", "int4", "sint4/tensor", "ternary", "e2m1"]
    assert [damage.gaps(scenario, Option(weights=name)) for name in coarse] == [("rows",)] * len(coarse)


def test_a_rise_that_may_be_large_is_unsafe():
    told = [
        text for text in planned(formats=[{"weights": "int2/g64"}], model={"kappa": 20.0}).warnings if "unsafe" in text
    ]
    assert len(told) == 1 and told[0].startswith("int2/g64: this is unsafe. The loss may rise by")
    assert not any("unsafe" in text for text in planned(model={"kappa": 20.0}).warnings)


def test_measurements_that_do_not_follow_the_law_settle_nothing():
    plan = planned(model=measured(q3_k=0.01, q4_k=0.3, q6_k=0.02), project={"tolerance": 1.0})
    assert plan.verdict == "measure this" and "as such" in plan.recommendation
    assert any("do not follow the law after training (" in text for text in plan.warnings)


# --- training on instead ------------------------------------------------------------------------------------------

SURE = {
    "model": {"kappa": 10.0},
    "prices": {"gpu_hour_usd": {"H100 80GB SXM": 3.0}, "overhead": 1.0, "power_share": 0.7, "pue": 1.2},
    "hardware": {"devices": ["H100 80GB SXM"], "batches": [64], "system_efficiency": 0.5},
    "traffic": {"requests_per_month": 1e9, "utilisation": 0.5},
    "project": {"kind": "post-training", "engineer_weeks": 5, "slowdown": 1.5, "mfu": 0.4, "tolerance": 0.05},
    "formats": [INT4 | {"speedup_prefill": 1.5, "speedup_decode": 2.0, "measured_on": "by hand"}],
}


def test_what_training_on_may_cost_by_hand():
    plan = planned(**SURE)
    row = plan.table.iloc[1]
    once = 5 * 4000 + 5000
    a_token = 6 * plan.scenario.model.shape.non_embedding * 1.5 / (0.4 * 989.4e12) / 3600 * 3.0
    worth = row.npv + row.cost_once - once  # of the saving, less the project: without rounding and without training
    assert row.cost_once == pytest.approx(once + 8 * 3.0)
    assert row.qat_tokens == pytest.approx((row.npv + 8 * 3.0) / a_token, rel=1e-3)
    assert row.qat_tokens_p10 == row.qat_tokens == row.qat_tokens_p90 and worth > 0
    trained = planned(**SURE | {"project": SURE["project"] | {"kind": "qat", "qat_tokens": row.qat_tokens}})
    assert trained.table.npv[1] == pytest.approx(0, abs=1e-6 * row.npv)


def test_where_training_on_ends_is_the_law_of_training():
    plan = planned(**SURE)
    draws, N = capacities.draws(FIT), plan.scenario.model.shape.non_embedding
    expected = np.median(rise_in_training(draws, N, draws.capacity("sint4/g128")[0]))
    row = plan.table.iloc[1]
    assert row.dloss_trained == pytest.approx(expected, rel=0.1) and row.dloss_trained_p10 < row.dloss_trained_p90
    assert planned(**SURE | {"project": SURE["project"] | {"kind": "qat"}}).table.dloss[1] == row.dloss_trained


def test_against_an_option_that_pays_training_on_must_be_worth_more():
    rival = {"weights": "sint8/g128", "dloss": 0.001} | {key: SURE["formats"][0][key] for key in ("measured_on",)}
    rival |= {"speedup_prefill": 1.4, "speedup_decode": 1.9}
    plan, alone = planned(**SURE | {"formats": [rival, *SURE["formats"]]}), planned(**SURE)
    assert plan.choice.option == "sint8/g128"
    own = plan.table.set_index("option").qat_tokens
    assert 0 < own["sint4/g128"] < alone.table.qat_tokens[1]
    assert own["sint4/g128"] == pytest.approx(
        alone.table.qat_tokens[1] * (1 - plan.choice.npv / alone.table.npv[1]), rel=0.01
    )
    assert np.isnan(own["dense"])


@pytest.mark.slow
def test_training_on_may_not_be_needed():
    def told(kappa, kind="qat", **option):
        plan = planned(model={"kappa": kappa}, project={"kind": kind, "tolerance": limit(4.0)}, formats=[INT4 | option])
        return [text for text in plan.warnings if "may not be needed" in text]

    [text] = told([1, 2, 3])
    assert text.startswith("sint4/g128: training on may not be needed. Rounding the finished model adds")
    assert told([3, 4, 5]) == told([1, 2, 3], kind="train") == told([1, 2, 3], kind="post-training") == []
    assert told([1, 2, 3], **FP8) == []  # what activations cost is in no law


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "qat_pays"),
        ({"model": {"kappa": 0.1}}, "qat_not_needed"),
        ({"project": {"tolerance": 0.01}}, "qat_not_enough"),
        ({"project": {"tolerance": 0.03}, "model": {"kappa": [0.1, 0.2, 4.0]}}, "qat_no_better"),
        ({"traffic": {"requests_per_month": 10}}, "qat_never_pays"),
    ],
)
def test_how_training_on_compares(changes, code):
    plan = planned(**SURE | {part: SURE.get(part, {}) | values for part, values in changes.items()})
    assert [remark.code for remark in plan.compared] == [code]
    assert plan.alternatives == (words.told(plan.compared[0]),)
    for text in (plan.alternatives[0], words.told(plan.compared[0], "ja")):
        assert "sint4/g128" in text and not re.search(r"\bnan\b|\binf\b|e\+", text)
