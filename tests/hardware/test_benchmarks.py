"""Files of benchmarks, in the shapes that the tools write them."""

import json
import math
import random
import re

import numpy as np
import pytest

from rholaw.hardware import benchmarks

SERVED = {  # vllm bench serve --save-result
    "date": "20260901-101112",
    "endpoint_type": "vllm",
    "backend": "vllm",
    "label": None,
    "model_id": "meta-llama/Llama-3.1-8B-Instruct",
    "tokenizer_id": "meta-llama/Llama-3.1-8B-Instruct",
    "num_prompts": 200,
    "request_rate": "inf",
    "burstiness": 1.0,
    "max_concurrency": 32,
    "duration": 25.0,
    "completed": 200,
    "failed": 0,
    "total_input_tokens": 200000,
    "total_output_tokens": 60000,
    "request_throughput": 8.0,
    "output_throughput": 2400.0,
    "total_token_throughput": 10400.0,
    "mean_ttft_ms": 300.0,
    "median_ttft_ms": 290.0,
    "std_ttft_ms": 30.0,
    "p99_ttft_ms": 400.0,
    "mean_tpot_ms": 12.5,
    "median_tpot_ms": 12.4,
    "mean_itl_ms": 12.5,
}
TEST = {  # llama-bench -o json
    "build_commit": "8cf427ff",
    "build_number": 5163,
    "cpu_info": "AMD Ryzen 7 7800X3D 8-Core Processor",
    "gpu_info": "NVIDIA GeForce RTX 4080",
    "backends": "CUDA",
    "model_filename": "models/Qwen2.5-7B-Instruct-Q4_K_M.gguf",
    "model_type": "qwen2 7B Q4_K - Medium",
    "model_size": 4677120000,
    "model_n_params": 7615616512,
    "type_k": "f16",
    "type_v": "f16",
    "n_gpu_layers": -1,
    "n_prompt": 512,
    "n_gen": 0,
    "n_depth": 0,
    "test_time": "2025-04-24T11:58:50Z",
    "avg_ns": 72135640,
    "stddev_ns": 1453752,
    "avg_ts": 7100.0,
    "stddev_ts": 142.0,
    "samples_ts": [6863.1, 7147.55, 7136.37, 7115.79, 7237.21],
}
GENERATED = TEST | {"n_prompt": 0, "n_gen": 128, "n_depth": 256, "avg_ts": 120.0, "stddev_ts": 0.0}
MARKDOWN = """
ggml_cuda_init: found 1 CUDA devices

| model                  |     size |   params | backend | ngl |          test |              t/s |
| ---------------------- | -------: | -------: | ------- | --: | ------------: | ---------------: |
| qwen2 7B Q4_K - Medium | 4.36 GiB |   7.62 B | CUDA    |  -1 |         pp512 |  7340.20 ± 23.45 |
| qwen2 7B Q4_K - Medium | 4.36 GiB |   7.62 B | CUDA    |  -1 |  tg128 @ d512 |    116.71 ± 0.60 |
| qwen2 7B Q4_K - Medium | 4.36 GiB |   7.62 B | CUDA    |  -1 | pp512+tg128   |    600.00 ± 1.00 |

build: 8cf427ff (5163)
"""


def summary(mean):
    return {"successful": {"mean": mean, "median": mean, "std_dev": 0.0, "count": 50}, "errored": {"mean": 0.0}}


GUIDELLM = {
    "args": {"target": "http://localhost:8000", "model": "meta-llama/Llama-3.1-8B-Instruct"},
    "benchmarks": [
        {
            "type_": "generative_benchmark",
            "metrics": {
                "request_totals": {"successful": 50, "incomplete": 2, "errored": 0, "total": 52},
                "request_concurrency": summary(17.0),
                "prompt_token_count": summary(1000.0),
                "output_token_count": summary(250.0),
                "time_to_first_token_ms": summary(90.0),
                "inter_token_latency_ms": summary(10.0),
                "output_tokens_per_second": summary(1600.0),
            },
        }
    ],
}


