"""What the chapter on plans says in sentences, with the numbers of the plans before it: Markdown, in English."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from ..formats.grammar import Format
from ..hardware.geometry import RESERVE
from ..laws import sources
from ..planning import advice, comparisons, names, words
from ..planning.decide import Plan
from ..planning.remarks import Ground
from ..planning.words import money
from .escaped import cell, code, text

SIDES = {
    "reading prompts": ("prefill", -1),
    "writing for one reader": ("decode", 0),
    "writing for many": ("decode", -1),
}
"""Where a format may gain: the phase, and which of the batches."""
COMPARED = {
    "equal-loss": "equal loss: each is served with the N that reaches the dense model's loss.",
    "equal-n": "equal N: each keeps its size and loses Δloss, in nats per token.",
}


def called(option: str) -> str:
    """An option by its name, its code name where the pointer rests on it; as code where it has no other."""
    return _hovered(option, names.called(option))


def _hovered(written: str, name: str) -> str:
    return code(written) if name == written else f'<span title="{cell(written)}">{text(name)}</span>'


def grid(format: Format | str) -> str:
    """The same of a format, whatever its scale."""
    return _hovered(str(format), names.grid(str(format)))


def all_called(options: Iterable[str]) -> str:
    """Options in a sentence, or that there is none."""
    told = [*map(called, options)]
    return " and ".join(filter(None, [", ".join(told[:-1]), *told[-1:]])) or "no format"


def decision(plan: Plan) -> str:
    """The verdict and why; where none will do, what stands against each."""
    why = recommended(plan) if plan.conclusion.ground in (Ground.NONE, Ground.NOTHING) else text(plan.summary_en)
    verdict = words.texts("en")["verdicts"][plan.verdict]
    return f"## The decision: {verdict[0].lower()}{verdict[1:]}\n\n{why}"


def recommended(plan: Plan) -> str:
    """The verdict and why, with what stands against each option where none will do."""
    return text(words.recommendation(plan.conclusion, called=names.called))


def warnings(plan: Plan, others: bool = False) -> str:
    """What to doubt about a plan, a line each: of the whole and what it recommends, or of the other options alone."""
    sides = [row for row in (plan.conclusion.choice, plan.baseline) if row is not None]
    options, devices = ({None, *(row[name] for row in sides)} for name in ("option", "device"))

    def asked(option: str | None, device: str | None) -> bool:
        beside = option in options and device in devices
        return (beside or plan.conclusion.choice is None) != others

    told = [words.told(doubt, called=names.called) for doubt in filter(None, (one.of(asked) for one in plan.doubts))]
    return "".join(f"- {text(sentence)}\n" for sentence in told) or "Nothing."


def refused(plan: Plan) -> str:
    """The options to be measured and those out of the question, the currency, and how options are compared."""
    best, project = advice.best(plan.table), plan.scenario.project
    told = {"To be measured": best[best.unsettled], "Out of the question": best[~best.unsettled & (best.why_not != "")]}
    lists = {
        head: "".join(f"- {called(row.option)}: {text(row.why_not)}.\n" for row in rows.itertuples())
        for head, rows in told.items()
    }
    return (
        "".join(f"{head}:\n\n{rows}\n" for head, rows in lists.items() if rows)
        + "Recommended is what is worth most in the median. Another option is named as the surer choice if it pays in "
        f"at least {advice.SURER:.0%} more of the draws, or in no fewer with at most {advice.SAFER:.0%} of the loss at "
        f"P10. Money is in {text(plan.scenario.prices.currency)}. The project is {code(project.kind)}, so that options "
        "are compared at " + f"{COMPARED[project.comparison]} Below stands every batch and "
        "machine, the most valuable first."
    )


def above_the_line(table: pd.DataFrame, device: str, engine: str) -> str:
    """Which formats gain on a device even at P10, by measured speeds or by data sheet, and which have no kernel.

    table: of ``comparisons.formats_on``.
    """
    rows = table[table.device == device]
    batches = sorted(rows.batch.unique())
    gaining = {side: comparisons.gaining(rows, phase, batches[i]) for side, (phase, i) in SIDES.items()}
    told = "; ".join(f"{side}, {all_called(above.option[above.known])}" for side, above in gaining.items())
    hollow = {option for above in gaining.values() for option in above.option[~above.known]}
    return (
        f"**{text(device)}** with {text(engine)}. By measured speeds these gain at equal loss, even at P10: {told}. "
        f"By the data sheet alone, {all_called(sorted(hollow))}. "
        f"Without a kernel: {all_called(comparisons.idle(rows).index)}."
    )


def needed(idle: pd.DataFrame) -> str:
    """The speed-ups that formats without a kernel wait for; idle: rows of ``comparisons.idle``."""
    times = [
        f"{called(row.Index)} {row.needed:.2f} times the speed of 16 bits [{row.low:.2f}, {row.high:.2f}]"
        for row in idle.sort_values("needed").itertuples()
    ]
    return f"A format without a kernel gains no time. If somebody writes one, it must reach for {'; '.join(times)}."


def memory_line(line: pd.DataFrame) -> str:
    """How many formats save memory, which save most, and which do not; line: of ``comparisons.memory_line``."""
    least = [f"{grid(row.format)} ({row.ratio:.2f} of 16 bits)" for row in line.nsmallest(3, "ratio").itertuples()]
    return (
        f"At the medians {np.mean(line.ratio < 1):.0%} of {len(line)} formats save memory at equal loss. Those that "
        f"need the fewest bytes are {', '.join(least)}. Above the line even at the capacity's P90: "
        f"{', '.join(map(grid, line.format[line.bits > line.rho_p90])) or 'none'}."
    )


def of_sources() -> str:
    """How far sources differ about the capacity of four bits, beside the one law that a plan draws from."""
    pairs = {"4-bit weights": ("int4", "dense"), "4-bit integers on both sides": ("int4", "int4")}
    pairs["MXFP4 on both"] = ("mxfp4", "mxfp4")
    said = [f"{name} {{:.2f}} [{{:.2f}}, {{:.2f}}]".format(*sources.spread(*pair)) for name, pair in pairs.items()]
    return (
        "The bars along ρ are draws of one law. Sources differ more. By all of those that tried four bits, at about "
        f"100 tokens a parameter and with brackets that hold 80 % of them, ρ is {', '.join(said)} ([](four_bits)). "
        "Your trainer is one more source."
    )


def over_traffic(plan: Plan, traffic: pd.DataFrame) -> str:
    """From how many requests it pays; traffic: of ``comparisons.over_traffic``."""
    if traffic.empty:
        return "There is no option to recommend, no 16-bit deployment to compare with, or no traffic: nothing to draw."
    choice, table, sure = plan.choice, plan.table, traffic.requests[traffic.pays >= advice.SURE]
    told = ""
    if choice.break_even_requests == 0:
        told += "In the median it pays without any traffic: the project saves money at once. "
    elif np.isfinite(choice.break_even_requests):
        told += f"In the median it breaks even at {float(f'{choice.break_even_requests:.2g}'):,.0f} requests a month. "
    first = (
        f"Of the points drawn, {sure.min():,.0f} requests a month is the first at which it pays in nine of ten draws. "
    )
    told += first if len(sure) else "At none of the points drawn does it pay in nine of ten draws. "
    same = table[(table.option == "dense") & (table.device == choice.device) & table.feasible]
    if len(same) and choice.device != plan.baseline.device:
        dollars = money(same.cost_month.min(), plan.scenario.prices.currency)
        told += f"On {text(choice.device)} itself 16 bits cost {text(dollars)} a month."
    return told


def over_rates(plan: Plan, table: pd.DataFrame) -> str:
    """How much dearer little traffic makes a token; table: of ``traffic.over_rates``."""
    told, unit = [], plan.scenario.prices.currency
    for side, name in (("dense", "16 bits"), ("compressed", "the cheapest compressed option")):
        rows = table[table.side == side]
        if len(rows) > 1:
            first, last = rows.iloc[0], rows.iloc[-1]
            told.append(
                f"With {name} a million tokens cost {text(money(first.cost, unit))} at {first.rate:.2g} requests a "
                f"second, on {first.devices_paid:,.0f} × {text(first.device)} with the first token after "
                f"{first.ttft_ms:,.0f} ms, and {text(money(last.cost, unit))} at {last.rate:,.4g}, on "
                f"{last.devices_paid:,.0f} × {text(last.device)}: {first.cost / last.cost:,.0f} times less."
            )
    return " ".join(told) or "Nothing meets the limits of the scenario at these rates."


def edge(whole: Plan, alone: Plan) -> str:
    """The worked case of the edge: on two devices, and on the larger one alone."""
    big, little = whole.scenario.hardware.devices
    dense = whole.table.set_index(["option", "device"]).loc[("dense", little)]
    return (
        f"{text(whole.summary_en)} On {text(little)} 16 bits do not run: {text(dense.why_not)}. The saving is the "
        f"smaller device, not the speed: if the fleet had {text(big)} anyway, the verdict would be "
        f"**{alone.verdict}**, with {money(alone.choice.saving_month, 'USD')} saved a month on electricity. "
        "Speeds here stand on data sheets and on the efficiency of other engines; see the misses below."
    )


def finished(plans: Mapping[str, Plan]) -> str:
    """What measuring settles for a finished model; plans: of ``comparisons.by_knowledge``."""
    losses = {known: plan.table.drop_duplicates("option").set_index("option") for known, plan in plans.items()}
    truth, other, guess = losses.values()
    ours = truth.index[truth.index != "dense"]
    spans = [(known.dloss_p90 / known.dloss_p10)[ours].max() for known in (guess, other)]
    inside = [truth.dloss[ours].between(known.dloss_p10[ours], known.dloss_p90[ours]).sum() for known in (guess, other)]
    off, chosen = (other.dloss / truth.dloss)[ours], [plan.choice.option for plan in plans.values()]
    return (
        f"With nothing measured the interval spans a factor of {spans[0]:.1f} and holds {inside[0]} of the "
        f"{len(ours)} measured losses. With two other formats measured it spans {spans[1]:.1f} and holds {inside[1]}; "
        f"the medians are {off.min():.2f} to {off.max():.2f} times what was measured, partly with an importance "
        f"matrix. Recommended: {all_called(dict.fromkeys(chosen))}."
    )


def verify(plan: Plan) -> str:
    """What is to be measured first, in a sentence: what the verdict waits for, else what moves the result most."""
    if plan.conclusion.measurement is not None:
        return text(words.sentences(plan.conclusion)[-1])
    inputs = [words.texts("en")["inputs"][key] for key in plan.conclusion.inputs[:3]]
    first = f"The result moves most with {', then '.join(inputs)}."
    return first if inputs else "Nothing that was drawn moves the result."


def steps(plan: Plan) -> str:
    """The commands of the measurement that a plan asks for, else those that verify what moves its result most; and how
    training on compares with rounding."""
    told = "".join(f"\n{text(why)}\n\n```bash\n{command}\n```\n" for why, command in plan.steps or plan.verify)
    compared = (words.told(remark, called=names.called) for remark in plan.compared)
    return told + "".join(f"\n- {text(sentence)}" for sentence in compared)


def training(measured: Plan, slower: Plan) -> str:
    """The worked case of training: with the slowdown that was measured, and other formats without."""
    optimum = measured.table[measured.table.option == "dense"].iloc[0]
    best = slower.table.npv[slower.table.option != "dense"].max()
    return (
        f"{text(measured.summary_en)} A cost once below zero is a saving: the faster steps are worth more than the "
        "project. Without them, at slowdowns of 1 to 2, the best of four bits has a net present value of "
        f"{money(best, 'USD')}: **{slower.verdict}**. "
        "The plan also knows the cheapest N and D for this loss, and here it should not be believed: "
        f"D/N = {optimum.target_tokens / optimum.target_params:.2g} at the medians, "
        "where public models take 20 and more, because QuEST's runs fix the data term poorly."
    )


def misses(speeds: pd.DataFrame, accuracy: pd.DataFrame) -> str:
    """How far predicted speeds are off; speeds, accuracy: ``held_out`` and ``accuracy`` of ``hardware.residuals``."""
    timed, untimed = accuracy.loc["timed"], accuracy.loc["untimed"]
    return (
        f"Where products were timed the prediction errs by {timed.error:.0%} in the median of {timed.runs:.0f} cases, "
        f"{timed.close:.0%} are within 25 %, and {timed.inside:.0%} within the 80 % interval. "
        f"Where they were not, it errs by {untimed.error:.0%} in {untimed.runs:.0f} cases. The worst are one engine: "
        f"torchao multiplied 8-bit integers with an A100 {speeds.off.max():.0f} times slower at batch 1 than the timed "
        "kernel of another engine would. A speed-up belongs to an engine, not to a format."
    )


def held(hours: pd.DataFrame, memory: pd.DataFrame) -> str:
    """How far hours of training and bytes of memory are off; hours, memory: of ``hardware.observed``."""
    use, stored = memory[memory.what == "in use"], memory[memory.what != "in use"]
    worst = called(use.format[use.error.idxmin()])
    return (
        f"Of {len(hours)} training runs {hours.inside.sum()} lie inside; the others took more hours than the range "
        f"allows (the smallest Llama 3.1 an implied utilisation of {hours.implied_mfu.min():.0%}): their cards do not "
        f"say what the hours include. Memory of checkpoints and caches, {len(stored)} figures of "
        f"{stored.model.nunique()} models, agrees to {stored.error.abs().median():.1%} in the median and "
        f"{stored.error.abs().max():.1%} at worst. In use, {use.model.nunique()} models in {use.format.nunique()} "
        f"formats took more: the count falls short by {-use.error.max():.1%} to {-use.error.min():.0%}, "
        f"{-use.error.median():.1%} in the median; the worst is {worst} in Transformers, "
        f"of which nobody says what it holds. The plan's reserve of {RESERVE / 1e9:g} GB a device is for this."
    )


def example(plan: Plan) -> str:
    """For which model and traffic a plan is."""
    model, traffic = plan.scenario.model, plan.scenario.traffic
    named = isinstance(model.geometry, str)
    size = model.geometry if named else f"{words.large(model.shape.non_embedding, 'en')} parameters"
    return text(f"{size} and {words.large(traffic.requests_per_month, 'en')} requests a month")


def answer(plan: Plan) -> str:
    """What the cloud's plan comes to, for which model and traffic, and where compression pays at all."""
    row = plan.choice
    unit, base = plan.scenario.prices.currency, text(plan.baseline.device)
    saved, low, high = (text(money(row["saving_month" + part], unit)) for part in ("", "_p10", "_p90"))
    verdict = words.texts("en")["verdicts"][plan.verdict]
    surer = text(words.surer(plan.conclusion, key="surer_beside"))
    return (
        f"**{verdict}: for {example(plan)}, {called(row.option)} on {text(row.device)} should save {saved} a month** "
        f"[{low}, {high}] against 16 bits on {base}, and pay in {words.share(row.pays)} of the draws{surer}. "
        "Compression pays where a kernel is fast, traffic heavy, or a smaller device will do; without a kernel nowhere."
    )


def in_three(cases: Mapping[str, Plan], alone: Plan) -> str:
    """What the worked cases, cloud, edge and training, come to; alone: the edge on its larger device."""
    cloud, edge, training = (cases[name].choice for name in ("cloud", "edge", "training"))
    units = {name: plan.scenario.prices.currency for name, plan in cases.items()}
    worth, least, most = (text(money(training["npv" + part], units["training"])) for part in ("", "_p10", "_p90"))
    verdict = words.texts("en")["verdicts"][cases["cloud"].verdict]
    surer = text(words.surer(cases["cloud"].conclusion, key="surer_beside"))
    return (
        f"- **Cloud.** {verdict}: {called(cloud.option)} should save {text(money(cloud.saving_month, units['cloud']))} "
        f"a month against 16 bits, and pay in {words.share(cloud.pays)} of the draws{surer}.\n"
        f"- **Edge.** {called(edge.option)} should save {text(money(edge.saving_month, units['edge']))} a month for "
        f"each device, because a smaller one will do. On the larger one the verdict is “{alone.verdict}”.\n"
        f"- **Training.** FP8 is worth {worth} [{least}, {most}], in part because it trains faster."
    )
