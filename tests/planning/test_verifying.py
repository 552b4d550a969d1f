"""The command that would verify what a plan rests on most, for each engine and each kind of input."""

import dataclasses
import functools
import tomllib

import pytest

import rholaw as rl
from rholaw.planning import serving, verifying, words
from rholaw.planning.inputs import Option

RUNS = rl.runs.one_estimator(rl.runs.load("quest2025"))
FIT = rl.fit("unified", RUNS, fixed={"E": 1.0}, n_bootstrap=10)


@functools.cache
def plan(engine="vLLM", weights="fp8_row", activations="fp8_row", device="H100 80GB SXM", bought=False):
    data = {
        "model": {"geometry": "Llama-3.1-8B"},
        "formats": [{"weights": weights, "activations": activations, "dloss": 0.01}],
        "hardware": {"devices": [device], "batches": [32], "engine": engine},
        "traffic": {"requests_per_month": 3e8, "tokens_in": 1000, "tokens_out": 300},
        "prices": {"purchase_usd": {device: 30_000}} if bought else {},
        "project": {"kind": "post-training", "tolerance": 0.05},
        "run": {"samples": 100, "today": "2026-06-01"},
    }
    return rl.plan(data, law=FIT)


def steps(own, first):
    """{code: command} where ``first`` moves the result of a plan most."""
    conclusion = dataclasses.replace(own.conclusion, inputs=(first, *own.conclusion.inputs))
    return dict(verifying.commands(own.scenario, conclusion))


def test_a_speed_is_timed_at_the_load_of_the_scenario_and_the_file_says_whose_it_is():
    told = steps(plan(), "kernels")
    assert list(told) == ["serve", "bench", "speeds", "give_bench"]
    assert told["serve"] == "vllm serve COMPRESSED --tensor-parallel-size 1"
    for part in ("--random-input-len 1000", "--random-output-len 300", "--max-concurrency 32", "--num-prompts 320"):
        assert part in told["bench"]
    for said in ('"device=H100 80GB SXM"', '"weights=fp8_row"', '"activations=fp8_row"', '"gpus=1"'):
        assert said in told["bench"]
    assert told["give_bench"] == 'hardware.measured = ["bench.json"]'


@pytest.mark.parametrize(
    ("engine", "weights", "activations", "device", "bench"),
    [
        ("SGLang", "fp8_row", "fp8_row", "H100 80GB SXM", "python -m sglang.bench_serving --backend sglang"),
        (
            "MLX",
            "sint8/g64",
            "dense",
            "Apple M4 Max",
            "vllm bench serve --backend openai --base-url http://127.0.0.1:8080",
        ),
        ("TensorRT-LLM", "fp8_row", "fp8_row", "H100 80GB SXM", "vllm bench serve --backend openai"),
        ("llama.cpp", "q4_k", "dense", "RTX 4090", "llama-bench -m COMPRESSED.gguf -p 1000 -n 300 -o json"),
    ],
)
def test_what_other_engines_measure_is_named_in_the_scenario(engine, weights, activations, device, bench):
    told = steps(plan(engine, weights, activations, device), "system")
    assert told["bench"].startswith(bench)
    (entry,) = tomllib.loads(told["give_bench"])["hardware"]["measured"]
    assert entry["file"] == "bench.json" and entry["weights"] == weights and entry["device"] == device
    assert set(entry) <= {"file", "device", "weights", "activations", "kv", "engine", "gpus"}


def test_lengths_that_sglang_would_draw_at_random_are_fixed():
    """Its default draws them between 1 and what is asked for, which halves them (sgl-project/sglang#7253)."""
    assert " --random-range-ratio 1 " in steps(plan("SGLang"), "kernels")["bench"]


SGLANG = "python -m sglang.launch_server --model-path MODEL"