@pytest.fixture
def written(tmp_path):
    """A file with a text, or an object as JSON, in it."""

    def write(content, name="bench.json"):
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return tmp_path / name

    return write


def test_what_vllm_served(written):
    (run,) = benchmarks.read(written(SERVED | {"weights": "fp8_row", "device": "H100 80GB SXM", "gpus": "2"}))
    assert (run.engine, run.model, run.phase) == ("vLLM", "meta-llama/Llama-3.1-8B-Instruct", "mixed")
    assert (run.weights, run.device, run.gpus, run.activations) == ("fp8_row", "H100 80GB SXM", 2, "")
    assert (run.tokens_in, run.tokens_out, run.tokens_per_second) == (1000, 300, 2400)
    assert run.concurrency == pytest.approx(2400 * 0.0125)  # Little's law: 30 decode, not the 32 that were let in
    assert (run.ttft_ms, run.tpot_ms, run.file) == (300, 12.5, "bench.json") and math.isnan(run.spread)


def test_one_object_a_line_as_appended_results_have(written):
    lines = "\n".join(json.dumps(SERVED | {"output_throughput": speed}) for speed in (2400.0, 2500.0))
    assert [run.tokens_per_second for run in benchmarks.read(written(lines))] == [2400, 2500]
    assert len(benchmarks.read(written(json.dumps(SERVED, indent=1)))) == 1


@pytest.mark.parametrize("how", ["json", "jsonl", "csv"])
def test_what_llama_bench_timed(written, how):
    rows = [TEST, GENERATED]
    if how == "csv":
        head = [name for name in TEST if name != "samples_ts"]
        text = "\n".join([",".join(head), *(",".join(f'"{row[name]}"' for name in head) for row in rows)])
    else:
        text = json.dumps(rows, indent=2) if how == "json" else "\n".join(map(json.dumps, rows))
    read, wrote = benchmarks.read(written(text, f"bench.{how}"))
    assert (read.phase, read.tokens_in, read.tokens_per_second) == ("prefill", 512, 7100)
    assert (wrote.phase, wrote.tokens_in, wrote.tokens_out, wrote.tokens_per_second) == ("decode", 256, 128, 120)
    assert read.spread == pytest.approx(0.02) and math.isnan(wrote.spread)
    for run in (read, wrote):
        assert (run.engine, run.device, run.gpus, run.concurrency) == ("llama.cpp", "NVIDIA GeForce RTX 4080", 1, 1)
        assert (run.weights, run.activations, run.kv, run.params) == ("q4_k", "dense", "dense", 7615616512)


def test_llama_bench_on_a_processor_and_on_two_cards(written):
    (run,) = benchmarks.read(written([TEST | {"backends": "CPU", "gpu_info": ""}]))
    assert run.device == "AMD Ryzen 7 7800X3D 8-Core Processor"
    (run,) = benchmarks.read(written([TEST | {"gpu_info": "NVIDIA GeForce RTX 3090, NVIDIA GeForce RTX 3090"}]))
    assert (run.device, run.gpus) == ("NVIDIA GeForce RTX 3090", 2)


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("llama 8B Q4_K - Medium", "q4_k"),
        ("llama 8B Q8_0", "q8_0"),
        ("llama 8B IQ4_XS - 4.25 bpw", "iq4_xs"),
        ("gpt-oss 20B MXFP4 MoE", "mxfp4"),
        ("llama 8B F16", "dense"),
        ("llama 8B BF16", "dense"),
        ("llama 8B all new", ""),
    ],
)
def test_how_llama_bench_names_a_type(written, text, weights):
    (run,) = benchmarks.read(written([TEST | {"model_type": text, "model_filename": "m.gguf"}]))
    assert run.weights == weights


