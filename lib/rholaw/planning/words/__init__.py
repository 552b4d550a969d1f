"""The words of a plan: sentences for its codes, and amounts as people write them, in English and in Japanese.

en.toml and ja.toml hold the texts, ``amounts`` reads them, this module fills them in.  Nothing else in the package has
words of a plan, and nothing reads them back.
"""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from .. import names
from ..remarks import MISSING, Conclusion, Gap, Ground, LossOrigin, Reason, Remark
from .amounts import LANGUAGES, counted, hours, large, money, months, paid, phrase, share, texts, three, unit, until

__all__ = ["LANGUAGES", "large", "money", "months", "share", "texts", "unit"]

SENTENCES = {
    Ground.PAYS: ("saves", "pays_back", "measure"),
    Ground.GAINS: ("saves", "gains", "measure"),
    Ground.SWAPS: ("swaps", "swaps_less_in_time", "measure"),
    Ground.LATE: ("late", "late_matters", "from_traffic"),
    Ground.DEARER: ("dearer", "matters", "from_traffic"),
    Ground.ONLY: ("only", "only_costs", "try"),
    Ground.ONLY_UNPRICED: ("only", "only_unpriced", "try"),
    Ground.UNPRICED: ("unpriced", "unpriced_hours", "give_price"),
    Ground.SAME: ("same", "same_speed", "same_choose"),
    Ground.WORK: ("work", "work_once", "give_work"),
    Ground.NONE: ("none", "see_reasons", "again"),
    Ground.NOTHING: ("nothing", "see_reasons", "again"),
    Ground.TRAFFIC: ("traffic", "traffic_once", "again"),
    Ground.UNTRIED: ("untried", "untried_costs", "serve"),
    Ground.UNKNOWN: ("unknown", "unknown_facts", "give_facts"),
    Ground.UNSETTLED: ("would_save", "unsettled", "settle"),
    Ground.UNSETTLED_ALONE: ("would_do", "unsettled", "settle"),
}
"""The three parts of a summary, for each ground of its verdict; a recommendation has the first two, or all three
where it is to measure or asks for facts."""
BY_SPEED = {Ground.PAYS, Ground.GAINS, Ground.SWAPS, Ground.LATE, Ground.DEARER, Ground.UNSETTLED, Ground.WORK}
"""Grounds whose first sentence follows what a reader sees, where money hardly differs."""
ENDS = ("_p10", "_p90")
RATES = {"": "", "_p10": "_p90", "_p90": "_p10"}
"""Tokens a second at their P10 are those of the latency's P90."""
TURNING = {Ground.UNTRIED: "speed", Ground.UNPRICED: "price", Ground.LATE: "requests", Ground.DEARER: "requests"}
TURNING |= {Ground.WORK: "work"}
"""What a Turning is of, by the ground of a verdict."""


def _code(option: str, language: str) -> str:
    """An option by its code name, which readers type."""
    return option


# --- sentences ----------------------------------------------------------------------------------------------------


def told(remark: Remark, language: str = "en", called: Callable[[str, str], str] = _code) -> str:
    """The sentence of a Reason, a Doubt or an Alternative; called: how to call an option, in a language."""
    data = dict(remark.data)
    data |= {"option": called(data["option"], language)} if "option" in data else {}
    data |= {"options": [(called(one, language), on) for one, on in data["options"]]} if "options" in data else {}
    data |= {"numbers": names.kernel(data["numbers"], language)} if "numbers" in data else {}
    data |= {"share": share(data["share"], language)} if "share" in data else {}
    if "elsewhere" in data:
        engines = phrase("between_listed", language).join(data["elsewhere"])
        data["elsewhere"] = phrase("elsewhere" if engines else "elsewhere_none", language, engines=engines)
    for name, say in LISTED.items():
        if name in data:
            between = phrase("between_options" if name == "options" else "between_listed", language)
            data[name] = between.join(say(*one, language) for one in data[name])
    data |= {name: large(data[name], language, digits) for name, digits in COUNTED.items() if name in data}
    if "because" in data:
        data["because"] = phrase("because", language, gap=gap(data["because"], language)) if data["because"] else ""
    data |= {"keys": phrase("between_listed", language).join(data["keys"])} if "keys" in data else {}
    data |= {"why": texts(language)["unused"][data["why"]]} if "why" in data else {}
    if "counted" in data:
        data["counted"] = phrase("counted" if data["counted"] else "counted_not", language)
    data |= {"property": texts(language)["facts"][data["property"]]} if "property" in data else {}
    return texts(language)[remark.section][remark.code].format(**data)