@pytest.mark.parametrize(
    ("engine", "command", "alone", "pipeline"),
    [
        ("vLLM", "vllm serve MODEL", " --kv-cache-dtype fp8", "--tensor-parallel-size 2 --pipeline-parallel-size 3"),
        ("SGLang", SGLANG, " --kv-cache-dtype fp8_e4m3", "--tp 2 --pp-size 3"),
        ("TensorRT-LLM", "trtllm-serve MODEL", " --kv_cache_dtype fp8", "--tp_size 2 --pp_size 3"),
    ],
)
def test_an_engine_is_served_as_it_is_planned(engine, command, alone, pipeline):
    scenario = plan().scenario.replace(hardware={"engine": engine})
    option = Option(weights="fp8_row", activations="fp8_row", kv="fp8_tensor")
    first = pipeline.split()[0]
    assert serving.serve(scenario, option, "H100 80GB SXM", 1, "MODEL") == f"{command} {first} 1{alone}"
    assert serving.serve(scenario, Option(), "H100 80GB SXM", 6, "MODEL") == f"{command} {pipeline}"


def test_of_an_engine_that_is_timed_without_a_server_none_is_started():
    scenario = plan().scenario.replace(hardware={"engine": "llama.cpp"})
    assert serving.serve(scenario, Option(), "RTX 4090", 2, "MODEL") == ""


def test_an_evaluation_runs_on_the_devices_and_with_the_cache_that_are_planned():
    option, device = Option(weights="fp8_row", kv="fp8_tensor"), "H100 80GB SXM"
    ours = serving.evaluate(plan().scenario, option, device, 4, "MINE")
    given = "pretrained=MINE,tensor_parallel_size=4,kv_cache_dtype=fp8"
    assert ours == f"lm_eval --model vllm --model_args {given} --tasks wikitext"
    other = serving.evaluate(plan("SGLang").scenario, option, device, 1, "MINE")
    assert other.startswith("lm_eval --model sglang --model_args pretrained=MINE,kv_cache_dtype=fp8_e4m3 ")


def test_a_cache_of_llama_cpp_is_timed_as_it_is_planned():
    own = plan("llama.cpp", "q4_k", "dense", "RTX 4090")
    scenario = own.scenario.replace(formats=[{"weights": "q4_k", "kv": "q8_0", "dloss": 0.01}])
    row = own.conclusion.choice.copy()
    row["option"] = scenario.formats[0].name
    conclusion = dataclasses.replace(own.conclusion, choice=row, inputs=("kernels",))
    assert " -fa 1 -ctk q8_0 -ctv q8_0 " in dict(verifying.commands(scenario, conclusion))["bench"]


def test_a_loss_and_a_price_are_verified_by_other_means():
    assert "dloss = …" in steps(plan(), "damage").values()
    assert steps(plan(), "price")["give_key"] == 'prices.gpu_hour_usd = { "H100 80GB SXM" = … }'
    assert steps(plan(bought=True), "price")["give_key"] == 'prices.purchase_usd = { "H100 80GB SXM" = … }'
    told = steps(plan(), "effort")
    assert (
        told["give_key"] == "project.engineer_weeks = [low, middle, high]" and len(told) > 1
    )  # and what can be measured


def test_every_plan_says_it_in_words_and_every_key_exists():
    assert plan().verify and all(why.endswith(":") and command for why, command in plan().verify)
    scenario = plan().scenario
    for key in (*verifying.KEYS.values(), verifying.PURCHASE):
        part, name = key.split(".")
        assert hasattr(getattr(scenario, part), name), key
    for language in words.LANGUAGES:
        told = words.steps(verifying.commands(scenario, plan().conclusion), language)
        assert len(told) == len(plan().verify)


def test_what_is_not_known_to_run_is_served_first():
    own = plan(weights="int4+out0.01", activations="dense")
    assert own.verdict == "cannot tell" and own.verify[0][1].startswith("vllm serve COMPRESSED")


def test_the_rung_of_each_speed_stands_among_the_assumptions():
    table = plan().assumptions.set_index("item")
    assert table.source["fp8_row x fp8_row on 1 × H100 80GB SXM: decode"].startswith("measured: vLLM")
    assert table.source["dense on 1 × H100 80GB SXM: prefill"] == "dense"


def test_a_finished_model_is_never_verified_by_the_law_of_training():
    told = steps(plan(), "peak")
    assert told["give_key"] == "traffic.peak_over_mean = [low, middle, high]" and "survey" not in told
    lawful = dataclasses.replace(plan().conclusion, inputs=("peak", "law", "kernels"))
    assert "bench" in dict(verifying.commands(plan().scenario, lawful))
    trained = plan().scenario.replace(project={"kind": "qat"})
    assert dict(verifying.commands(trained, lawful))["survey"].startswith("rholaw survey MODEL --formats")
