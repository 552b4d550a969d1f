"""The row of a plan to recommend, the verdict, and its ground."""

import pandas as pd

from . import work
from .remarks import MISSING, Ground, Reason, Verdict
from .scenario import Scenario

SURE = 0.9
"""Share of the draws in which it must pay to say so without a pilot."""
PILOT = 0.5
"""Share of the draws in which it must pay to be tried at all."""
NEAR = 0.03
"""Of a share of the draws: within so much of SURE or PILOT the verdict is said to be a close one."""
SURER = 0.1
"""Of a share of the draws: an option that pays in so much more of them is the surer one."""
SAFER = 0.5
"""Or one that pays in no fewer, and loses at P10 at most this share of what the other does."""
SLIGHT = 0.01
"""Of the bill of 16 bits, what is no difference to speak of."""
PETTY = 200.0
"""USD a month: a bill that is a person's, not a service's."""
TRIFLE = 2.0
"""USD a month, up to which a saving is none: no estimate of a bill is as sharp."""
OF_MONEY = (Ground.UNPRICED, Ground.LATE, Ground.DEARER, Ground.PAYS, Ground.GAINS, Ground.SWAPS)
"""Grounds that say nothing where money does not."""
TIES = ("devices_paid", "ttft_ms", "latency_ms", "batch")
"""What decides between rows of equal money: columns, medians, the least first."""


def choose(table: pd.DataFrame) -> int | None:
    """The place of the row to recommend: the first of ``ranked`` that is compressed and feasible; None without one.

    Of those that are worth as much within SLIGHT, and as sure to pay, the cheapest a month where it is clearly cheaper.
    """
    rows = ranked(table[table.feasible & (table.option != "dense")])
    if rows.empty:
        return None
    first = rows.iloc[0]
    tied = rows[(rows.npv >= first.npv - SLIGHT * abs(first.npv)) & (rows.pays >= first.pays - SLIGHT)]
    cheaper = tied[tied.cost_month < (1 - SLIGHT) * first.cost_month]
    return int(first.name if cheaper.empty else cheaper.cost_month.idxmin())


def best(table: pd.DataFrame) -> pd.DataFrame:
    """The best row of each option, the first that ``ranked`` has."""
    return ranked(table).drop_duplicates("option")


def ranked(table: pd.DataFrame) -> pd.DataFrame:
    """All rows, the feasible ones first, then those to be measured; of both the most valuable at their head.

    By median net present value, without a baseline by money a month; of equal ones by TIES, the least first.
    """
    value = table.npv if table.npv.notna().any() else -table.cost_month
    value = value.where(table.feasible | table.unsettled).fillna(float("-inf"))
    keys = pd.DataFrame({"out": ~table.feasible, "loss": -value}).join(table[list(TIES)])
    return table.loc[keys.sort_values(list(keys), kind="stable").index]


def surer(table: pd.DataFrame, choice: pd.Series | None) -> int | None:
    """The place of the row to name beside ``choice``, which pays without being SURE to, as the surer one.

    Of another compressed option that stands as well or better, and pays in clearly more draws, or in no fewer while it
    loses far less at P10; of several the one that pays in most draws.  None where there is none.
    """
    if choice is None or not (choice.feasible or choice.unsettled) or not PILOT <= choice.pays < SURE:
        return None
    others = table[(table.option != choice.option) & (table.option != "dense")]
    standing = others.feasible | (others.unsettled & choice.unsettled & (others.good_enough >= choice.good_enough))
    safer = (others.pays >= choice.pays) & (others.npv_p10 > SAFER * choice.npv_p10)
    rows = others[standing & (safer | (others.pays >= choice.pays + SURER))]
    return None if rows.empty else int(rows.sort_values(["pays", "npv"], ascending=False, kind="stable").index[0])


def alike(choice: pd.Series | None, baseline: pd.Series | None, rate: float) -> bool:
    """Whether the two cost as little a month, so that speed, memory and loss are what there is to choose by.

    Without a price, whether they take as many hours of one device, and the same.  rate: of the table's money for a USD.
    """
    if choice is None or baseline is None:
        return False
    if choice.unpriced or baseline.unpriced:
        alone = max(choice.devices_paid, baseline.devices_paid) <= 1 and choice.device == baseline.device
        return bool(alone and abs(choice.hours_month - baseline.hours_month) <= SLIGHT * baseline.hours_month)
    saved, bill = choice[["saving_month_p10", "saving_month_p90"]].abs().max(), baseline.cost_month
    trifle = choice.saving_month > 0 and saved <= TRIFLE * rate
    return bool(trifle or (saved <= SLIGHT * bill and bill <= PETTY * rate))


def undecided(choice: pd.Series, baseline: pd.Series, scenario: Scenario) -> bool:
    """Whether money says nothing of two that are ``alike``: the work is ``free``, or neither pays nor costs."""
    if choice.unpriced or baseline.unpriced or work.free(scenario.project):
        return True
    ends = choice[["npv_p10", "npv_p90"]].abs().max()
    return bool(ends <= SLIGHT * baseline.cost_month * scenario.project.horizon_months)


