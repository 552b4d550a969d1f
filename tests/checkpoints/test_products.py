"""Weights that torch keeps as factors, against the modules that compute with them."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

import rholaw as rl
from rholaw import checkpoints

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated in favor:FutureWarning")
KEPT = {
    "rows": lambda part: weight_norm(part),
    "rows, as a parametrization": lambda part: parametrizations.weight_norm(part),
    "positions": lambda part: weight_norm(part, dim=2),
    "all": lambda part: weight_norm(part, dim=None),
    "spectral": lambda part: spectral_norm(part),
    "spectral, as a parametrization": lambda part: parametrizations.spectral_norm(part),
}


@pytest.mark.parametrize("kept", KEPT)
def test_a_weight_is_what_its_factors_make(tmp_path, kept):
    torch.manual_seed(0)
    module = KEPT[kept](nn.Sequential(nn.Conv1d(6, 10, 8))[0]).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1 + torch.rand_like(parameter))
        module(torch.zeros(1, 6, 8))  # which computes the weight anew
    save_file({f"conv.{name}": value.contiguous() for name, value in module.state_dict().items()}, tmp_path / "a")
    with checkpoints.open(tmp_path / "a") as checkpoint:
        weight = checkpoint["conv.weight"]
        assert {tensor.name for tensor in checkpoint.tensors} == {"conv.weight", "conv.bias"}
        assert torch.allclose(weight.read(), module.weight, atol=1e-6)
        assert torch.equal(weight.rows(2, 4), weight.read().flatten(1)[2:4])
        stored = sum(value.numel() for value in module.state_dict().values()) - 10
        assert weight.bits * weight.count == pytest.approx(32 * stored)
    row = rl.survey(tmp_path / "a", "int4/g8", progress=False).set_index("name").loc["conv.weight"]
    assert row.error > 0 and row.role == "other"


def test_factors_that_are_not_known_or_do_not_fit_are_no_weight(tmp_path):
    module = parametrizations.orthogonal(nn.Linear(6, 6, bias=False))
    odd = {"b.weight_g": torch.rand(5, 1), "b.weight_v": torch.rand(4, 8)}
    odd |= {"c.weight_u": torch.rand(3), "c.weight_v": torch.rand(8), "c.weight_orig": torch.rand(4, 8)}
    save_file({f"a.{name}": value.contiguous() for name, value in module.state_dict().items()} | odd, tmp_path / "a")
    reasons = {"a": "a parametrization that is not known", "b": "gives no", "c": "are no singular vectors of its rows"}
    with checkpoints.open(tmp_path / "a") as checkpoint:
        for name, reason in reasons.items():
            with pytest.raises(ValueError, match=reason):
                checkpoint[f"{name}.weight"].read()


def test_names_that_end_like_factors_are_weights(tmp_path):
    names = ("att.time_maa_v", "att.time_maa_g", "w_u", "weight_g", "x.weight_mask", "y.weight_orig")
    save_file({name: torch.rand(4, 8) for name in names}, tmp_path / "a")
    with checkpoints.open(tmp_path / "a") as checkpoint:
        assert {tensor.name for tensor in checkpoint.tensors} == set(names)
