"""How attacks change what was right: bytes of a file, numbers in it, and any part of what JSON holds."""

import json
import math
import struct

EDGES = [0, 1, 2, 3, 7, 255, 256, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**61, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
ODD = [
    *(*EDGES, -1, -(2**63), 2**64, 10**400, 0.0, 1.5, -0.5, 1e-300, 1e308, math.nan, math.inf, -math.inf),
    *(
        True,
        False,
        None,
        "",
        "x",
        "é",
        "\ud800",
        "\0",
        "a\nb",
        "x" * 10**5,
        "1",
        "nan",
        "..",
        "/etc/passwd",
        "😀" * 300,
    ),
    *([], {}, [0], [[]], [0] * 10**4, {"": {}}, {"a": [1, "b"]}),
]


def bytes_changed(rng, content, dense=None):
    """Some bytes other, most of them among the first ``dense``; cut, lengthened, parts moved or filled."""
    out, dense = bytearray(content), min(dense or len(content), len(content))
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(dense if rng.random() < 0.8 else len(content)))
        way = rng.integers(8)
        if way < 4:
            out[at] = rng.choice([0, 1, 0x22, 0x2C, 0x5B, 0x7B, 0x7D, 0x7F, 0x80, 0xFF, rng.integers(256)])
        elif way < 6:
            size = int(rng.choice([2, 4, 8]))
            out[at : at + size] = struct.pack("<Q", EDGES[rng.integers(len(EDGES))])[:size]
        elif way == 6:
            length, other = int(rng.integers(1, 40)), int(rng.integers(dense))
            out[at : at + length] = (out[other : other + length] + bytes(length))[:length]
        else:
            out[at] ^= 1 << rng.integers(8)
    way = rng.integers(10)
    if way == 0:
        del out[rng.integers(len(out)) :]
    elif way == 1:
        out += rng.bytes(int(rng.integers(1, 40)))
    elif way == 2:
        out[int(rng.integers(len(out))) :] = bytes(int(rng.integers(100)))
    return bytes(out)


def part_changed(rng, value):
    """JSON's ``value`` with one part of it other: replaced, removed, doubled, renamed, or near to what it was."""
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        place = list(value)[rng.integers(len(value))] if isinstance(value, dict) else int(rng.integers(len(value)))
        out, way = value.copy(), rng.integers(10)
        if way == 0:
            del out[place]
        elif way == 1 and isinstance(value, dict):
            out[str(ODD[rng.integers(len(ODD))])[:2000]] = out.pop(place)
        elif way == 2:
            out = (out | {f"{place}2": out[place]}) if isinstance(out, dict) else [*out, out[place]]
        else:
            out[place] = part_changed(rng, value[place])
        return out
    if type(value) is int and rng.random() < 0.4:
        return value + int(rng.choice([-8, -1, 1, 4, 8]))
    return ODD[rng.integers(len(ODD))]


def as_json(rng, value):
    """The bytes of JSON, now and then written in another way, or as no JSON is."""
    text = json.dumps(value, ensure_ascii=bool(rng.random() < 0.7))
    way = rng.integers(30)
    if way == 0:
        text = '{"a":' * 2000 + text + "}" * 2000
    elif way == 1:
        text = text[:-1] + "," * int(rng.integers(3)) + text[-1:]
    elif way == 2:
        text = text.replace("{", "{" + text[1:-1] + ",", 1)  # every name twice
    elif way == 3:
        text = text[:-1] + ',"more":[' + rng.choice(["[],", '{"a":1},', "0,", '"",']) * 200_000 + "0]}"
    codes = ["utf-8"] * 20 + ["utf-16", "utf-32", "utf-8-sig", "latin-1", "cp037"]
    code = codes[rng.integers(len(codes))]
    return text.encode(code, "surrogatepass" if way == 4 and code.startswith("utf") else "replace")


def refusal(error):
    """What came of a refusal, which is a short sentence that can be written."""
    assert 0 < len(str(error)) <= 500 and str(error).encode(), error
    return "refused"
