"""Codes that the libraries themselves write are read as they read them, where they are installed."""

import json
import warnings

import numpy as np
import pytest
import torch
from quantised_files import STEM
from safetensors.torch import save_file

from rholaw import checkpoints

WEIGHT = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))


def imported(name):
    """A module, or the test is skipped; what it warns of when it is imported is its own matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


def compare(folder, tensors, config, expected, tolerance=1e-6):
    """What is read of ``tensors``, {name: tensor}, is what the library makes of them."""
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    with checkpoints.open(folder) as checkpoint:
        (tensor,) = checkpoint.tensors
        assert tensor.shape == expected.shape and tensor.quantised
        assert torch.allclose(
            tensor.read(), expected.float(), rtol=tolerance, atol=tolerance * float(expected.abs().max())
        )


def by_blocks(rows, columns):
    """Largest magnitudes of blocks of the weight."""
    blocks = WEIGHT.view(WEIGHT.shape[0] // rows, rows, WEIGHT.shape[1] // columns, columns)
    return blocks.abs().amax((1, 3))


PACKED = [("pack-quantized", {"num_bits": bits, "type": "int", "group_size": 128}) for bits in (2, 3, 4, 8)]
PACKED += [
    ("pack-quantized", {"num_bits": 4, "type": "int", "strategy": "channel"}),
    ("pack-quantized", {"num_bits": 4, "type": "int", "group_size": 64, "symmetric": False}),
    ("int-quantized", {"num_bits": 8, "type": "int", "strategy": "channel"}),
    ("float-quantized", {"num_bits": 8, "type": "float", "strategy": "channel"}),
    ("float-quantized", {"num_bits": 8, "type": "float", "strategy": "tensor"}),
    ("float-quantized", {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [32, 128]}),
    ("nvfp4-pack-quantized", {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}),
    ("mxfp4-pack-quantized", {"num_bits": 4, "type": "float", "group_size": 32, "scale_dtype": torch.uint8}),
    ("mxfp8-quantized", {"num_bits": 8, "type": "float", "group_size": 32, "scale_dtype": torch.uint8}),
]


@pytest.mark.parametrize(("name", "about"), PACKED)
def test_compressed_tensors(tmp_path, name, about):
    library = imported("compressed_tensors.compressors")
    quantization = imported("compressed_tensors.quantization")
    scheme = quantization.QuantizationScheme(targets=["Linear"], weights=quantization.QuantizationArgs(**about))
    compressor = library.BaseCompressor.get_value_from_registry(name)
    size = {"channel": (1, 256), "tensor": (64, 256), "block": (32, 128)}.get(about.get("strategy"))
    scale = (
        by_blocks(*size or (1, about["group_size"]))
        / {"int": 2 ** (about["num_bits"] - 1), "float": 448}[about["type"]]
    )
    state = {"weight": WEIGHT.clone(), "weight_scale": scale}
    if name.startswith("nvfp4"):
        state["weight_global_scale"] = torch.tensor([448 * 6 / float(WEIGHT.abs().max())])
        scale = by_blocks(1, 16) / 6 * state["weight_global_scale"]
        state["weight_scale"] = scale.to(torch.float8_e4m3fn).float()
    elif name.startswith("mx"):
        state["weight_scale"] = 2.0 ** (by_blocks(1, 32).log2().floor() - (2 if about["num_bits"] == 4 else 8))
    elif about.get("symmetric") is False:
        low, high = (getattr(WEIGHT.view(64, -1, 64), which)(-1) for which in ("amin", "amax"))
        state["weight_scale"] = (high - low) / 15
        state["weight_zero_point"] = (-8 - low / state["weight_scale"]).round().clamp(-8, 7).to(torch.int8)
    stored = compressor.compress(state, scheme)
    expected = compressor.decompress({part: value.clone() for part, value in stored.items()}, scheme)["weight"]
    tolerance = 4e-3 if name.startswith("nvfp4") else 1e-6  # which it multiplies in bfloat16
    compare(tmp_path, {f"{STEM}.{part}": value for part, value in stored.items()}, {}, expected.detach(), tolerance)


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
def test_mlx(tmp_path, bits, size):
    mx = imported("mlx.core")
    stored = mx.quantize(mx.array(WEIGHT.numpy()), group_size=size, bits=bits)
    expected = torch.from_numpy(np.array(mx.dequantize(*stored, group_size=size, bits=bits)))
    tensors = {f"{STEM}.{name}": torch.from_numpy(np.array(part)) for name, part in zip(MLX, stored, strict=True)}
    compare(tmp_path, tensors, {"quantization": {"group_size": size, "bits": bits}}, expected)


MLX = ("weight", "scales", "biases")


@pytest.mark.parametrize("mode", ["mxfp4", "nvfp4", "mxfp8"])
@pytest.mark.parametrize("said", [True, False])
def test_modes_of_mlx(tmp_path, mode, said):
    mx = imported("mlx.core")
    stored = mx.quantize(mx.array(WEIGHT.numpy()), mode=mode)
    expected = torch.from_numpy(np.array(mx.dequantize(*stored, mode=mode, dtype=mx.float32)))
    tensors = {f"{STEM}.{name}": torch.from_numpy(np.array(part)) for name, part in zip(MLX, stored, strict=False)}
    compare(tmp_path, tensors, {"quantization": {"mode": mode}} if said else {}, expected)


@pytest.mark.parametrize("storage", [torch.uint8, torch.bfloat16])
@pytest.mark.parametrize("twice", [True, False])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_bitsandbytes_in_4_bits(tmp_path, kind, twice, storage):
    library = imported("bitsandbytes.functional")
    about = {"quant_type": kind, "compress_statistics": twice, "quant_storage": storage}
    codes, state = library.quantize_4bit(WEIGHT, **about)
    tensors = {f"{STEM}.weight.{name}": part for name, part in state.as_dict(packed=True).items()}
    compare(tmp_path, tensors | {f"{STEM}.weight": codes}, {}, library.dequantize_4bit(codes, state))


def test_bitsandbytes_in_8_bits(tmp_path):
    library = imported("bitsandbytes.functional")
    codes, largest, _ = library.int8_vectorwise_quant(WEIGHT.half())
    compare(
        tmp_path,
        {f"{STEM}.weight": codes, f"{STEM}.SCB": largest, f"{STEM}.weight_format": torch.tensor(0, dtype=torch.uint8)},
        {},
        library.int8_vectorwise_dequant(codes, largest),
    )


@pytest.mark.slow
@pytest.mark.parametrize("config", ["Float8WeightOnlyConfig", "Int8WeightOnlyConfig"])
@pytest.mark.filterwarnings("ignore")
def test_torchao(tmp_path, config):
    quantization = imported("torchao.quantization")
    flat = imported("torchao.prototype.safetensors.safetensors_support")
    module = torch.nn.Linear(256, 64, bias=False)
    with torch.no_grad():
        module.weight.copy_(WEIGHT)
    quantization.quantize_(module, getattr(quantization, config)())
    tensors, _ = flat.flatten_tensor_state_dict({f"{STEM}.weight": module.weight})
    compare(tmp_path, tensors, {}, module.weight.dequantize().detach(), 1e-5)


def test_gpt_oss_as_transformers_converts_it(tmp_path):
    library = imported("transformers.integrations.mxfp4")
    random = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, 256, (2, 64, 8, 16), dtype=torch.uint8, generator=random)
    scales = torch.randint(110, 125, (2, 64, 8), dtype=torch.uint8, generator=random)
    expected = library.convert_moe_packed_tensors(blocks, scales, dtype=torch.float32).transpose(1, 2)  # to out × in
    stem = "model.layers.0.mlp.experts.gate_up_proj"
    compare(tmp_path, {f"{stem}_blocks": blocks, f"{stem}_scales": scales}, {"model_type": "gpt_oss"}, expected)


def test_awq_as_autoawq_reads_it(tmp_path):
    library = imported("awq.utils.packing_utils")
    random = torch.Generator().manual_seed(0)
    codes, zeros = (
        torch.randint(-(2**31), 2**31 - 1, shape, dtype=torch.int32, generator=random) for shape in ((96, 4), (3, 4))
    )
    scales = torch.rand(3, 32, generator=random).half()
    tensors = {f"{STEM}.qweight": codes, f"{STEM}.qzeros": zeros, f"{STEM}.scales": scales}
    compare(tmp_path, tensors, {}, library.dequantize_gemm(codes, zeros, scales.float(), 4, 32).T)