def source(origin: LossOrigin, count: int, language: str = "en") -> str:
    """Where a loss comes from; count: of the formats measured on the model."""
    key = f"{origin}_one" if origin == LossOrigin.MEASURED and count == 1 else origin
    return texts(language)["sources"][key].format(count=count)


def held(rows: int, inside: int, language: str = "en") -> str:
    """How an interval of speed did on the reports of its kind that were held out."""
    return phrase("held" if rows else "held_none", language, rows=rows, held=inside / rows if rows else 0.0)


def gap(gap: Gap | None, language: str = "en") -> str:
    """What the law after training leaves out; "" for None."""
    return texts(language)["gaps"][gap] if gap else ""


def steps(commands: Iterable[tuple[str, str]], language: str = "en") -> tuple[tuple[str, str], ...]:
    """(what for, command) of each (code, command) of ``measuring.commands``."""
    return tuple((texts(language)["measuring"][code], command) for code, command in commands)


def _change(numbers: str, low: float, high: float, language: str) -> str:
    weights, beside, _ = numbers.partition(" x ")  # of a kernel: "nf4 x bf16"
    name = phrase("weights_alone", language, weights=weights.upper()) if beside else numbers
    return phrase("change" if low < high else "change_one", language, name=name, low=low, high=high)


def _fact(name: str, value: float, unit: str, language: str) -> str:
    return phrase("fact", language, name=texts(language)["facts"][name], value=value, unit=unit)


def _option_on(option: str, device: str | None, language: str) -> str:
    shown = phrase("dense", language) if option == "dense" else option
    return shown if device is None else phrase("option_on", language, option=shown, device=device)


LISTED = {"changes": _change, "facts": _fact, "options": _option_on}
"""How to say one of what a Remark has several of: (name, least, most), (property, value, unit), (option, device)."""
COUNTED = dict.fromkeys(("tokens", "tokens_low", "tokens_high", "anew"), 2) | {"total": 3, "active": 3}
"""Large numbers of a Remark, and to how many digits to say them."""


def reasons(remarks: Iterable[Reason], language: str = "en") -> str:
    """Several Reasons, each text once; "" for none."""
    return phrase("between_reasons", language).join(dict.fromkeys(told(remark, language) for remark in remarks))


def sentences(
    conclusion: Conclusion, language: str = "en", name: Callable[[pd.Series, str], str] = names.option
) -> list[str]:
    """The three parts of a summary of a Conclusion; name: what to call the option of a row, in a language."""
    filling = _filling(conclusion, language, lambda row: name(row, language))
    first, *rest = (texts(language)["sentences"][key].format(**filling) for key in SENTENCES[conclusion.ground])
    if conclusion.alike and conclusion.ground in BY_SPEED:
        first = phrase("by_speed", language, rest=first, **filling)
    return [first, *rest]


def surer(
    conclusion: Conclusion,
    language: str = "en",
    name: Callable[[pd.Series, str], str] = names.option,
    key: str = "surer",
) -> str:
    """The option that is surer to pay than the one that is recommended, with its own numbers; "" where none is."""
    row = conclusion.surer
    if row is None:
        return ""
    about = {"option": name(row, language), "paid": paid(row, language), "pays": share(row.pays, language)}
    for part in ("", *ENDS):
        about["saving" + part] = money(row["saving_month" + part], conclusion.currency, language)
    return phrase(key, language, **about)


