"""`rholaw plan` and `rholaw speeds`."""

import argparse
import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..command_line import Parser, add_output, as_json, show

if TYPE_CHECKING:
    import pandas as pd

    from ..planning.decide import Plan

COLUMNS = ("option", "device", "gpus", "batch", "memory_gb", "latency_ms", "ttft_ms")
COLUMNS += ("devices_paid", "cost_month", "saving_month", "cost_once", "npv", "pays")
DEAR = 10
"""Times the least bill of what nothing beats, above which an option is not printed: nobody would buy its speed."""
SPEEDS = ("file", "engine", "model", "device", "gpus", "weights", "phase", "concurrency", "tokens_in", "tokens_out")
SPEEDS += ("tokens_per_second", "ttft_ms", "tpot_ms", "spread")


def plan(arguments: list[str], prog: str) -> None:
    """The plan of a scenario: the recommendation, and the options on the Pareto front."""
    examples = f"  {prog} chapters/scenario.toml --language ja\n  {prog} mine.toml --csv > options.csv"
    description = "Which compression pays, by how much and how sure; chapters/scenario.toml explains every key."
    parser = Parser(prog, description, examples)
    parser.add_argument("scenario", help="a .toml or .yaml file")
    parser.add_argument("--language", choices=["en", "ja"], default="en", help="of what it says")
    add_output(parser, json="all of it as JSON: the answer in both languages, the warnings, and every column")
    chosen = parser.parse_args(arguments)

    from ..planning import plan as decide

    answer = decide(chosen.scenario)
    if chosen.json:
        words = {name: getattr(answer, name) for name in ("verdict", "recommendation", "summary_en", "summary_ja")}
        lists = {name: list(getattr(answer, name)) for name in ("steps", "verify", "alternatives", "warnings")}
        lists |= {"assumptions": json.loads(as_json(answer.assumptions))}
        about = words | lists | {"table": json.loads(as_json(answer.table))}
        print(json.dumps(about, ensure_ascii=False, indent=1))
    elif chosen.csv:
        show(answer.table, chosen)
    else:
        _print(answer, chosen)


def _print(answer: "Plan", chosen: argparse.Namespace) -> None:
    """A Plan in the language that was chosen: what it advises, how to measure or verify, its options, what to doubt."""
    from ..planning import measuring, names, verifying, words

    language, said = chosen.language, words.texts(chosen.language)["printed"]
    print(words.recommendation(answer.conclusion, language, names.called))
    wanted = answer.conclusion.measurement
    steps = measuring.commands(wanted) if wanted else verifying.commands(answer.scenario, answer.conclusion)
    if steps and not wanted:
        first = words.texts(language)["inputs"][next(iter(answer.conclusion.inputs), "kernels")]
        print("\n" + said["verify"].format(first=first), end="")
    for why, command in words.steps(tuple(steps), language):
        print(f"\n{why}\n  " + command.replace("\n", "\n  "))
    said_of = (answer.conclusion.choice, answer.conclusion.baseline, answer.conclusion.surer)
    spoken = [row.name for row in said_of if row is not None]
    front = _front(answer.table, spoken)
    if len(front):
        unit = words.unit(answer.scenario.prices.currency, language)
        print("\n" + said["options"].format(currency=unit, dear=DEAR))
        idle = (front.cost_used < 0.99 * front.cost_month).any()  # hours are paid in which nothing is asked
        month = COLUMNS.index("cost_month") + 1
        columns = (*COLUMNS[:month], *["cost_used"] * int(idle), *COLUMNS[month:])
        show(
            front[[*columns]].map(
                lambda one: words.three(one) if isinstance(one, float) and abs(one) < math.inf else one
            ),
            chosen,
        )
    for line in _rests(answer, language):
        print(line)
    for option, told in words.obstacles(answer.conclusion, language, names.called).items():
        if option not in set(front.option) and len(front):
            print(said["out"].format(text=told))
    for key, remarks in (("or", answer.compared), ("mind", answer.doubts)):
        if remarks:
            print()
        for remark in remarks:
            print(said[key].format(text=words.told(remark, language, names.called)))


def _front(table: "pd.DataFrame", spoken: list[int]) -> "pd.DataFrame":
    """The rows of a plan's table that are printed: those spoken of, and what nothing beats, each deployment once."""
    front = table[table.pareto | table.index.isin(spoken)]
    mine = front.index.isin(spoken)
    front = front[mine | ~(front.cost_month > DEAR * front.cost_month.min())]
    order = front.assign(first=~front.index.isin(spoken)).sort_values("first", kind="stable")
    once = order.drop_duplicates(["option", "device", "gpus", "cost_month", "latency_ms"])
    return front.loc[once.index.sort_values()]


def _rests(answer: "Plan", language: str) -> Iterator[str]:
    """What the numbers of the rows spoken of rest on, a line each: speeds by their rung, how such intervals did on
    reports that were held out, losses, prices."""
    from ..hardware import devices, residuals
    from ..planning import damage, names, words

    said, scenario = words.texts(language)["printed"], answer.scenario
    of = answer.assumptions.set_index("item")
    rows = [row for row in (answer.conclusion.choice, answer.conclusion.baseline) if row is not None]
    options = {option.name: option for option in scenario.options}
    known = devices.devices(scenario.hardware.overrides or None)
    yield from ["", said["rests"]] if rows else []
    for row in rows:
        on = f"{row.option} on {row.gpus} × {row.device}"
        tested = row.held_out and residuals.held(
            known[row.device], row.speed_source_decode, scenario.model.shape.sparse
        )
        about = {"option": names.called(row.option, language), "device": row.device}
        about |= {phase: of.source[f"{on}: {phase}"] for phase in ("prefill", "decode")}
        yield said["rests_same" if about["prefill"] == about["decode"] else "rests_speed"].format(**about)
        if tested:
            yield said["rests_held"].format(held=words.held(*tested, language))
        if row.option != "dense":
            source = words.source(damage.origin(scenario, options[row.option]), len(scenario.model.measured), language)
            yield said["rests_loss"].format(source=source, **about)
    for device in dict.fromkeys(row.device for row in rows if f"{row.device}: an hour" in of.index):
        price = of.loc[f"{device}: an hour"]
        source = ", ".join(filter(None, [f"USD {price.value}", price.source, price.as_of]))
        yield said["rests_price"].format(device=device, source=source)


def speeds(arguments: list[str], prog: str) -> None:
    """What files of benchmarks say, as a plan reads them."""
    examples = f"  {prog} bench.json\n  {prog} llama-bench.csv guidellm.json --csv > speeds.csv"
    description = "The speeds in files of benchmarks, as hardware.measured of a scenario takes them."
    parser = Parser(prog, description, examples)
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="of vllm bench serve, SGLang, llama-bench, GuideLLM or AI Configurator"
    )
    add_output(parser)
    chosen = parser.parse_args(arguments)

    from ..hardware.benchmarks import frame, read

    runs = [run for file in chosen.files for run in read(file)]
    show(frame(runs), chosen, SPEEDS)
