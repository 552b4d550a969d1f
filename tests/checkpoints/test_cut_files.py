"""What every reader of checkpoints stands on: files that change, that wait, that are none; numbers in order."""

import os
import struct

import numpy as np
import pytest
import torch
from attacks import truncation

from rholaw import checkpoints
from rholaw.checkpoints.tensors import WINDOW, Cursor, File, Tensor, unreadable

STATE = {"w": torch.arange(40_000.0).view(100, 400), "v": torch.ones(32, 32)}
WRITERS = [truncation._safetensors, truncation._gguf, truncation._ctranslate2, truncation._archive, truncation._legacy]


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_that_is_cut_after_it_was_opened(tmp_path, write):
    path = write(STATE, tmp_path)
    with checkpoints.open(path) as checkpoint:
        os.truncate(path, 0)  # a mapped page beyond the end would end the process
        for tensor in checkpoint.tensors:
            with pytest.raises(ValueError, match="became shorter while it was read"):
                tensor.read()
            with pytest.raises(ValueError, match="became shorter while it was read"):
                tensor.rows(1, 2)


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_that_is_cut_while_its_header_is_read(tmp_path, write):
    path = write(STATE, tmp_path)
    file = File(path)
    os.truncate(path, 16)
    with pytest.raises(ValueError, match=r"\w"), file:
        checkpoints.containers.contents(file)


def test_a_file_that_is_cut_between_two_numbers(tmp_path):
    (tmp_path / "a").write_bytes(bytes(4 * WINDOW))
    with File(tmp_path / "a") as file:
        cursor = Cursor(file)
        cursor.take(WINDOW)
        os.truncate(tmp_path / "a", 2 * WINDOW - 1)
        with pytest.raises(ValueError, match="became shorter while it was read"):
            cursor.take(WINDOW)


def test_a_system_that_reads_from_no_place_is_asked_for_one_after_another(tmp_path, monkeypatch):
    path = truncation._safetensors(STATE, tmp_path)
    monkeypatch.delattr(os, "preadv")  # as on Windows
    with checkpoints.open(path) as checkpoint:
        assert all(torch.equal(checkpoint[name].read(), value) for name, value in STATE.items())
        assert torch.equal(checkpoint["w"].rows(3, 5), STATE["w"][3:5])


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")  # to open it for reading would wait for who writes
    for path in (tmp_path / "pipe.pt", "/dev/zero", "/dev/null"):
        with pytest.raises(ValueError, match="no ordinary file but a pipe or a device"):
            checkpoints.open(path)
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(ValueError, match="holds no checkpoint"):
        checkpoints.open(tmp_path / "folder.pt")
    with pytest.raises(ValueError, match=r"folder\.pt cannot be opened: Is a directory"):
        File(tmp_path / "folder.pt")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = truncation._archive(STATE, tmp_path)

    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)  # who runs the tests may be allowed to read everything
    with pytest.raises(ValueError, match=r"a\.pt cannot be opened: Permission denied"):
        checkpoints.open(path)


def test_a_link_is_the_file_that_it_leads_to(tmp_path):
    path = truncation._archive(STATE, tmp_path)
    (tmp_path / "link.pt").symlink_to(path)
    with checkpoints.open(tmp_path / "link.pt") as checkpoint:
        assert torch.equal(checkpoint["w"].read(), STATE["w"])
    path.unlink()
    with pytest.raises(ValueError, match="there is no file"):
        checkpoints.open(tmp_path / "link.pt")


def test_a_cursor_reads_across_its_windows(tmp_path):
    numbers = np.arange(WINDOW, dtype="<u4")
    (tmp_path / "a").write_bytes(numbers.tobytes())
    with File(tmp_path / "a") as file:
        cursor = Cursor(file)
        for size in (1, 7, WINDOW - 32, WINDOW, 3, WINDOW + 5):
            start = cursor.place
            assert cursor.take(size) == numbers.tobytes()[start : start + size]
        cursor.skip(-cursor.place % 4)
        assert cursor.number("I") == (cursor.place - 4) // 4
        with pytest.raises(ValueError, match="truncated: 262144 bytes are due"):
            cursor.take(4 * WINDOW)
        with pytest.raises(ValueError, match="truncated"):
            Cursor(file).take(struct.unpack("<Q", b"\xff" * 8)[0])


def test_a_shape_that_nobody_can_count():
    for shape in ((2**62, 2), (0, 2**62, 2), (2**63,)):
        with pytest.raises(ValueError, match="more than can be counted"):
            Tensor("x", shape, "F32", 32, False, unreadable(""))