def test_a_table_of_llama_bench(written):
    read, wrote, both = benchmarks.read(written(MARKDOWN, "bench.md"))
    assert (read.phase, read.tokens_in, read.tokens_per_second, read.params) == ("prefill", 512, 7340.2, 7.62e9)
    assert (wrote.phase, wrote.tokens_in, wrote.tokens_out) == ("decode", 512, 128)
    assert wrote.spread == pytest.approx(0.6 / 116.71) and wrote.weights == "q4_k" and wrote.device == ""
    assert both.phase == "mixed" and both.tokens_per_second == pytest.approx(120)  # of 600 of both, 128 in 640 written


def test_what_guidellm_measured(written):
    (run,) = benchmarks.read(written(GUIDELLM))
    assert (run.phase, run.tokens_in, run.tokens_out, run.tokens_per_second) == ("mixed", 1000, 250, 1600)
    assert (run.concurrency, run.ttft_ms, run.tpot_ms) == (16, 90, 10)
    assert run.model == "meta-llama/Llama-3.1-8B-Instruct" and run.engine == ""


def test_repeats_are_one_run_with_a_spread(written):
    runs = [
        *benchmarks.read(written(SERVED)),
        *benchmarks.read(written(SERVED | {"output_throughput": 2420.0}, "b.json")),
    ]
    (run,) = benchmarks.combined(runs)
    assert run.tokens_per_second == pytest.approx(math.sqrt(2400 * 2420)) and run.file == "bench.json, b.json"
    assert run.spread == pytest.approx(math.log(2420 / 2400) / math.sqrt(2))
    assert len(benchmarks.combined([*runs, *benchmarks.read(written([TEST, GENERATED]))])) == 3
    assert list(benchmarks.frame(runs).tokens_per_second) == [2400, 2420]


def without(data, name):
    return {key: value for key, value in data.items() if key != name}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is empty"),
        ("hello", "neither JSON, nor CSV or a table"),
        ("{", "no JSON"),
        ("[1]", "a row of it is 1, not an object"),
        ("[]", "no speed in it"),
        ({"a": 1}, "none of the files that are read"),
        ({"avg_latency": 1.0, "latencies": [1.0]}, "vllm bench serve --save-result"),
        ({"elapsed_time": 1.0, "num_requests": 3}, "vllm bench serve --save-result"),
        (SERVED | {"failed": 20}, "20 of 220 requests failed"),
        (SERVED | {"output_throughput": math.nan}, "output_throughput: must be a finite number"),
        (SERVED | {"output_throughput": -1}, "output_throughput: -1 must be above 0"),
        (SERVED | {"output_throughput": 3 * SERVED["output_throughput"]}, "but its tokens over its duration are"),
        (SERVED | {"accept_length": 2.9}, "accept_length is 2.9: it speculated"),
        (SERVED | {"output_throughput": "fast"}, "output_throughput: could not convert"),
        (SERVED | {"completed": True}, "completed: must be a number"),
        (SERVED | {"completed": 0}, "completed: 0 must be at least 1"),
        (SERVED | {"model_id": 7}, "model_id: must be text, not 7"),
        (SERVED | {"model_id": "a\nb"}, "one line"),
        (without(SERVED, "total_input_tokens"), "total_input_tokens: must be a number"),
        (without(SERVED, "mean_tpot_ms") | {"max_concurrency": None}, "how many sequences decoded is not known"),
        ([TEST | {"n_prompt": 0}], "reads no token and writes none"),
        ([TEST | {"n_cpu_moe": 20}], "n_cpu_moe is 20: experts lay"),
        ([TEST | {"avg_ts": 1e99}], "avg_ts: 1e+99 must be above 0 and at most 1e+15"),
        (MARKDOWN.replace("pp512 ", "pp512x"), "no row of llama-bench"),
        (GUIDELLM | {"benchmarks": {}}, "benchmarks must be a list"),
        (GUIDELLM | {"benchmarks": [3]}, "output_tokens_per_second.mean: must be a number"),
    ],
)
def test_what_is_refused_in_words(written, content, message):
    with pytest.raises(ValueError, match=r"^bench\.json: ") as caught:
        benchmarks.read(written(content))
    assert message in str(caught.value) and len(str(caught.value)) < 500