def summary(conclusion: Conclusion, language: str = "en") -> str:
    """The verdict and all three, for who decides."""
    return _whole(conclusion, sentences(conclusion, language), language)


def recommendation(conclusion: Conclusion, language: str = "en", called: Callable[[str, str], str] = _code) -> str:
    """The verdict and why; where none is feasible, the least that stands against each. called: as for ``told``."""
    why = sentences(conclusion, language, lambda row, _: called(row.option, language))
    why = why[: 3 if conclusion.measurement or conclusion.ground == Ground.UNKNOWN else 2]
    if conclusion.ground in (Ground.NONE, Ground.NOTHING):
        why = [why[0], *obstacles(conclusion, language, called).values()]
    return _whole(conclusion, why, language)


def obstacles(
    conclusion: Conclusion, language: str = "en", called: Callable[[str, str], str] = _code
) -> dict[str, str]:
    """{option: what stands against it, in a sentence}, of those that are feasible nowhere. called: as for ``told``."""
    named = {option: called(option, language) for option in conclusion.obstacles}
    named |= {"dense": phrase("dense", language)}
    return {
        option: phrase("obstacle", language, option=named[option], reasons=reasons(remarks, language))
        for option, remarks in conclusion.obstacles.items()
    }


def _whole(conclusion: Conclusion, why: list[str], language: str) -> str:
    verdict = texts(language)["verdicts"][conclusion.verdict]
    return phrase("summary", language, verdict=verdict, sentences=phrase("between_sentences", language).join(why))


def _filling(conclusion: Conclusion, language: str, name: Callable[[pd.Series], str]) -> dict[str, str]:
    """What the sentences of a Conclusion are filled with."""
    choice, base, currency = conclusion.choice, conclusion.baseline, conclusion.currency
    if choice is None:
        return {}
    if conclusion.ground == Ground.UNKNOWN:  # its amounts are nan
        return {"option": name(choice), "device": choice.device, "missing": _missing(conclusion, language)}
    amount = money(abs(choice.cost_once), currency, language)
    once = "once_less" if choice.cost_once < 0 else "once" if choice.cost_once else "once_none"
    alike = base is not None and choice.devices_paid == base.devices_paid  # then only their spreads say what is saved
    between = phrase("between_sentences", language)
    filling = {
        "option": name(choice),
        "device": choice.device,
        "unpriced": choice.unpriced or ("" if base is None else base.unpriced),
        "paid": paid(choice, language, spread=alike),
        "batch": counted("batch", choice.batch, language, until=until(choice.ttft_ms, language)),
        "pays": share(choice.pays, language),
        "horizon": counted("horizon", conclusion.horizon_months, language),
        "cost": money(choice.cost_month, currency, language),
        "dearer": _dearer(-choice.saving_month, currency, language),
        "once": phrase(once, language, amount=amount),
        "turning": _turning(conclusion, language),
        "speed": _speed(choice, language, name),
        "beside": "" if base is None else _speed(base, language, name),
        "surer": "" if conclusion.surer is None else between + surer(conclusion, language, lambda row, _: name(row)),
        "known": "" if conclusion.known is None else _known(conclusion.known, language, name),
        "base_paid": "" if base is None else paid(base, language, spread=alike),
        "base_hours": "" if base is None else hours(base),
        "same": phrase("same_hours" if choice.unpriced else "same_money", language),
        "moves": _moves(conclusion, language),
        "if_good": "" if choice.feasible else phrase("if_good", language),
        **_measured(conclusion, language, name),
    }
    for part in ("", *ENDS):
        filling["hours" + part] = hours(choice, part)
        filling["saving" + part] = money(choice["saving_month" + part], currency, language)
        filling["payback" + part] = months(choice["payback_months" + part], language)
    low, high = (filling[f"hours{part}"] for part in ENDS)
    filling["hours_spread"] = phrase("spread", language, low=low, high=high) if low != high else ""
    filling["bill"] = phrase("bill_unpriced" if choice.unpriced else "bill", language, **filling)
    return filling


