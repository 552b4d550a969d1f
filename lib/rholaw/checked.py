"""Dataclasses whose values come from a file: each field says what it holds, and every wrong key or value is named.

@dataclass(frozen=True)
class Traffic:
    tokens_in: float = number(1000.0, "tokens a request", 1)

problems = []
traffic = build(Traffic, {"tokns_in": "1k"}, "traffic", problems)       problems: a line for each thing that is wrong
"""

import dataclasses
import datetime
import difflib
import math
from dataclasses import field, fields
from numbers import Real


def number(default, unit, low=0.0, high=math.inf, *, above=False):
    """A field that holds one number in ``unit`` from ``low`` to ``high``; ``above``: not ``low`` itself."""
    return field(default=default, metadata={"read": _one, "unit": unit, "low": low, "high": high, "above": above})


def spread(default, unit, low=0.0, high=math.inf, *, above=False):
    """A field that holds (low, middle, high); a file may give one number, which is then certain."""
    return field(default=default, metadata={"read": _three, "unit": unit, "low": low, "high": high, "above": above})


def text(default, choices=()):
    """A field that holds text, one of ``choices`` where there are any."""
    return field(default=default, metadata={"read": _text, "choices": choices})


def names(default, unit):
    """A field that holds a tuple of texts."""
    return field(default=default, metadata={"read": _names, "unit": unit})


def counts(default, unit):
    """A field that holds a tuple of whole numbers from 1; a file may give one alone."""
    return field(default=default, metadata={"read": _counts, "unit": unit, "low": 1, "high": 1e6, "above": False})


def by_name(unit):
    """A field that holds ((name, (low, middle, high)), …); a file gives a table."""
    limits = {"low": 0.0, "high": math.inf, "above": True}
    return field(default=(), metadata={"read": _by_name, "unit": unit, **limits})


def build(kind, data, where, problems, base=None):
    """A ``kind`` from its dict, over ``base``; what is wrong is appended to ``problems``, and the default stands in."""
    if not isinstance(data, dict):
        problems.append(f"{where}: must be a table of keys, not {data!r}")
        return base or kind()
    known = {item.name: item.metadata for item in fields(kind)}
    values = {}
    for key, value in data.items():
        if key not in known:
            problems.append(f"{where}.{unknown(key, known)}")
            continue
        try:
            values[key] = known[key]["read"](value, known[key])
        except ValueError as error:
            problems.append(f"{where}.{key}: {error}")
    return dataclasses.replace(base or kind(), **values)


def unknown(key, known, what="key"):
    """What to say of a name that does not exist: the closest that does, with its unit, or all of them."""
    plain = {str(name).lower(): name for name in known}
    close = [plain[name] for name in difflib.get_close_matches(str(key).lower(), list(plain), n=1, cutoff=0.5)]
    unit = known[close[0]].get("unit") if close and isinstance(known, dict) and hasattr(known[close[0]], "get") else ""
    hint = f"did you mean {close[0]}{f', in {unit}' if unit else ''}?" if close else f"there are {', '.join(known)}"
    return f"{key}: there is no such {what}; {hint}"


def _one(value, about):
    unit, low, high = about["unit"], about["low"], about["high"]
    if isinstance(value, bool) or not isinstance(value, Real):
        hint = "; write the number alone" if isinstance(value, str) else ""
        raise ValueError(f"must be a number ({unit}), not {value!r}{hint}")
    if math.isnan(value) or not low <= value <= high or (about["above"] and value == low):
        least = f"above {low:g}" if about["above"] else f"at least {low:g}"
        most = f" and at most {high:g}" if math.isfinite(high) else ""
        hint = f"; {value / 100:g} for {value:g} %" if unit.startswith("share") and 1 < value <= 100 else ""
        raise ValueError(f"{value:g} must be {least}{most} ({unit}){hint}")
    return value


def _three(value, about):
    if not isinstance(value, (list, tuple)):
        return (float(_one(value, about)),) * 3
    if len(value) != 3:
        raise ValueError(f"must be one number or [low, middle, high] ({about['unit']}), not {list(value)!r}")
    low, mid, high = (float(_one(each, about)) for each in value)
    if not low <= mid <= high or math.isinf(high):
        raise ValueError(f"low, middle and high must be finite and rise, not {list(value)!r}")
    return low, mid, high


def _text(value, about):
    if isinstance(value, datetime.date):  # TOML and YAML read 2026-11-24 as a date
        value = value.isoformat()
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {value!r}")
    if about["choices"] and value not in about["choices"]:
        raise ValueError(f"{value!r} is not one of {', '.join(repr(c) for c in about['choices'] if c)}")
    return value


def _names(value, about):
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(each, str) for each in value):
        raise ValueError(f"must be a list of {about['unit']}, not {value!r}")
    return tuple(value)


def _counts(value, about):
    value = value if isinstance(value, (list, tuple)) else [value]
    if not value:
        raise ValueError(f"must be a list of {about['unit']}, not {value!r}")
    for each in value:
        if _one(each, about) != int(each):
            raise ValueError(f"{each:g} is no whole number ({about['unit']})")
    return tuple(int(each) for each in value)


def _by_name(value, about):
    if not isinstance(value, dict):
        raise ValueError(f"must be a table: a name, = and {about['unit']}; not {value!r}")
    return tuple((name, _three(each, about)) for name, each in value.items())
