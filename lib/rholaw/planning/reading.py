"""What stands in the file of a scenario, TOML or YAML, as nested dicts."""

import tomllib
from pathlib import Path
from typing import Any

from ..checked import shortened

MOST, WIDEST = 50_000, 2_000  # bytes, and characters of a line; chapters/scenario.toml has 7,000 and 130


def read(path: Path) -> Any:
    """What a .toml, .yaml or .yml file says. Raises ValueError that begins with its path."""
    where = shortened(str(path))
    try:
        if path.suffix not in (".toml", ".yaml", ".yml"):
            raise ValueError("a scenario is a .toml, .yaml or .yml file")
        return _toml(_text(path)) if path.suffix == ".toml" else _yaml(_text(path))
    except RecursionError:
        raise ValueError(f"{where}: brackets are nested too deeply") from None
    except OSError as error:
        raise ValueError(f"there is no scenario file {where} to read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{where}: {shortened(str(error), 300)}") from None


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise ValueError("this is no file")
    with path.open("rb") as file:
        content = file.read(MOST + 1)
    if len(content) > MOST:
        raise ValueError(f"a scenario of more than {MOST} bytes is not read")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")  # an editor on Windows may put a mark first
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"the text is not UTF-8 in line {line}: save it in that encoding") from None
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > WIDEST:  # a.a.a.a.… takes TOML's reader a time that goes with the square of its length
            raise ValueError(f"line {number} has more than {WIDEST} characters")
    return text


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError is one, and Python reads no number of more than 4300 digits
        raise ValueError(f"this is not TOML: {error}") from None


def _yaml(text: str) -> Any:
    try:
        from . import plain_yaml
    except ImportError:
        raise ValueError("reading YAML needs the package pyyaml; TOML needs none") from None
    try:
        return plain_yaml.load(text)
    except ValueError as error:
        raise ValueError(f"this is not YAML: {error}") from None
