"""A store of runs through crashes: lines torn, files gone or copied from elsewhere, a full disk, bytes changed."""

import json
import math
from contextlib import suppress

from fake_training import record, tiny
from full_disk import small_files

from rholaw import runs
from rholaw.train.sweeps import store as stores
from rholaw.train.sweeps.store import Store

PROMISE = (
    "every whole record is read as it was added, once; a torn line is set aside, a damaged one named with its file"
)
SECONDS = 3
MEGABYTES = 200
SLICE = 6


def attempt(rng, folder):
    store, expected = Store(folder / "store"), []
    for _ in range(rng.integers(1, 12)):
        one = drawn(rng)
        match rng.integers(8):
            case 0 | 1 | 2 | 3:
                expected += plain(store.append(*[drawn(rng) for _ in range(rng.integers(1, 4))]))
            case 4:  # a crash in the middle of a record
                torn(store, json.dumps(one).encode()[: int(rng.integers(1, 200))])
            case 5:  # a disk that is full at any point
                size = store.file.stat().st_size if store.file.exists() else 0
                with small_files(size + int(rng.integers(600))), suppress(OSError):
                    expected += plain(store.append(one))
            case 6:  # what a power failure leaves of the end of a file
                whole = store.file.read_bytes() if store.file.exists() else b""
                cut = int(rng.integers(len(whole) + 1))
                torn(store, b"", whole[:cut])
                expected = expected[: whole[:cut].count(b"\n")]
            case 7:
                for path in (store.folder / "claims", store.folder / "checkpoints", store.folder / stores.TORN):
                    with suppress(OSError):
                        path.rmdir() if path.is_dir() else path.unlink()
        assert store.records() == expected
    with store.claim(["a"]) as mine:
        assert mine
    settled = {one["id"] for one in expected if one["status"] in stores.SETTLED}
    assert store.settled(since=math.inf) == settled
    assert len(store.frame()) == len({one["id"] for one in expected})
    tables(store, folder, expected)
    return damaged(rng, store, expected) if expected and rng.random() < 0.5 else "whole"


def drawn(rng):
    """A record, of one of a few runs so that some are there twice, and with numbers that JSON has not."""
    status = str(rng.choice(["finished", "finished", "diverged", "failed"]))
    loss = float(rng.choice([3.0, 0.1 + 0.2, math.nan, math.inf]))
    more = {"error": "x\u2028\n" * int(rng.integers(40))} if status == "failed" else {}
    return record(tiny(seed=int(rng.integers(6))), status, loss, **more)


def plain(added):
    """Records as they are read."""
    return json.loads(json.dumps(added))


def torn(store, tail, whole=None):
    """What a crash leaves: the file as it is, or this beginning of it, and a part of a line."""
    store.folder.mkdir(exist_ok=True)
    if whole is None:
        whole = store.file.read_bytes() if store.file.exists() else b""
        whole = whole[: whole.rfind(b"\n") + 1]
    store.file.write_bytes(whole + tail)


def tables(store, folder, expected):
    """The finished runs as a series, and all as a table for data/runs."""
    if any(one["status"] == "finished" for one in expected):
        last = {one["id"]: one["status"] for one in expected}
        assert len(runs.load(store.folder)) == list(last.values()).count("finished")
    if expected:
        path = stores.export(store, folder / "mine.csv", "Runs")
        assert path.exists() and path.with_suffix(".toml").exists()


def damaged(rng, store, expected):
    """A byte of a line is another: the other lines are read as they were, or the line is named."""
    raw = bytearray(store.file.read_bytes())
    raw = raw[: raw.rfind(b"\n") + 1]
    place = int(rng.integers(len(raw)))
    raw[place] = int(rng.integers(256))
    store.file.write_bytes(raw)
    line = raw[:place].count(b"\n")
    try:
        after = store.records()
    except ValueError as error:
        assert "runs.jsonl, line" in str(error) and len(str(error)) < 500
        return "damaged, named"
    if place == len(raw) - 1 and len(after) == line:  # without its end the last line is a torn one
        assert after == expected[:line]
        return "damaged, set aside"
    after[line] = {key: value for key, value in after[line].items() if key in expected[line]}  # "sum" by another name
    assert after == expected
    return "damaged, read as it was"
