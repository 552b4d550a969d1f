"""An evaluation and a survey with device="cuda", on a GPU that is pretended: nothing is left on the host."""

import warnings

import pandas as pd
import pytest
import torch
from pretend_gpu import PretendGPU
from tiny_llama import TEXT, gguf_file, hub, trained

import rholaw as rl
from rholaw.checkpoints import estimating, evaluating, layered, surveying

FORMATS = ["int8/g8", "2:4+int4", "s0.5+nf4/g8", "int2+out0.01"]
PRODUCTS = {"linear", "matmul", "__matmul__", "scaled_dot_product_attention", "rms_norm", "vecdot", "embedding"}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """(a folder of the hub with a tiny Llama, a text beside it)."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "text").write_text(TEXT)
    return hub(folder / "model", trained()[1]), folder / "text"


def evaluate(path, text, **more):
    asked = {"formats": FORMATS, "count": 4, "length": 16, "progress": False, **more}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rl.evaluate(path, text=str(text), **asked)


def on_both(path, text, **more):
    """(a table by the CPU, one by the pretended GPU, it)."""
    here = evaluate(path, text, **more)
    with PretendGPU() as gpu:
        there = evaluate(path, text, device="cuda", **more)
    return here, there, gpu


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [{}, {"activations": "sint8/row"}, {"activations": "e2m1/g8:e4m3", "cache": "fp8_row"}, {"cache": "int4/g8"}],
)
def test_an_evaluation_says_there_what_it_says_here(given, more):
    here, there, gpu = on_both(*given, **more)
    pd.testing.assert_frame_equal(there, here, rtol=1e-5, atol=1e-7)
    assert gpu.waits["__float__"] and not PRODUCTS & gpu.on_host.keys()


def test_the_host_waits_for_no_token_and_no_part_of_a_matrix(given, monkeypatch):
    """Twice for the extremes of each matrix that is rounded, and once for each thing that it compares or keeps."""
    monkeypatch.setattr("rholaw.formats.rounding.CHUNK", 64)
    _, _, gpu = on_both(*given, formats=["int8/g8"])
    assert gpu.waits == {"__float__": 2 * 14, "cpu": 2 * 2}


@pytest.mark.slow
def test_of_a_gguf_file_and_with_an_estimate(given, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(estimating, "SMALL", 1)
    path = gguf_file(tmp_path / "tiny.gguf", trained()[1])
    here, there, _ = on_both(path, given[1], progress=True)
    pd.testing.assert_frame_equal(there, here, rtol=1e-5, atol=1e-7)
    assert capsys.readouterr().err.count("2 layers × (1 + 4 formats)") == 2


def test_scales_of_the_file_round_there_too(tmp_path, given):
    """Inputs by static scales, weights in FP8 that engines round once more, and a cache with a scale for each head."""
    weights, beside = trained()[1], {}
    for (layer, part), weight in weights.items():
        if layer < 0 or "norm" in part:
            continue
        stem = f"model.layers.{layer}." + ("mlp." if part in ("gate", "up", "down") else "self_attn.")
        stem += {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "o_proj"}.get(part, f"{part}_proj")
        scale = weight.abs().amax() / 448 * (1.5 if part == "up" else 1)
        weights[layer, part] = (weight / scale).to(torch.float8_e4m3fn)
        beside |= {f"{stem}.weight_scale": scale, f"{stem}.input_scale": torch.tensor(0.02)}
    beside |= {f"model.layers.{layer}.self_attn.{k}_scale": torch.full((4,), 0.01) for layer in (0, 1) for k in "kv"}
    folder = hub(tmp_path / "fp8", weights, **beside)
    here, there, gpu = on_both(folder, given[1], formats=["dense", "int4/g8"], activations="static", cache="static")
    pd.testing.assert_frame_equal(there, here, rtol=1e-5, atol=1e-7)
    assert here.activations[0] == here.cache[0] == "static" and not PRODUCTS & gpu.on_host.keys()


def test_interrupted_there_it_goes_on_there(given, tmp_path, monkeypatch):
    plain, whole = layered.Llama.layer, evaluate(*given)

    def step(self, index, *more):
        if index == 1:
            raise KeyboardInterrupt
        return plain(self, index, *more)

    with PretendGPU(), monkeypatch.context() as patched:
        patched.setattr(layered.Llama, "layer", step)
        with pytest.raises(KeyboardInterrupt):
            evaluate(*given, device="cuda", out=tmp_path / "out.csv")
    with PretendGPU():
        table = evaluate(*given, device="cuda", out=tmp_path / "out.csv")
    pd.testing.assert_frame_equal(table, whole, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_a_survey_says_there_what_it_says_here(given):
    formats = "int4, 2:4+int4/g8, s0.5, int4+out0.01, nf4_dq, hadamard8+int4, int4/g8:mse"
    here = rl.survey(given[0], formats, progress=False)
    with PretendGPU() as gpu:
        there = rl.survey(given[0], formats, progress=False, device="cuda")
    pd.testing.assert_frame_equal(there, here, rtol=1e-5, atol=1e-9)
    assert gpu.waits["__float__"]


@pytest.mark.parametrize(
    ("place", "left"),
    [(layered.Llama, "_with"), (evaluating, "_compared"), (evaluating.Rounding, "read")],
)
def test_what_stays_on_the_host_is_noticed(given, monkeypatch, place, left):
    """A word that moves a tensor, forgotten."""
    plain = getattr(place, left)
    forgotten = {
        "_with": lambda self, part, weight: self.model.with_weights({self.model.names[-1, part]: weight}),
        "_compared": lambda model, states, targets: plain(model, states, targets.cpu()),
        "read": lambda self, device, tensor: plain(self, torch.device("cpu"), tensor),
    }
    monkeypatch.setattr(place, left, forgotten[left])
    with PretendGPU(), pytest.raises(RuntimeError, match="to be on the same device"):
        evaluate(*given, device="cuda")


def test_what_cuda_refuses_is_refused():
    host = torch.ones(3)
    with PretendGPU() as gpu:
        x = host.to("cuda")
        for wrong in (
            lambda: x + host,
            lambda: torch.cat([x, host]),
            lambda: torch.stack([x.sum(), host.sum()]),
            lambda: x[torch.tensor([0, 1])],
            lambda: x.copy_(host).mul_(host),
            lambda: torch.nn.functional.linear(x, torch.ones(2, 3)),
        ):
            with pytest.raises(RuntimeError, match="to be on the same device"):
                wrong()
        with pytest.raises(TypeError, match="to numpy"):
            x.numpy()
        with pytest.raises(RuntimeError, match="'cuda' device type for generator"):
            torch.randn(3, device="cuda", generator=torch.Generator())
        with pytest.raises(RuntimeError, match="is not implemented for"):
            torch.ones(2, 2, dtype=torch.int64, device="cuda") @ torch.ones(2, 2, dtype=torch.int64, device="cuda")
        with pytest.raises(NotImplementedError, match="has no kernel for CUDA"):
            torch.histogram(x, 2)
        assert (x + host.sum()).device == torch.arange(3, device=x.device).device == torch.zeros_like(x).device
        assert (x.device.type, x.cpu().device.type, host.device.type) == ("cuda", "cpu", "cpu")
        assert float((x * 2).sum()) == 6 and [float(one) for one in x] == x.tolist() == [1, 1, 1]
        x.add_(1)
    assert host.equal(torch.ones(3)) and gpu.waits == {"cpu": 1, "__float__": 4, "tolist": 1}


def test_a_device_without_float64_is_refused_before_any_work(given, monkeypatch):
    def empty(*_, dtype, device):
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")

    monkeypatch.setattr(surveying.torch, "empty", empty)
    with pytest.raises(ValueError, match="device 'mps' cannot be used here: Cannot convert a MPS Tensor to float64"):
        evaluate(*given, device="mps")
