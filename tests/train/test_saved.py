"""The state of a training program comes back to the bit, or it is passed over with a sentence."""

import random

import pytest
import torch
from full_disk import small_files

from rholaw.train import saved

CPU = torch.device("cpu")
STATE = {
    "step": 7,
    "curve": [[32, 1.5]],
    "flat": torch.arange(60.0).reshape(3, 20),
    "moments": [torch.ones(3), torch.zeros(2, dtype=torch.int64)],
    "masks": [{}, {0: torch.tensor([True, False])}],
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "unit.pt"
    assert saved.save(path, STATE)
    return path


def test_a_state_comes_back_as_it_was(path):
    state = saved.restored(path, CPU)
    assert state.keys() == STATE.keys() and (state["step"], state["curve"]) == (7, [[32, 1.5]])
    assert torch.equal(state["flat"], STATE["flat"]) and torch.equal(state["masks"][1][0], STATE["masks"][1][0])
    assert [moment.dtype for moment in state["moments"]] == [torch.float32, torch.int64]
    assert saved.restored(path.with_name("none.pt"), CPU) is None


def test_whatever_bit_is_flipped_and_wherever_it_is_cut_it_is_passed_over(path):
    raw, chance = path.read_bytes(), random.Random(3)
    damaged = [raw[:length] for length in (0, 1, 100, len(raw) - 1)] + [raw + b"x", raw[::-1], b"{}"]
    for _ in range(200):
        place = chance.randrange(len(raw))
        damaged.append(raw[:place] + bytes([raw[place] ^ 1 << chance.randrange(8)]) + raw[place + 1 :])
    for content in damaged:
        path.write_bytes(content)
        with pytest.warns(RuntimeWarning, match=r"unit\.pt is passed over and its runs begin anew: it is damaged"):
            assert saved.restored(path, CPU) is None


def test_a_file_that_torch_alone_wrote_is_passed_over(path):
    torch.save(STATE, path)
    with pytest.warns(RuntimeWarning, match="or of another version than this"):
        assert saved.restored(path, CPU) is None


def test_a_full_disk_leaves_the_state_before(path):
    before = path.read_bytes()
    with small_files(len(before) - 1), pytest.warns(RuntimeWarning, match=r"training goes on, but .*File too large"):
        assert not saved.save(path, STATE | {"step": 8})
    assert path.read_bytes() == before and [path] == list(path.parent.iterdir())


def test_a_file_that_cannot_be_read_is_no_file_of_other_runs(tmp_path):
    with pytest.raises(IsADirectoryError):
        saved.restored(tmp_path, CPU)
