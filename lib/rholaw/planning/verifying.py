"""The command that would verify what a plan rests on most: the speed, the loss or the price of what it speaks of.

Other than ``measuring``, which settles a loss that is open, this is said of every plan.
"""

import json

from ..hardware.kernels import numbers
from . import cases, damage, measuring, serving
from .inputs import Option
from .remarks import Conclusion, Ground
from .scenario import Scenario

SPEED = ("kernels", "system", "parallel", "place")
LOSS = ("damage",)
LAW = "law"
KEYS = {
    "price": "prices.gpu_hour_usd",
    "overhead": "prices.overhead",
    "electricity": "prices.electricity_usd_kwh",
    "power": "prices.power_share",
    "pue": "prices.pue",
    "interruption": "prices.interruption",
    "server": "prices.server",
    "upkeep": "prices.upkeep",
    "utilisation": "traffic.utilisation",
    "peak": "traffic.peak_over_mean",
    "effort": "project.engineer_weeks",
    "slowdown": "project.slowdown",
    "mfu": "project.mfu",
}
"""Uncertain inputs that no command measures: the key of the scenario that takes a number of yours."""
PURCHASE = "prices.purchase_usd"
"""That of the price of a device which is bought."""
REQUESTS = 10
"""Requests of a benchmark for each that is in flight: enough to see a steady state."""


def commands(scenario: Scenario, conclusion: Conclusion) -> tuple[tuple[str, str], ...]:
    """(code, command) of each step; ``words`` says under ``measuring`` what a code means. () where there is no option,
    or where its device is not known.

    Of the input that moves the result most, and where no command measures it, of the first that one does; of whether it
    runs at all, and how fast, where that is not known.
    """
    row = conclusion.choice
    if row is None or conclusion.ground == Ground.UNKNOWN:
        return ()
    option = next((one for one in scenario.options if one.name == row.option), Option())
    speed = (scenario, option, row.device, int(row.gpus), int(row.batch))
    if conclusion.ground == Ground.UNTRIED or not conclusion.inputs:
        return _speed(*speed)
    first = conclusion.inputs[0]
    value = f'{{ "{row.device}" = … }}' if first == "price" else "[low, middle, high]"
    owned = first == "price" and cases.bought(cases.priced(scenario, row.device))
    given = (("give_key", f"{PURCHASE if owned else KEYS[first]} = {value}"),) if first in KEYS else ()
    law = () if scenario.project.kind == "post-training" else (LAW,)  # of training, which is not planned there
    measurable = next((name for name in conclusion.inputs if name in (*SPEED, *LOSS, *law)), "")
    if measurable in SPEED:
        return given + _speed(*speed)
    if measurable in LOSS:
        return given + measuring.commands(measuring.measurement(scenario, option))
    survey = f"rholaw survey MODEL --formats {json.dumps(option.weights)} --totals"
    return (*given, ("survey", survey)) if measurable else given


def _speed(scenario: Scenario, option: Option, device: str, gpus: int, batch: int) -> tuple[tuple[str, str], ...]:
    """A benchmark of the option at the scenario's load, and how a plan takes what it measured."""
    traffic, engine = scenario.traffic, scenario.hardware.engine
    load = {"in": f"{traffic.tokens_in:.0f}", "out": f"{traffic.tokens_out:.0f}"}
    roles = {role: getattr(option, role) for role in ("weights", "activations", "kv")}
    said = {"device": device, "gpus": gpus} | {
        role: name for role, name in roles.items() if role == "weights" or name != "dense"
    }
    random = f"--dataset-name random --random-input-len {load['in']} --random-output-len {load['out']}"
    flight = f"--max-concurrency {batch} --num-prompts {REQUESTS * batch}"
    entry = ", ".join(f"{key} = {json.dumps(value)}" for key, value in said.items())
    named = f'hardware.measured = [{{ file = "bench.json", {entry} }}]'
    model = _model(scenario, option)
    serve = serving.serve(scenario, option, device, gpus, model)
    if engine == "llama.cpp":
        cache = f" -fa 1 -ctk {option.kv} -ctv {option.kv}" * (option.kv in measuring.LLAMA)
        bench = f"llama-bench -m {model}.gguf -p {load['in']} -n {load['out']}{cache} -o json > bench.json"
    elif engine == "SGLang":
        bench = f"python -m sglang.bench_serving --backend sglang {random} --random-range-ratio 1 {flight} \\\n"
        bench += "  --output-file bench.json"
    else:
        about = " ".join(f'"{key}={value}"' for key, value in said.items())
        backend = "vllm" if engine == "vLLM" else "openai"
        where = serving.ALONE.get(engine, ("", ""))[1]
        bench = (
            f"vllm bench serve --backend {backend}{where} --model {model} {random} {flight} \\\n"
            f"  --ignore-eos --save-result --result-filename bench.json --metadata {about}"
        )
        named = (
            'hardware.measured = ["bench.json"]'
            if engine == "vLLM"
            else named.replace("{ file", f'{{ engine = "{engine}", file')
        )
    return (
        *((("serve", serve),) if serve else ()),
        ("bench", bench),
        ("speeds", "rholaw speeds bench.json"),
        ("give_bench", named),
    )


def _model(scenario: Scenario, option: Option) -> str:
    """What is served: the model as it is, or what is made of it."""
    as_it_is = numbers(option.weights) == "bf16" or damage.published(scenario.model, option)
    return measuring.SERVED[not as_it_is]
