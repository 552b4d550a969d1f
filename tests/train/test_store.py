"""The store of runs: no line is lost, halved or doubled, whoever writes and whatever is killed."""

import json
import math
import os
import time
from contextlib import ExitStack

import numpy as np
import pytest
from fake_training import forked, hold, record, tiny, wait_until
from full_disk import small_files

from rholaw import runs
from rholaw.train.sweeps.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def fill(folder, name, count):
    """Append records of many lengths until killed."""
    for number in range(count):
        Store(folder).append({"id": f"{name}-{number}", "status": "failed", "text": "x" * (number * 977 % 20_000)})


# ---- one record


def test_a_record_comes_back_with_keys_that_nobody_knows(store):
    store.append(record(colour="blue", nested={"a": [1, {"b": None}]}))
    assert store.records() == [json.loads(json.dumps(record(colour="blue", nested={"a": [1, {"b": None}]})))]


def test_what_json_cannot_hold_becomes_null_and_a_run_without_loss_diverged(store):
    store.append(record(loss=math.nan), record(tiny(seed=1), loss=math.inf), record(tiny(seed=2), gmse=-math.inf))
    first, second, third = store.records()
    assert (first["loss"], first["status"], first["curve"][1][1]) == (None, "diverged", None)
    assert (second["loss"], second["status"]) == (None, "diverged")
    assert (third["gmse"], third["status"]) == (None, "finished")
    assert "NaN" not in store.file.read_text()


def test_numbers_of_numpy_are_numbers(store):
    store.append(record(loss=np.float32(2.5), n_tokens=np.int64(7), curve=((np.float64(1), np.nan),)))
    found = store.records()[0]
    assert (found["loss"], found["n_tokens"], found["curve"]) == (2.5, 7, [[1.0, None]])


@pytest.mark.parametrize("wrong", [{"status": "finished"}, {"id": 3, "status": "finished"}, record(status="done")])
def test_a_record_without_id_or_status_is_refused(store, wrong):
    with pytest.raises(ValueError, match="needs an id and a status among finished, diverged, failed"):
        store.append(record(tiny(seed=9)), wrong)
    assert store.records() == []


@pytest.mark.parametrize("status", ["finished", "diverged"])
def test_a_settled_run_stays_as_it_is(store, status):
    assert len(store.append(record(status=status))) == 1
    assert store.append(record(loss=1.0), record(status="failed")) == []
    assert [found["loss"] for found in store.records()] == [3.0]


def test_a_failed_run_may_be_tried_again_and_both_records_stay(store):
    store.append(record(status="failed"))
    assert store.settled() == {tiny().id}
    assert store.settled(since=1) == set()
    store.append(record(status="failed"))
    assert store.settled(since=1) == {tiny().id}
    store.append(record())
    assert [found["status"] for found in store.records()] == ["failed", "failed", "finished"]
    assert store.settled(since=3) == store.finished_ids() == {tiny().id}
    assert store.frame()["status"].tolist() == ["finished"]


# ---- crashes


def test_a_line_cut_anywhere_is_never_read_and_the_next_writer_sets_it_aside(store):
    store.append(record(), record(tiny(seed=1)))
    whole = store.file.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole)):
        store.file.write_bytes(whole[:length])
        assert len(store.records()) == 1
    store.append(record(tiny(seed=2)))
    assert [found["config"]["seed"] for found in store.records()] == [0, 2]
    assert (store.folder / "torn.txt").read_bytes() == whole[first:-1] + b"\n"


def test_a_full_disk_leaves_no_half_line(store, monkeypatch):
    store.append(record())
    before, write = store.file.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:100]))
    with pytest.raises(OSError, match=r"took only a part of a record.*runs\.jsonl"):
        store.append(record(tiny(seed=1)))
    assert store.file.read_bytes() == before
    monkeypatch.undo()
    with small_files(len(before) + 100), pytest.raises(OSError, match=r"runs\.jsonl"):
        store.append(record(tiny(seed=1)))
    with small_files(len(before)), pytest.raises(OSError, match=r"File too large: .*runs\.jsonl"):
        store.append(record(tiny(seed=1)))
    assert store.file.read_bytes() == before


