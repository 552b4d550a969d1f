"""Files of others: what reading one may raise, and JSON that may take neither minutes nor gigabytes.

json_object(b'{"a": 1}', "a.json") {"a": 1}
with refusals("a.json"): …         whatever the file makes of the block is a ValueError of one short sentence
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from .checked import shortened, shown

LARGEST = 100_000_000  # bytes of JSON; the safetensors package allows as many
BRACKETS, COMMAS = 2**19, 2**20  # the most of JSON: 2 s and 400 MB; a header of 130,000 matrices has as many
MESSAGE = 500  # characters of a refusal
HALVES = re.compile(rb"\\u[dD][89a-fA-F]")  # what JSON writes a half of a character as, or two for a whole one


@contextmanager
def refusals(about: str = "") -> Iterator[None]:
    """What the input makes go wrong in the block becomes a ValueError of at most 500 characters, ``about`` first.

    Such are ValueErrors, what the system says of a path, and numbers and nesting beyond what Python takes.
    """
    try:
        yield
    except (ValueError, OSError, OverflowError, RecursionError) as error:
        message = f"{shortened(about, 120)}: {error}" if about else str(error)
        message = message.encode("utf-8", "backslashreplace").decode()  # of halves of characters, which none can print
        raise ValueError(shortened(message, MESSAGE)) from None


def json_object(data: bytes, name: str) -> dict:
    """The object that ``data`` holds as JSON in UTF-8; ``name`` is what messages call it.

    Raises ValueError for what is no JSON or another value, for a name that stands twice in an object, for half a
    character, and for more than LARGEST, BRACKETS and COMMAS allow.
    """
    most = LARGEST if data.isascii() else LARGEST // 3  # of which a character may take four bytes in memory
    brackets, commas = data.count(b"{") + data.count(b"["), data.count(b",")
    if len(data) > most or brackets > BRACKETS or commas > COMMAS:
        raise ValueError(
            f"{name} has {len(data):,} bytes, {brackets:,} lists and objects and {commas:,} commas; "
            f"at most {most:,}, {BRACKETS:,} and {COMMAS:,} are read"
        )
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
        if HALVES.search(data):
            json.dumps(value, ensure_ascii=False).encode()  # refuses halves of characters
    except RecursionError:
        raise ValueError(f"{name} is no JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{name} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{name} holds a JSON {type(value).__name__}, not an object")
    return value


def _once(pairs: list[tuple[str, object]]) -> dict:
    if len(named := dict(pairs)) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"{shown(twice)} stands there twice")
    return named
