"""What somebody measured sets the speed of its row, and moves those of the others."""

import json
import math

import numpy as np
import pytest

import rholaw as rl
from rholaw.hardware.reports import Run
from rholaw.planning import timed
from rholaw.planning.scenario import Scenario, ScenarioError

RUNS = rl.runs.one_estimator(rl.runs.load("quest2025"))
FIT = rl.fit("unified", RUNS, fixed={"E": 1.0}, n_bootstrap=10)
FP8 = {"weights": "fp8_row", "activations": "fp8_row", "dloss": 0.01}
SCENARIO = {
    "model": {"geometry": "Llama-3.1-8B", "tokens": 15e12},
    "formats": [FP8, {"weights": "sint4/g128", "dloss": 0.01}],
    "hardware": {"devices": ["H100 80GB SXM"], "batches": [32]},
    "traffic": {"requests_per_month": 3e8, "tokens_in": 1000, "tokens_out": 300},
    "project": {"kind": "post-training", "tolerance": 0.05},
    "run": {"samples": 400, "today": "2026-06-01"},
}
SERVED = {
    "backend": "vllm",
    "model_id": "meta-llama/Llama-3.1-8B-Instruct",
    "completed": 200,
    "total_input_tokens": 200000,
    "total_output_tokens": 60000,
    "output_throughput": 2560.0,
    "mean_tpot_ms": 12.5,  # 32 decode
    "weights": "dense",
}


@pytest.fixture
def measured(tmp_path):
    """The plan of SCENARIO with files that say what is given."""

    def plan(*files, **hardware):
        for i, content in enumerate(files):
            (tmp_path / f"{i}.json").write_text(json.dumps(content))
        paths = [str(tmp_path / f"{i}.json") for i in range(len(files))]
        return rl.plan(SCENARIO | {"hardware": SCENARIO["hardware"] | {"measured": paths} | hardware}, law=FIT)

    return plan


def seconds(row, part=""):
    """Of a request, at the load of SCENARIO."""
    return 1000 / row["prefill_tokens_s" + part] + 300 / row["decode_tokens_s" + part]


def the(plan, option):
    return plan.table[plan.table.option == option].iloc[0]


@pytest.mark.slow
def test_the_row_that_was_measured_has_its_speed(measured):
    own = the(measured(SERVED), "dense")
    assert 300 / seconds(own) == pytest.approx(2560, rel=0.01) and own.speed_source_decode == "measured by you"
    assert math.log(seconds(own, "_p10") / seconds(own, "_p90")) == pytest.approx(2 * 1.2816 * timed.REPEAT, rel=0.2)
    assert any("as you measured it (0.json)" in warning for warning in measured(SERVED).warnings)


def test_repeats_say_the_spread(measured):
    own = the(measured(SERVED, SERVED | {"output_throughput": 2580.0}), "dense")
    assert 300 / seconds(own) == pytest.approx(math.sqrt(2560 * 2580), rel=0.01)
    spread = math.log(2580 / 2560) / math.sqrt(2)
    assert math.log(seconds(own, "_p10") / seconds(own, "_p90")) == pytest.approx(2 * 1.2816 * spread, rel=0.2)


def test_the_others_move_with_it_and_are_surer(measured):
    alone, beside = measured(), measured(SERVED)
    moved = seconds(the(alone, "dense")) / seconds(the(beside, "dense"))
    for option in ("fp8_row x fp8_row", "sint4/g128"):
        before, after = the(alone, option), the(beside, option)
        assert after.speed_source_decode == before.speed_source_decode
        for phase in ("prefill", "decode"):
            name = f"{phase}_tokens_s"
            assert after[name] / before[name] == pytest.approx(moved**timed.SHARED, rel=0.01)
            spread = [math.log(row[f"{name}_p90"] / row[f"{name}_p10"]) for row in (before, after)]
            assert spread[1] == pytest.approx(spread[0] * math.sqrt(1 - timed.SHARED**2), rel=0.02, abs=1e-9)
    assert any("moved by what you measured of other formats" in warning for warning in beside.warnings)


@pytest.mark.slow
def test_a_phase_that_was_not_measured_stays(measured):
    test = {"model_type": "llama 8B F16", "model_n_params": 8030261312, "gpu_info": "NVIDIA H100 80GB HBM3"}
    rows = [test | {"n_prompt": 0, "n_gen": 128, "avg_ts": 150.0}]
    alone, beside = measured(engine="llama.cpp", batches=[1]), measured(rows, engine="llama.cpp", batches=[1])
    before, after = the(alone, "dense"), the(beside, "dense")
    assert after.decode_tokens_s == pytest.approx(150, rel=0.05) and after.speed_source_decode == "measured by you"
    assert after.prefill_tokens_s == before.prefill_tokens_s and after.speed_source_prefill == "dense"


@pytest.mark.slow
def test_what_was_measured_runs_whatever_the_table_of_kernels_knows(measured):
    odd = {"formats": [{"weights": "trellis3", "dloss": 0.01}]}
    data = SCENARIO | odd
    assert rl.plan(data, law=FIT).table.kernel.iloc[-1] == "unknown"
    file = measured(SERVED).scenario.hardware.measured[0].file
    hardware = SCENARIO["hardware"] | {"measured": [{"file": file, "weights": "trellis3"}]}
    own = rl.plan(data | {"hardware": hardware}, law=FIT).table.iloc[-1]
    assert own.kernel == "dequantising" and 300 / seconds(own) == pytest.approx(2560, rel=0.03) and own.feasible


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "dense"),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic", "fp8_row x fp8_row"),
        ("hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4", "sint4/g128"),
    ],
)
def test_a_file_that_does_not_say_its_format_is_taken_by_the_name_of_its_model(measured, name, option):
    plan = measured({key: value for key, value in SERVED.items() if key != "weights"} | {"model_id": name})
    assert list(plan.table.option[plan.table.speed_source_decode == "measured by you"]) == [option]
    assert any(f"by the name {name}" in warning for warning in plan.warnings)


