"""The commands that serve a model by an engine on the devices that are planned, and that evaluate it there.

Flags as in 2026: docs.vllm.ai, docs.sglang.io, nvidia.github.io/TensorRT-LLM and its #11487 (a cache in FP8), lm_eval's
vllm_causallms.py and sglang_causallms.py; mlx-lm's server listens on port 8080.
"""

from ..hardware.devices import devices
from ..hardware.kernels import numbers
from ..hardware.links import together
from .inputs import Option
from .scenario import Scenario

SERVE = {
    "vLLM": ("vllm serve {}", "--tensor-parallel-size", "--pipeline-parallel-size", "--kv-cache-dtype fp8"),
    "SGLang": ("python -m sglang.launch_server --model-path {}", "--tp", "--pp-size", "--kv-cache-dtype fp8_e4m3"),
    "TensorRT-LLM": ("trtllm-serve {}", "--tp_size", "--pp_size", "--kv_cache_dtype fp8"),
}
"""{engine: its command, how it calls devices in parallel and in a pipeline, and a cache in FP8}."""
EVALUATE = {
    "vLLM": ("vllm", "tensor_parallel_size", "pipeline_parallel_size", "kv_cache_dtype=fp8"),
    "SGLang": ("sglang", "tp_size", "pp_size", "kv_cache_dtype=fp8_e4m3"),
}
"""The same of lm_eval; other engines are evaluated by vLLM."""
ALONE = {"MLX": ("mlx_lm.server --model {}", " --base-url http://127.0.0.1:8080")}
"""Engines of one device: their command, and what a benchmark has to be told of their server."""


def serve(scenario: Scenario, option: Option, device: str, gpus: int, model: str) -> str:
    """The command that serves ``model`` so; "" for an engine of which none is known."""
    engine = scenario.hardware.engine
    if engine in ALONE:
        return ALONE[engine][0].format(model)
    if engine not in SERVE:
        return ""
    command, parallel, pipeline, cache = SERVE[engine]
    ranks, stages = _split(scenario, device, gpus)
    parts = [command.format(model), f"{parallel} {ranks}", f"{pipeline} {stages}" * (stages > 1)]
    return " ".join(filter(None, [*parts, cache * _short_cache(option)]))


def evaluate(scenario: Scenario, option: Option, device: str, gpus: int, model: str) -> str:
    """The command that evaluates ``model`` so on a text."""
    name, parallel, pipeline, cache = EVALUATE.get(scenario.hardware.engine, EVALUATE["vLLM"])
    ranks, stages = _split(scenario, device, gpus)
    parts = [f"pretrained={model}", f"{parallel}={ranks}" * (ranks > 1), f"{pipeline}={stages}" * (stages > 1)]
    arguments = ",".join(filter(None, [*parts, cache * _short_cache(option)]))
    return f"lm_eval --model {name} --model_args {arguments} --tasks wikitext"


def _split(scenario: Scenario, device: str, gpus: int) -> tuple[int, int]:
    """(devices that share every product, stages of a pipeline), as the plan has them."""
    known, hardware = devices(scenario.hardware.overrides or None), scenario.hardware
    machine = together(known[device], gpus, scenario.model.shape, hardware.engine)
    return machine.ranks, machine.stages


def _short_cache(option: Option) -> bool:
    return numbers(option.kv) == "fp8"