def test_no_file_no_folder_and_bytes(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ValueError, match="there is no such file"):
            benchmarks.read(path)
    (tmp_path / "b").write_bytes(b"\xff\xfe{}")
    with pytest.raises(ValueError, match=r"^b: "):
        benchmarks.read(tmp_path / "b")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "H100 80GB SXM"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", ""),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA L4", "L4"),
        ("Apple M4 Max", "Apple M4 Max"),
        ("Apple M4 Pro", ""),
        ("AMD Instinct MI300X", "MI300X"),
        ("something else", ""),
        ("", ""),
    ],
)
def test_which_device_a_driver_means(text, name):
    known = ["H100 80GB SXM", "H200 SXM", "RTX 4090", "L4", "L40S", "Apple M4 Max", "MI300X"]
    assert benchmarks.device(text, known) == name


@pytest.mark.parametrize(
    ("model", "params", "total", "other"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", math.nan, 8.03e9, False),
        ("Qwen/Qwen3-30B-A3B", math.nan, 30.5e9, False),
        ("Qwen/Qwen3-32B", math.nan, 8.03e9, True),
        ("qwen2 7B Q4_K - Medium", 7615616512, 7.62e9, False),
        ("qwen2 7B Q4_K - Medium", 7615616512, 8.03e9, True),
        ("my-model", math.nan, 8.03e9, False),
        ("", math.nan, 8.03e9, False),
    ],
)
def test_whether_a_file_is_of_the_model(model, params, total, other):
    run = benchmarks.Run("decode", 1, 1, 1, 1.0, model=model, params=params)
    assert bool(benchmarks.other_model(run, total)) == other


@pytest.mark.parametrize("seed", range(4))
def test_whatever_stands_in_a_file_is_read_or_refused(written, seed):
    rng = random.Random(seed)
    texts = [json.dumps(SERVED), json.dumps([TEST, GENERATED]), json.dumps(GUIDELLM), MARKDOWN]
    odd = ["null", "[]", "{}", '"x"', "-1", "1e999", "NaN", "true", "\ud7ff", '"', ",", "|", "±", "@", "9" * 40]
    for _ in range(100):
        text = rng.choice(texts)
        for _ in range(rng.randint(1, 4)):
            tokens = [(m.start(), m.end()) for m in re.finditer(r"[\w.]+|[^\w\s]", text)]
            start, end = rng.choice(tokens)
            text = text[:start] + rng.choice([*odd, ""]) + text[end:]
        try:
            runs = benchmarks.read(written(text))
        except ValueError as error:
            assert len(str(error)) < 520
        else:
            assert all(run.tokens_per_second > 0 and run.concurrency >= 1 for run in runs)


@pytest.mark.parametrize(
    ("model", "numbers"),
    [
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic", "fp8"),
        ("nvidia/Llama-3.3-70B-Instruct-NVFP4", "nvfp4"),
        ("Qwen/Qwen2.5-72B-Instruct-AWQ", "int4"),
        ("model.w8a8", "int8"),
        ("unsloth/gemma-2-9b-bnb-4bit", "int4"),
        ("meta-llama/Llama-3.1-8B-Instruct", ""),
        ("awqward/plain", ""),
    ],
)
def test_the_name_of_a_model_says_what_its_weights_are(model, numbers):
    assert benchmarks.quantised(model) == numbers


def test_a_measurement_moves_the_median_and_leaves_a_share_of_the_spread():
    rates = np.array([[10.0, 20.0, 40.0]])
    kept = benchmarks.Shift(factor=1.5, keep=0.5, error=0.0, source="mine.json").applied(rates, 0.0)
    assert kept[0] == pytest.approx([30 / math.sqrt(2), 30, 30 * math.sqrt(2)])
    sure = benchmarks.Shift(factor=1.0, keep=0.0, error=0.1, source="mine.json").applied(rates, np.array([-1, 0, 1]))
    assert sure[0] == pytest.approx(20 * np.exp([-0.1, 0, 0.1]))