@pytest.mark.slow
def test_other_devices_and_engines_are_said_to_be_unused(measured):
    plan = measured(SERVED | {"device": "NVIDIA L40S"})
    (warning,) = [text for text in plan.warnings if "is not used" in text]
    assert "0.json is not used: it is of 1 × NVIDIA L40S with vLLM" in warning
    assert the(plan, "dense").speed_source_decode == "dense"
    assert any("with SGLang" in text for text in measured(SERVED | {"backend": "sglang"}).warnings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_id": "Qwen/Qwen3-32B"}, "another model: Qwen/Qwen3-32B is named after 32 billion parameters"),
        ({"weights": "", "model_id": "org/Llama-3.1-8B-NVFP4"}, "does not say the weights"),
        ({"weights": "int99"}, "weights: "),
        ({"output_throughput": -1}, "output_throughput: -1 must be above 0"),
    ],
)
def test_what_is_refused(measured, change, message):
    with pytest.raises(ScenarioError, match=r"hardware\.measured") as caught:
        measured(SERVED | change)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("bench.json", "must be a list"),
        ([{"files": "a"}], "did you mean file"),
        ([{"weights": "dense"}], "1 names no file"),
        (["/nowhere.json"], "there is no such file"),
    ],
)
def test_what_is_no_list_of_files(value, message):
    with pytest.raises(ScenarioError, match=r"hardware\.measured") as caught:
        Scenario.of(SCENARIO | {"hardware": {"measured": value}})
    assert message in str(caught.value)


def test_files_lie_beside_the_scenario(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(SERVED))
    (tmp_path / "s.toml").write_text(
        '[model]\ngeometry = "Llama-3.1-8B"\n[[formats]]\nweights = "fp8_row"\n[project]\nkind = "post-training"\n'
        '[hardware]\nmeasured = ["a.json", { file = "a.json", weights = "fp8_row", gpus = 2 }]\n'
    )
    runs = Scenario.read(tmp_path / "s.toml").hardware.runs
    assert [(run.weights, run.gpus, run.device) for run in runs] == [
        ("dense", 1, "H100 80GB SXM"),
        ("fp8_row", 2, "H100 80GB SXM"),
    ]


def test_between_loads_the_ratio_is_interpolated():
    runs = {Run("mixed", load, 1, 1, 1.0): ratio for load, ratio in ((1.0, 1.0), (4.0, 4.0), (16.0, 1.0))}
    shift = timed._shift(runs, "decode", np.array([[1.0], [2.0], [64.0]]), 1.0)
    assert shift.factor.ravel() == pytest.approx([1.0, 2.0, 1.0])


@pytest.mark.slow
def test_an_estimate_of_ai_configurator_is_a_speed_of_its_own_kind_which_a_measurement_replaces(tmp_path):
    said = {"Model": "meta-llama/Meta-Llama-3.1-8B", "System": "h100_sxm", "Backend": "vllm (0.24.0)", "ISL": 1000}
    said |= {"OSL": 300, "Batch Size": 32, "TP Size": 1, "PP Size": 1, "tokens/s": 3000.0}
    estimate, bench = tmp_path / "estimate.txt", tmp_path / "bench.json"
    text = "".join(f"  {label}: {value}\n" for label, value in said.items())
    estimate.write_text(f"  Performance Estimate (static_gen)\n{text}")
    bench.write_text(json.dumps(SERVED))
    files = [{"file": str(estimate), "weights": "dense"}]
    rows = {}
    for name, measured in {"estimate": files, "both": [*files, str(bench)]}.items():
        plan = rl.plan(SCENARIO | {"hardware": SCENARIO["hardware"] | {"measured": measured}}, law=FIT)
        rows[name] = plan.table[(plan.table.option == "dense") & (plan.table.batch == 32)].iloc[0]
        said_so = [text for text in plan.warnings if "AI Configurator reckons" in text]
        assert bool(said_so) == (name == "estimate")
    assert rows["estimate"].speed_source_decode == "AI Configurator" and rows["estimate"].held_out == ""
    assert rows["estimate"].decode_tokens_s == pytest.approx(3000, rel=0.02)
    assert rows["both"].speed_source_decode == "measured by you"
    assert rows["both"].decode_tokens_s != pytest.approx(3000, rel=0.02)


def test_the_speedup_of_a_measured_row_is_that_of_what_was_measured(measured):
    faster = SERVED | {
        "weights": "fp8_row",
        "activations": "fp8_row",
        "output_throughput": 5120.0,
        "mean_tpot_ms": 6.25,
    }
    table = measured(SERVED, faster).table.set_index("option")
    assert table.speedup_decode["dense"] == table.speedup_prefill["dense"] == 1
    assert table.speedup_decode["fp8_row x fp8_row"] == pytest.approx(2, rel=0.05)  # 1.0 to 1.3 without
    assert (
        table.margin_decode["fp8_row x fp8_row"] != table.margin_decode["fp8_row x fp8_row"]
    )  # no ρ of a finished model
