"""Codes and their scales are one matrix, with the values that the published definitions give, however it is read."""

import json

import numpy as np
import pytest
import torch
from quantised_files import LAYOUTS
from safetensors.torch import save_file

from rholaw import checkpoints


def written(folder, tensors, files=()):
    save_file(tensors, folder / "model.safetensors")
    for name, content in dict(files).items():
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_one_tensor_of_the_weights_it_stands_for(tmp_path, name):
    tensors, files, weights = LAYOUTS[name](np.random.default_rng(0))
    with checkpoints.open(written(tmp_path, tensors, files)) as checkpoint:
        (tensor,) = checkpoint.tensors
        assert tensor.shape == weights.shape and tensor.quantised
        stored = sum(value.numel() * value.element_size() for value in tensors.values())
        assert tensor.bits == pytest.approx(8 * stored / weights.size)
        values = tensor.read()
        assert values.dtype == torch.float32 and values.shape == tensor.shape
        assert np.allclose(values.double(), weights, rtol=1e-6, atol=1e-9)
        for start, stop in ((0, 1), (1, 7), (tensor.matrix[0] - 5, tensor.matrix[0])):
            assert torch.equal(tensor.rows(start, stop), values.view(tensor.matrix)[start:stop])
        for start, stop in ((3, 3), (5, 1000), (tensor.count - 131, tensor.count)):
            assert torch.equal(tensor.load(start, stop), values.view(-1)[start:stop])
