"""What people type, checked: dataclasses whose values come from a file, names that may be misspelt, plain types.

@dataclass(frozen=True)
class Traffic:
    tokens_in: float = number(1000.0, "tokens a request", 1)        a field says what it holds

problems = []
traffic = build(Traffic, {"tokns_in": "1k"}, "traffic", problems)   a line for each thing that is wrong
wrong(traffic)                                                      the same for an object made in Python
unknown("tokns_in", ["tokens_in"])                                  "tokns_in: there is no such key; did you mean …?"
shown(value)                                                        how a message shows what was typed, however long
"""

import dataclasses
import datetime
import difflib
import re
import reprlib
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, fields
from numbers import Real
from typing import Any, TypeVar

T = TypeVar("T")
LARGEST = sys.float_info.max  # what a number may be at most, where nothing else is said: it is finite
REQUIRED = dataclasses.MISSING  # the default of a field that has none
SHORTEST = 3  # letters of a part of a name by which it is known
LONGEST = 40  # characters of a text that may stand for a number
POWERS = {"": 0, "k": 3, "m": 6, "b": 9, "bn": 9, "t": 12}  # of ten: letters that people write for large numbers
LINE = 1000  # characters of a text at most
KINDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    list: "a list",
    dict: "a table of keys",
}
Reader = Callable[[Any, Mapping], Any]  # (value, metadata of its field) → value; ValueError says what it must be


# --- fields -------------------------------------------------------------------------------------------------------


def number(default: Any, unit: str, low: float = 0.0, high: float = LARGEST, **about: bool) -> Any:
    """A field that holds one number in ``unit`` from ``low`` to ``high``; ``above``: not ``low`` itself; ``whole``.

    ``default`` may be REQUIRED, as in all fields.
    """
    return _field(default, _one, unit=unit, low=low, high=high, **about)


def spread(default: Any, unit: str, low: float = 0.0, high: float = LARGEST, *, above: bool = False) -> Any:
    """A field that holds (low, middle, high); a file may give one number, which is then certain."""
    return _field(default, _three, unit=unit, low=low, high=high, above=above)


def text(default: Any, choices: Iterable[str] = ()) -> Any:
    """A field that holds text, one of ``choices`` where there are any."""
    return _field(default, _text, choices=tuple(choices))


def names(default: Any, unit: str) -> Any:
    """A field that holds a tuple of texts."""
    return _field(default, _names, unit=unit)


def counts(default: Any, unit: str) -> Any:
    """A field that holds a tuple of whole numbers from 1; a file may give one alone."""
    return _field(default, _counts, unit=unit, low=1, high=1e6, whole=True)


def by_name(unit: str) -> Any:
    """A field that holds ((name, (low, middle, high)), …); a file gives a table."""
    return _field((), _by_name, unit=unit, low=0.0, high=1e15, above=True)


def _field(default: Any, read: Reader, **about: Any) -> Any:
    return field(default=default, metadata={"read": read, "above": False, "whole": False, **about})


# --- values -------------------------------------------------------------------------------------------------------


def build(kind: type[T], data: object, where: str, problems: list[str], base: T | None = None) -> T:
    """A ``kind`` from its dict, over ``base``; what is wrong is appended to ``problems``, and the default stands in."""
    known = {item.name: item.metadata for item in fields(kind)}
    strange = strangers(data, known, where)
    problems += strange
    values = {}
    for key, value in data.items() if isinstance(data, dict) else ():
        if key not in known:
            continue
        try:
            values[key] = known[key]["read"](value, known[key])
        except ValueError as error:
            problems.append(f"{where}.{key}: {error}")
    return dataclasses.replace(base or kind(), **values)


def strangers(table: object, known: Iterable[str] | Mapping[str, Mapping], where: str) -> list[str]:
    """A line for each key of a table that is not ``known``, or one line where it is no table."""
    if not isinstance(table, dict):
        return [f"{where}: must be {KINDS[dict]}, not {shown(table)}"]
    return [f"{where}.{unknown(key, known)}" for key in table if key not in known]


