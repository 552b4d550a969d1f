"""`rholaw plan` and `rholaw speeds`."""

import json

from ..command_line import Parser, add_output, as_json, show

COLUMNS = ("option", "device", "gpus", "batch", "memory_gb", "latency_ms", "ttft_ms")
COLUMNS += ("devices_paid", "cost_month", "saving_month", "npv", "pays")
SPEEDS = ("file", "engine", "model", "device", "gpus", "weights", "phase", "concurrency", "tokens_in", "tokens_out")
SPEEDS += ("tokens_per_second", "ttft_ms", "tpot_ms", "spread")


def plan(arguments: list[str], prog: str) -> None:
    """The plan of a scenario: the recommendation, and the options on the Pareto front."""
    examples = f"  {prog} chapters/scenario.toml --language ja\n  {prog} mine.toml --csv > options.csv"
    description = "Which compression pays, by how much and how sure; chapters/scenario.toml explains every key."
    parser = Parser(prog, description, examples)
    parser.add_argument("scenario", help="a .toml or .yaml file")
    parser.add_argument("--language", choices=["en", "ja"], default="en", help="of the summary")
    add_output(parser)
    chosen = parser.parse_args(arguments)

    from ..planning import plan as decide
    from ..planning import words

    answer = decide(chosen.scenario)
    if chosen.json:
        words = {name: getattr(answer, name) for name in ("verdict", "recommendation", "summary_en", "summary_ja")}
        lists = {name: list(getattr(answer, name)) for name in ("steps", "verify", "alternatives", "warnings")}
        about = words | lists | {"table": json.loads(as_json(answer.table))}
        print(json.dumps(about, ensure_ascii=False, indent=1))
    elif chosen.csv:
        show(answer.table, chosen)
    else:
        print(answer.summary_ja if chosen.language == "ja" else answer.recommendation)
        for why, command in answer.steps:
            print(f"\n{why}\n  " + command.replace("\n", "\n  "))
        first = words.texts("en")["inputs"].get(next(iter(answer.tornado.input), "kernels"))
        for i, (why, command) in enumerate(() if answer.steps else answer.verify):
            head = f"\nWhat matters most is {first}. To verify it:" if not i else ""
            print(f"{head}\n{why}\n  " + command.replace("\n", "\n  "))
        print(f"\nThe options that nothing beats, in {answer.scenario.prices.currency} (medians):")
        show(answer.table[answer.table.pareto], chosen, COLUMNS)
        print("".join(f"\nOr: {alternative}" for alternative in answer.alternatives))
        print("".join(f"\nMind: {warning}" for warning in answer.warnings))


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
