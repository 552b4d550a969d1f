"""The numbers of a text that people read: in English, or in Japanese, where 219万 is 2,190,000 and ▲ is a minus."""

import re
from collections.abc import Iterator

NUMBER = re.compile(r"(▲|(?<= )-)?(\d[\d,]*(?:\.\d+)?)([万億兆]?)")
LARGE = {"万": 1e4, "億": 1e8, "兆": 1e12, "": 1.0}


def numbers(text: str) -> Iterator[float]:
    """Each of them, in order."""
    for sign, digits, large in NUMBER.findall(text):
        yield (-1 if sign else 1) * float(digits.replace(",", "")) * LARGE[large]