def test_a_line_that_is_no_record_is_named(store):
    store.append(record())
    with open(store.file, "a") as file:
        file.write('{"id": 1}\n')
    with pytest.raises(ValueError, match=r"runs.jsonl, line 2 is no record of a run"):
        store.records()


def test_a_line_that_was_changed_is_named_in_few_words_and_an_old_one_without_a_sum_is_read(store):
    store.append(record(text="x" * 10_000), record(tiny(seed=1)))
    whole = store.file.read_bytes()
    for old, new in ((b'"loss": 3.0', b'"loss": 3.1'), (b'"seed": 0', b'"seed": 8'), (b"xxx", b"x\xffx")):
        store.file.write_bytes(whole.replace(old, new, 1))
        with pytest.raises(ValueError, match=r"runs\.jsonl, line 1 is no record of a run") as error:
            store.records()
        assert len(str(error.value)) < 500
    store.file.write_text(json.dumps(record()) + "\n")
    assert store.records() == [record()]


def test_of_one_run_twice_in_one_call_the_settled_record_stays(store):
    first, last = record(status="failed"), record(status="failed", loss=4.0)
    assert store.append(first, record(), last) == [first, record()]
    assert store.frame()["status"].tolist() == ["finished"]


def test_writers_at_once_and_killed_at_any_moment_lose_and_halve_nothing(store):
    with ExitStack() as stack:
        for name in "abcd":
            process = stack.enter_context(forked(fill, store.folder, name, 10_000))
        time.sleep(0.3)
        process.kill()
    with forked(fill, store.folder, "e", 3) as process:
        process.join()
    found = [found["id"] for found in store.records()]
    assert found[-3:] == ["e-0", "e-1", "e-2"]
    for name in "abcd":
        numbers = [int(one.split("-")[1]) for one in found if one.startswith(name)]
        assert numbers == list(range(len(numbers)))
    assert len(found) > 10


# ---- claims


def test_a_claim_is_one_process_s_and_dies_with_it(store, tmp_path):
    with forked(hold, store.folder, ["b", "a"], tmp_path / "held"):
        wait_until((tmp_path / "held").exists)
        with store.claim(["b", "c"]) as mine:
            assert not mine
        with store.claim(["c", "d"]) as mine, store.claim(["d"]) as twice:
            assert mine
            assert not twice
    with store.claim(["b", "c"]) as mine:
        assert mine


# ---- as tables


def test_a_store_is_read_beside_published_runs(store):
    store.append(record(), record(tiny(seed=1, weights="int4"), loss=math.nan), record(tiny(seed=2, weights="int4")))
    store.append({"id": "x", "status": "failed", "error": "no memory"})
    frame = runs.load(["quest2025", store.folder])
    own = frame[frame["series"] == str(store.folder)]
    assert own["seed"].tolist() == [0, 2]
    assert own["weights"].tolist() == ["dense", "int4"]
    assert own["seq_len"].tolist() == [32, 32]
    assert own["n_params"].dtype == own["n_tokens"].dtype == "int64"
    assert own["realised"].tolist() == [0.12, 0.12]
    assert own["n_embedding"].tolist() == [4096, 4096]
    assert frame.attrs["provenance"][1]["left_out"] == {"diverged": 1, "failed": 1}
    assert set(runs.LEADING) <= set(store.frame().columns)
    assert store.frame()["status"].tolist() == ["finished", "diverged", "finished", "failed"]


def test_a_store_without_finished_runs_or_none_at_all_is_refused(store):
    with pytest.raises(ValueError, match=r"no such series; .* \(a folder with runs.jsonl is a series too\)"):
        runs.load(store.folder)
    store.append(record(status="failed"))
    with pytest.raises(ValueError, match="is empty"):
        runs.load(store.folder)