def wrong(instance: Any) -> list[str]:
    """A line for each field of a dataclass whose value its type or its limits refuse."""
    problems = []
    for item in fields(instance):
        value = getattr(instance, item.name)
        try:
            typed(value, item.type)
            item.metadata["read"](value, item.metadata)
        except ValueError as error:
            problems.append(f"{item.name} {error}")
    return problems


def typed(value: object, kind: type[T]) -> T:
    """``value`` if it is a ``kind``, one of KINDS; ValueError otherwise.

    A whole number is a float too; True is no number, and NaN and infinity are no numbers to calculate with.
    """
    right = isinstance(value, int | float) and abs(value) <= LARGEST if kind is float else isinstance(value, kind)
    if not right or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"must be {KINDS[kind]}, not {shown(value)}")
    return value


def limited(value: object, unit: str, low: float = 0.0, high: float = LARGEST, *, above: bool = False) -> Real:
    """``value`` if it is a number within the limits of `number`; ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, Real):
        hint = f"; write the number alone{_meant(value)}" if isinstance(value, str) else ""
        raise ValueError(f"must be a number ({unit}), not {shown(value)}{hint}")
    if value != value or LARGEST < abs(value) != high:  # nan, infinite, or a whole number that no float holds
        raise ValueError(f"must be a finite number ({unit}), not {shown(value)}")
    if not low <= value <= high or (above and value == low):
        least = f"above {low:g}" if above else f"at least {low:g}"
        most = f" and at most {high:g}" if high < LARGEST else ""
        hint = f"; {value / 100:g} for {value:g} %" if unit.startswith("share") and 1 < value <= 100 else ""
        raise ValueError(f"{value:g} must be {least}{most} ({unit}){hint}")
    return value


def _meant(text: str) -> str:
    """The number that a text seems to stand for, as it is written in a file: ", 1e6" for "1M"; "" where it is none."""
    form = r"([\d., _]*\d)([e\d+-]*)\s*(bn|[kmbt]?)"
    parts = len(text) <= LONGEST and re.fullmatch(form, text.strip(), re.IGNORECASE)
    try:
        value = float(re.sub(r"[ _]|,(?=\d{3}\b)", "", parts[1]) + parts[2]) * 10.0 ** POWERS[parts[3].lower()]
    except (ValueError, TypeError):  # 1.2.3, and what has no parts
        return ""
    exact = f"{value:g}" if float(f"{value:g}") == value else f"{value:.12g}"
    return f", {exact.replace('e+0', 'e').replace('e+', 'e')}" if 0 < value <= LARGEST else ""


def separated(text: str, example: str) -> list[str]:
    """The words that commas separate in a text, each once; ValueError, with an example, for a text that has none."""
    named = list(dict.fromkeys(word.strip() for word in str(text).split(",") if word.strip()))
    if not named:
        raise ValueError(f"name at least one, as in {example!r}")
    return named


# --- words of messages --------------------------------------------------------------------------------------------


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 60
_REPR.repr_date = _REPR.repr_datetime = _REPR.repr_time = lambda value, level: value.isoformat()  # as typed


def shown(value: object) -> str:
    """``repr`` of what was typed, for a message: at most 80 characters, however long or deep the value is."""
    try:
        return shortened(_REPR.repr(value))
    except ValueError:  # Python writes no number of more than 4300 digits
        return "a number of thousands of digits"


def shortened(text: str, most: int = 80) -> str:
    """Text of at most ``most`` characters: what is more is left out of its middle, line breaks are shown as such."""
    text = text.replace("\n", "\\n")
    return text if len(text) <= most else f"{text[: most // 2]}…{text[len(text) + 1 + most // 2 - most :]}"


def listed(names: Iterable[object], most: int = 300) -> str:
    """Names with commas between, as many as fit into ``most`` characters."""
    names = [shortened(str(name)) for name in names]
    while len(text := ", ".join(names)) > most:
        names = [*names[: len(names) * 2 // 3], "…"]
    return text


def few(lines: list[str], most: int = 30) -> list[str]:
    """The first of the lines, each shortened to 400 characters, and how many more there are."""
    more = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return [*(shortened(line, 400) for line in lines[:most]), *more]


# --- names --------------------------------------------------------------------------------------------------------


def closest(name: object, known: Iterable[str]) -> str | None:
    """The longest of the names that stands in this one, else the one most alike, whatever the case; None without."""
    plain = {_plain(one): one for one in known}
    within = sorted((one for one in plain if len(one) >= SHORTEST and one in _plain(name)), key=len)
    close = difflib.get_close_matches(_plain(name), list(plain), n=1) if len(str(name)) <= LINE else ()
    return plain[[*close, *within][-1]] if close or within else None


def _plain(name: object) -> str:
    """A name in small letters, of the usual width."""
    return unicodedata.normalize("NFKC", str(name)[: 2 * LINE]).lower()


def unknown(key: object, known: Iterable[str], what: str = "key") -> str:
    """What to say of a name that does not exist: those that it is a part of, the closest, or all of them.

    Where ``known`` maps the names of fields to their metadata, the unit is said too.
    """
    alike = [str(one) for one in known if len(plain := _plain(key)) >= SHORTEST and plain in _plain(one)]
    if len(alike) > 1:
        return f"{shortened(str(key))}: there is no such {what}; did you mean one of {listed(alike)}?"
    meant = alike[0] if alike else closest(key, known)
    about = known[meant] if meant and isinstance(known, Mapping) else {}
    unit = f", in {about['unit']}" if isinstance(about, Mapping) and about.get("unit") else ""
    hint = f"did you mean {shortened(meant)}{unit}?" if meant else f"there are {listed(known)}"
    return f"{shortened(str(key))}: there is no such {what}; {hint}"


def readable(name: str) -> str:
    r"""A name with what has no look of its own, as control characters and marks of direction, as in Python: \u202e."""
    plain = (c.isprintable() or unicodedata.category(c) == "Zs" for c in name)
    return "".join(c if shows else c.encode("unicode_escape").decode() for c, shows in zip(name, plain, strict=True))


def line(name: str) -> str:
    """``name`` if it is a line that can be read; ValueError for line breaks, marks of direction or great length."""
    if readable(name) != name or len(name) > LINE:
        raise ValueError(
            f"must be one line of at most {LINE} characters, none for control, not {shortened(readable(name))}"
        )
    return name


# --- readers of fields --------------------------------------------------------------------------------------------


def _one(value: object, about: Mapping) -> Real:
    value = limited(value, about["unit"], about["low"], about["high"], above=about["above"])
    if about["whole"] and value != int(value):
        raise ValueError(f"{value:g} is no whole number ({about['unit']})")
    return int(value) if about["whole"] else value


def _three(value: object, about: Mapping) -> tuple[float, float, float]:
    if not isinstance(value, (list, tuple)):
        return (float(_one(value, about)),) * 3
    if len(value) != 3:
        raise ValueError(f"must be one number or [low, middle, high] ({about['unit']}), not {shown(value)}")
    low, mid, high = (float(_one(part, about)) for part in value)
    if not low <= mid <= high:
        raise ValueError(f"low, middle and high must rise, not {shown(value)}")
    return low, mid, high


def _text(value: object, about: Mapping) -> str:
    if isinstance(value, datetime.date):  # TOML and YAML read 2026-11-24 as a date
        value = value.isoformat()
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {shown(value)}")
    line(value)
    if about["choices"] and value not in about["choices"]:
        raise ValueError(f"{shown(value)} is not one of {', '.join(repr(c) for c in about['choices'] if c)}")
    return value


def _names(value: object, about: Mapping) -> tuple[str, ...]:
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(name, str) for name in value):
        raise ValueError(f"must be a list of {about['unit']}, not {shown(value)}")
    return tuple(map(line, value))


def _counts(value: object, about: Mapping) -> tuple[int, ...]:
    value = value if isinstance(value, (list, tuple)) else [value]
    if not value:
        raise ValueError(f"must be a list of {about['unit']}, not {shown(value)}")
    return tuple(_one(count, about) for count in value)


def _by_name(value: object, about: Mapping) -> tuple[tuple[str, tuple[float, float, float]], ...]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table: a name, = and {about['unit']}; not {shown(value)}")
    return tuple((line(name), _three(numbers, about)) for name, numbers in value.items())
