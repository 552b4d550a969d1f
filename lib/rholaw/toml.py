"""Files of settings that people write: their text, and what TOML says, within bounds of size, depth and time.

parsed(text(path))      a dict; ValueError, of a sentence, for whatever is none
"""

import tomllib
from pathlib import Path
from typing import Any

MOST, WIDEST = 50_000, 2_000  # bytes, and characters of a line; those of this project have 7,000 and 700


def text(path: Path) -> str:
    """The text of a file. Raises ValueError where it is long, wide or not UTF-8, and OSError where there is none."""
    if path.exists() and not path.is_file():
        raise ValueError("this is no file")
    with path.open("rb") as file:
        content = file.read(MOST + 1)
    if len(content) > MOST:
        raise ValueError(f"a file of more than {MOST} bytes is not read")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")  # an editor on Windows may put a mark first
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"the text is not UTF-8 in line {line}: save it in that encoding") from None
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > WIDEST:  # a.a.a.a.… takes TOML's reader a time that goes with the square of its length
            raise ValueError(f"line {number} has more than {WIDEST} characters")
    return text


def parsed(text: str) -> dict[str, Any]:
    """What a text in TOML says, as nested dicts. Raises ValueError where it is none."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("brackets are nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError is one, and Python reads no number of more than 4300 digits
        raise ValueError(f"this is not TOML: {error}") from None
