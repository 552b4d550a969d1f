"""Formats on a GPU that is pretended: the same values, with nothing left on the host."""

import pytest
import torch
from pretend_gpu import PretendGPU
from sampling import some

import rholaw as rl
from rholaw.formats.grids import Codebook, _cell_tables

ROWS = {name: 1024 for name, format in rl.catalogue().items() if 1024 % format.multiple == 0}


@pytest.mark.parametrize("name", [*some(ROWS, 30), "s0.5+int4", "int4+out0.01", "hadamard64+nvfp4", "vq3_64"])
def test_a_format_stores_there_what_it_stores_here(name):
    format = rl.parse(name)
    x = torch.randn(8, ROWS.get(name, 768), generator=torch.Generator().manual_seed(5))
    with PretendGPU() as gpu:
        there = format.quantize(x.to("cuda"))
        assert there.device.type == "cuda" and gpu.waits["__float__"] >= 2
        there = there.cpu()
    torch.testing.assert_close(there, format.quantize(x), rtol=1e-6, atol=1e-7)


def test_half_of_a_large_tensor_is_pruned_there_as_here():
    x = torch.randn(256, 4096, generator=torch.Generator().manual_seed(5))
    with PretendGPU():
        there = rl.parse("s0.5").quantize(x.to("cuda")).cpu()
    assert there.equal(rl.parse("s0.5").quantize(x))


def test_levels_too_close_for_a_table_are_found_there():
    levels = Codebook("close", 3.0, (-1.0, 0.0, 1e-6, 2e-6, 1.0))
    assert _cell_tables(levels, torch.float32, torch.device("cpu")) is None
    x = torch.randn(64, generator=torch.Generator().manual_seed(5))
    with PretendGPU():
        there = levels.round_(x.to("cuda")).cpu()
    assert there.equal(levels.round_(x))