def _known(row: pd.Series, language: str, name: Callable[[pd.Series], str]) -> str:
    """The best of what is known to run, and in which share of draws it pays: to 0.1 %, as that may be nearly half."""
    return phrase("known", language, option=name(row), paid=paid(row, language), pays=f"{row.pays:.1%}")


def _moves(conclusion: Conclusion, language: str) -> str:
    """The two inputs that move the result most, as far as there are any that do."""
    inputs = [texts(language)["inputs"][key] for key in conclusion.inputs[:2]]
    key = ("moves_none", "moves_one", "moves")[len(inputs)]
    return phrase(key, language, **dict(zip(("first", "second"), inputs, strict=False)))


def _speed(row: pd.Series, language: str, name: Callable[[pd.Series], str]) -> str:
    """What a reader sees of a row, and the memory that it takes: of 16 bits the medians alone."""
    rates = {f"rate{part}": f"{three(1000 / row['latency_ms' + slow]):,.12g}" for part, slow in RATES.items()}
    about = {"option": name(row), "paid": paid(row, language)}
    about |= {"each": until(row.latency_ms, language), "until": until(row.ttft_ms, language)}
    key = "speed_dense" if row.option == "dense" else "speed"
    return phrase(key, language, memory=f"{three(row.memory_gb):,.12g}", **about, **rates)


def _missing(conclusion: Conclusion, language: str) -> str:
    """The properties of devices that would have to be known of the option that is spoken of."""
    against = [one for one in conclusion.obstacles.get(conclusion.choice.option, ()) if one.code in MISSING]
    lacking = (phrase("lacking", language, property=MISSING[one.code], **one.data) for one in against)
    return phrase("between_listed", language).join(dict.fromkeys(lacking))


def _measured(conclusion: Conclusion, language: str, name: Callable[[pd.Series], str]) -> dict[str, str]:
    """What the sentences about an unsettled loss are filled with; nothing for other verdicts."""
    choice, wanted = conclusion.choice, conclusion.measurement
    if wanted is None:
        return {}
    key = "settle_beyond" if wanted.gap else "settle_two" if wanted.formats else "settle_itself"
    key = "settle_both" if wanted.weights in wanted.formats[:1] else key
    rounded = dict.fromkeys(("activations", "kv"), "dense")
    coarse, fine = (name(pd.Series({"option": code, "weights": code} | rounded)) for code in wanted.formats or ("", ""))
    limits = {"passes": f"{wanted.passes:.3g}", "fails": f"{wanted.fails:.3g}"}
    limits |= {"gap": gap(wanted.gap, language)}
    return {
        "source": source(wanted.origin, wanted.count, language),
        "tolerance": f"{wanted.tolerance:g}",
        "good": share(choice.good_enough, language),
        "settle": phrase(key, language, option=name(choice), coarse=coarse, fine=fine, **limits),
        **{"loss" + part: f"{choice['dloss' + part]:.3g}" for part in ("", *ENDS)},
    }


def _dearer(amount: float, currency: str, language: str) -> str:
    """How a bill of so much more a month compares with that of 16 bits, which may be the same."""
    return phrase("dearer" if amount > 0 else "dearer_none", language, amount=money(amount, currency, language))


def _turning(conclusion: Conclusion, language: str) -> str:
    """At which traffic, speed or price an option pays that does not now, or of which that is not known."""
    what, turning = TURNING.get(conclusion.ground), conclusion.turning
    if what is None:
        return ""
    if turning is None or np.isnan(turning.value):
        return phrase(f"{what}_unknown", language)
    value = turning.value
    if value <= (1 if what == "speed" else 0):
        key = "any" if turning.above else "never"
    else:
        key = "never" if np.isinf(value) else "from" if turning.above else "below"
    data = {"times": f"{value:.2g}", "amount": money(value, conclusion.currency, language)}
    if np.isfinite(value):
        data |= {"requests": f"{three(value):,.12g}", "large": large(value, language, 3)}
    return phrase(f"{what}_{key}", language, **data)