def spoken(
    table: pd.DataFrame, choice: pd.Series | None, baseline: pd.Series | None
) -> tuple[pd.Series | None, pd.Series | None]:
    """The rows of an option and of 16 bits that the sentences speak of: ``choice`` and ``baseline``.

    Without a baseline, 16 bits that only want a price, the fewest devices of them. Where there is no choice for want of
    a price, the option that saves most device hours against 16 bits on the same device, and these; either may be
    None.
    """
    hours, dense = (table.gpus * table.hours_month)[table.meets], table.option == "dense"
    if choice is not None:
        unpriced = hours[dense] if baseline is None else hours[:0]
        return choice, baseline if unpriced.empty else table.loc[unpriced.idxmin()]
    own, plain = hours[~dense], hours[dense]
    if own.empty or plain.empty:
        return tuple(None if rows.empty else table.loc[rows.idxmin()] for rows in (own, plain))
    saved = table.device.map(plain.groupby(table.device).min())[own.index] / own
    place = saved.idxmax() if saved.notna().any() else own.idxmin()
    beside = plain[table.device == table.device[place]]
    return table.loc[place], table.loc[(plain if beside.empty else beside).idxmin()]


def unsettled(table: pd.DataFrame) -> int | None:
    """The place of the row most worth measuring: its value, if it has any, times the share of draws in which it is good
    enough; None where the loss is not all that stands against a row."""
    return _first(table[table.unsettled])


def untried(table: pd.DataFrame) -> int | None:
    """The place of the most valuable row of which it is not known whether it runs, and against which nothing else
    stands but perhaps its loss; None where there is none."""
    return _first(table[table.untried])


def unknown(table: pd.DataFrame, reasons: pd.Series) -> int | None:
    """The place of the row of which it is not known what its devices can do, and against which nothing else stands but
    perhaps its kernel, its loss or its price, the one that lacks least; None where there is none."""
    open_ = {"kernel_unknown", "loss_unsettled", "no_price"}
    codes = reasons.map(lambda own: {reason.code for reason in own})
    facts = codes.map(lambda own: bool(own & MISSING.keys()) and own <= open_ | MISSING.keys())
    lacking = codes[facts & (table.option != "dense")]
    return None if lacking.empty else int(lacking.map(len).idxmin())


def _first(rows: pd.DataFrame) -> int | None:
    """The place of the row that promises most, then of the most valuable, then by TIES; None of none."""
    promise = {"promise": -(rows.npv.clip(lower=0) * rows.good_enough), "npv": -rows.npv}
    keys = pd.DataFrame(promise).join(rows[list(TIES)])
    return None if rows.empty else int(keys.sort_values(list(keys), kind="stable").index[0])


def verdict(scenario: Scenario, choice: pd.Series | None, baseline: pd.Series | None) -> tuple[Verdict, Ground]:
    """What to do and why; choice and baseline: as ``spoken`` of."""
    if scenario.traffic.requests_per_month == 0:
        return Verdict.REJECT, Ground.TRAFFIC
    if choice is None:
        return Verdict.REJECT, Ground.NOTHING if baseline is None else Ground.NONE
    if not choice.feasible:
        if baseline is None:
            return Verdict.COMPRESS, Ground.ONLY_UNPRICED
        return Verdict.CANNOT_TELL, Ground.UNPRICED
    if baseline is None:
        return Verdict.COMPRESS, Ground.ONLY
    if not baseline.feasible:
        return Verdict.CANNOT_TELL, Ground.UNPRICED
    if choice.pays >= PILOT:
        ground = Ground.PAYS if choice.cost_once > 0 else Ground.GAINS
        ground = Ground.SWAPS if choice.saving_month <= 0 else ground
        return Verdict.COMPRESS if choice.pays >= SURE else Verdict.PILOT, ground
    return Verdict.REJECT, _too_little(choice)


def _too_little(row: pd.Series) -> Ground:
    return Ground.LATE if row.saving_month > 0 else Ground.DEARER


def if_good_enough(verdict: Verdict, ground: Ground, row: pd.Series) -> tuple[Verdict, Ground] | None:
    """The verdict and its ground where it is about a row that is ``unsettled`` and not about what it was; else None.

    Measuring comes first where an option is rejected while another may pay; one that would not pay, however good it is,
    is what there is to say of options that may not be good enough.
    """
    if verdict != Verdict.REJECT or ground == Ground.TRAFFIC:
        return None
    if not row.pays < PILOT:
        return Verdict.MEASURE, Ground.UNSETTLED_ALONE if pd.isna(row.saving_month) else Ground.UNSETTLED
    return (verdict, _too_little(row)) if ground in (Ground.NONE, Ground.NOTHING) else None


def _lacking(against: tuple[Reason, ...]) -> float:
    """How many times the memory that is there would be needed; 0 where memory is not what stands against a row."""
    return max((own.data["need_gb"] / own.data["room_gb"] for own in against if own.code == "too_large"), default=0.0)


def obstacles(table: pd.DataFrame, reasons: pd.Series) -> dict[str, tuple[Reason, ...]]:
    """{option: the least that stands against it}, of the options that are feasible nowhere; reasons: of each row."""
    out = table[~table.option.isin(table.option[table.feasible])]
    keys = pd.DataFrame({"count": reasons[out.index].map(len), "lacking": reasons[out.index].map(_lacking)})
    first = out.loc[keys.sort_values(["count", "lacking"], kind="stable").index].drop_duplicates("option").sort_index()
    return {option: reasons[place] for place, option in first.option.items()}
