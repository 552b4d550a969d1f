"""Some rows are rounded as among all, if what a coder needs of the rest is known; and a stack as its tensors."""

import pytest
import torch
from sampling import some

import rholaw as rl

NEEDS = {
    "int4": "rms",
    "2:4+int4": "rms",
    "vq2_16": "rms",
    "2:4": "nothing",
    "dense": "nothing",
    "q4_k": "nothing",
    "sint4/g32": "nothing",
    "uint4/g32": "nothing",
    "fp8_row": "nothing",
    "mxfp4": "nothing",
    "2:4+sint4/g128": "nothing",
    "nvfp4": "largest",
    "nvfp4_46": "largest",
    "fp8_tensor": "largest",
    "2:4+nvfp4": "largest",
    "sint4/tensor:e4m3": "largest",
    "nvfp4_16x16": "everything",
    "nf4_dq": "everything",
    "bitnet_b158": "everything",
    "uint4/tensor": "everything",
    "int4/tensor:mse": "everything",
    "fint4/tensor:signmax": "everything",
    "s0.5": "everything",
    "s0.5+nvfp4": "everything",
    "int4+out0.01": "everything",
}
PARTIAL = [text for text, needs in NEEDS.items() if needs != "everything"]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def uneven():
    """Rows of very different size."""
    return normal(4, 512) * torch.tensor([[0.1], [1.0], [3.0], [30.0]])


@pytest.mark.parametrize("text", NEEDS)
def test_what_has_to_be_known_of_the_whole(text):
    assert rl.parse(text).needs == NEEDS[text]


def known(format, x):
    """What it needs of ``x``, computed apart."""
    kept = x * format.sparsity.mask(x) if format.sparsity else x
    if format.needs == "rms":
        return float((kept.double().square().sum() / (kept.numel() * format.density)).sqrt())
    return float(x.abs().max()) if format.needs == "largest" else None


@pytest.mark.parametrize("text", some(PARTIAL, 10))
def test_rows_apart_are_rounded_as_together(text):
    format, x = rl.parse(text), uneven()
    apart = torch.cat([format.coded(row[None], known(format, x)) for row in x])
    torch.testing.assert_close(apart, format.quantize(x), rtol=1e-6, atol=0)


@pytest.mark.parametrize("text", ["int4", "nvfp4", "fp8_tensor", "sint4/tensor:e4m3", "vq2_16"])
def test_rows_alone_are_rounded_otherwise(text):
    """So that the test above can fail: what is known of the whole matters."""
    format, x = rl.parse(text), uneven()
    assert not torch.allclose(format.coded(x[:1]), format.quantize(x)[:1], rtol=1e-3)


@pytest.mark.parametrize("text", ["int4", "vq2_16", "nvfp4", "fp8_tensor", "sint4/g32", "e2m1/row:e8m0"])
def test_a_stack_is_rounded_tensor_by_tensor(text):
    coder, x = rl.parse(text).coder, normal(3, 4, 64) * torch.tensor([0.1, 1.0, 20.0])[:, None, None]
    of_tensors = {"rms": x.square().mean((1, 2)).sqrt()[:, None], "largest": x.abs().amax((1, 2))[:, None]}
    values = coder.at(x, coder.scale(x, known=of_tensors.get(coder.needs)))
    torch.testing.assert_close(values, torch.stack([coder(tensor) for tensor in x]), rtol=1e-6, atol=0)


@pytest.mark.parametrize("text", ["uint4/g32", "uint4/g32:zero", "q4_k"])
def test_what_stores_more_than_a_scale_has_none(text):
    assert rl.parse(text).coder.scale(normal(2, 256)) is None


def test_a_gguf_type_has_the_range_of_its_scales():
    """Its fp16 super-scales underflow, as those of a block do; one Gaussian scale a tensor does not."""
    x = normal(2, 256) * 1e-20
    assert not rl.parse("q4_k").quantize(x).any() and not rl.parse("q4_0").quantize(x).any()
    assert rl.parse("int4").quantize(x).any()
