"""The row of a plan to recommend, the verdict, and its reason."""

from .wording import SENTENCES, VERDICTS, words

SURE = 0.9
"""Share of the draws in which it must pay to say so without a pilot."""


def choose(table):
    """The place of the row to recommend: the compressed, feasible one of greatest median net present value; without a
    baseline the cheapest a month; None where there is none."""
    rows = table[table.feasible & (table.option != "dense")]
    if rows.empty:
        return None
    return int(rows.npv.idxmax() if rows.npv.notna().any() else rows.cost_month.idxmin())


def spoken(table, choice, baseline):
    """The rows of an option and of 16 bits that the sentences speak of: ``choice`` and ``baseline``.

    Where there is no choice for want of a price, the option that saves most device hours against 16 bits on the same
    device, and these; either may be None.
    """
    if choice is not None:
        return choice, baseline
    hours, dense = (table.gpus * table.hours_month)[table.meets], table.option == "dense"
    own, plain = hours[~dense], hours[dense]
    if own.empty or plain.empty:
        return tuple(None if each.empty else table.loc[each.idxmin()] for each in (own, plain))
    saved = table.device.map(plain.groupby(table.device).min())[own.index] / own
    place = saved.idxmax() if saved.notna().any() else own.idxmin()
    beside = plain[table.device == table.device[place]]
    return table.loc[place], table.loc[(plain if beside.empty else beside).idxmin()]


def verdict(scenario, choice, baseline):
    """(a key of VERDICTS, the key of its reason in SENTENCES); choice and baseline: as ``spoken`` of."""
    if scenario.traffic.requests_per_month == 0:
        return "do not compress", "traffic"
    if choice is None:
        return "do not compress", "nothing" if baseline is None else "none"
    if not choice.feasible:
        return ("compress", "only, unpriced") if baseline is None else ("cannot tell", "unpriced")
    if baseline is None:
        return "compress", "only"
    if choice.pays >= 0.5:
        why = "swaps" if choice.saving_month <= 0 else "pays" if choice.cost_once > 0 else "gains"
        return "compress" if choice.pays >= SURE else "pilot", why
    return "do not compress", "late" if choice.saving_month > 0 else "dearer"


def recommendation(table, scenario, decision, reason, choice, baseline, tornado):
    """The verdict and why, in English; where no option is feasible, the least that stands against each."""
    if reason in ("none", "nothing"):
        out = table[~table.option.isin(table.option[table.feasible])]
        near = out.sort_values("why_not", key=lambda text: text.str.count("; "), kind="stable")
        names = {"dense": "16 bits"}
        near = near.drop_duplicates("option").sort_index()
        why = [f"{names.get(row.option, row.option)}: {row.why_not}." for row in near.itertuples()]
        why.insert(0, SENTENCES[reason][0][0])
    else:
        filled = words(scenario, choice, baseline, tornado, "en")
        why = [each[0].format(**filled) for each in SENTENCES[reason][:2]]
    return f"{VERDICTS[decision][0]}: {' '.join(why)}"
