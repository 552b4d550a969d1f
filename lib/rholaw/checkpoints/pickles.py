"""Pickles of protocol 2, as ``torch.save`` writes them, read without running them: what they describe, and no more.

load(stream, {"collections.OrderedDict": dict}, storage)        → numbers, texts, tuples, lists, dictionaries

Python's own reader calls what a pickle asks it to call; this one knows the instructions that data needs, and calls the
functions that it is given. Its time and memory follow the length of the pickle, whatever stands in it.
"""

import pickletools
import warnings
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import BinaryIO

from ..checked import shortened, shown

STEPS = 1_000_000  # instructions, and values that calls are given; 30,000 tensors take as many
HINT = "Nothing in it was run; whoever trusts it may save its tensors as safetensors"
LONG = 1000  # characters of text within a key that is no text itself
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


def load(
    stream: BinaryIO, known: Mapping[str, object], persistent: Callable[[object], object], steps: int = STEPS
) -> object:
    """The object that the pickle at the place of ``stream`` describes; the stream is left behind it.

    known: what stands for the global names "module.name" in it; only functions among them are called, and a text is why
    a pickle with that name is refused.  persistent: from the identity of what is stored outside of the pickle to what
    stands for it.  Keys of dictionaries become texts, and sets lists.  Raises ValueError for other names and
    instructions, more than ``steps`` of them, and damage.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a backslash in a name Python only warns
            return _object(stream, known, persistent, steps)
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError, Warning) as error:
        raise ValueError(f"its pickle is damaged ({type(error).__name__})") from None


def _object(stream: BinaryIO, known: Mapping[str, object], persistent: Callable[[object], object], most: int) -> object:
    stack, marked, memo, steps = [], [], {}, 0  # marked: the stacks below the last mark, and those before
    for opcode, value, _ in pickletools.genops(stream):
        steps += 1
        match opcode.name:
            case "BINPUT" | "LONG_BINPUT":
                memo[value] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[value])
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE":
                stack.append(value)
            case "SHORT_BINSTRING":  # of Python 2
                stack.append(value.encode("latin-1").decode())
            case "NONE" | "NEWTRUE" | "NEWFALSE" | "EMPTY_TUPLE":
                stack.append(CONSTANTS[opcode.name])
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST" | "EMPTY_SET":
                stack.append([])
            case "MARK":
                marked.append(stack)
                stack = []
            case "TUPLE":
                stack, items = marked.pop(), stack
                stack.append(tuple(items))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(_taken(stack, int(opcode.name[-1]))))
            case "APPEND" | "SETITEM":
                items = _taken(stack, 1 if opcode.name == "APPEND" else 2)
                _fill(stack[-1], items)
            case "APPENDS" | "SETITEMS":
                stack, items = marked.pop(), stack
                _fill(stack[-1], items)
            case "GLOBAL":
                name = value.replace(" ", ".").replace("__builtin__", "builtins")  # as protocol 2 calls it
                if name not in known:
                    raise ValueError(f"it asks for {shortened(name)}, which is no tensor. {HINT}")
                if isinstance(known[name], str):
                    raise ValueError(known[name])
                stack.append(known[name])
            case "REDUCE" | "NEWOBJ":
                function, arguments = _taken(stack, 2)
                steps += sum(1 + len(part) if isinstance(part, (tuple, list, dict)) else 1 for part in arguments)
                if not isinstance(function, FunctionType) or type(arguments) is not tuple:
                    raise ValueError("it calls what is no function")
                if steps <= most:
                    stack.append(function(*arguments))
            case "BUILD":  # attributes, of which no value depends
                _taken(stack, 1)
                if not isinstance(stack[-1], dict):
                    raise ValueError("it sets attributes of what is no dictionary")
            case "BINPERSID":
                stack.append(persistent(*_taken(stack, 1)))
            case "STOP":
                return stack[-1]
            case "PROTO":
                pass
            case other:
                raise ValueError(f"its pickle has the instruction {other}, which torch.save does not write. {HINT}")
        if steps > most:
            raise ValueError(f"its pickle takes more than {most} steps")
    raise ValueError("its pickle has no end")


def _taken(stack: list, count: int) -> list:
    """The last ``count`` of the stack, which it loses."""
    if len(stack) < count:
        raise IndexError
    items = stack[-count:]
    del stack[-count:]
    return items


def _fill(target: object, items: list) -> None:
    """Appends to a list, or enters key, value, key, value … into a dictionary."""
    if type(target) is list:
        target.extend(items)
        return
    if type(target) is not dict:
        raise TypeError
    for key, value in zip(items[::2], items[1::2], strict=True):
        enter(target, key, value)


def enter(table: dict, key: object, value: object) -> None:
    """One more entry of a dictionary; ValueError for a key that is there, or is neither text nor a few numbers.

    A key becomes text here: to look up a tuple of tuples may take for ever, and so may many numbers of one hash.
    """
    if type(key) is not str:
        parts = key if type(key) is tuple else (key,)
        if len(parts) > 8 or not all(
            isinstance(part, (int, float, type(None))) or (isinstance(part, (str, bytes)) and len(part) <= LONG)
            for part in parts
        ):
            raise ValueError(f"a key in it is a {type(key).__name__}, neither text nor a number")
        key = str(key)
    if key in table:
        raise ValueError(f"the key {shown(key)} stands twice in one dictionary")
    table[key] = value
