"""Matrices as the libraries that quantise store them, packed number by number after the published definitions.

LAYOUTS: {name: function of a random generator → (tensors of the file, config.json, other files, what it stands for)}
"""

import json

import numpy as np
import torch

STEM = "model.layers.0.mlp.up_proj"
E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]
NF4 = [-1.0, -0.6961928, -0.5250731, -0.3949175, -0.28444138, -0.18477343, -0.09105004, 0.0]
NF4 += [0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0]
HEIGHT, WIDTH = 32, 96


def words(numbers, bits, dtype=np.int32):
    """Numbers end to end, the first in the lowest bits, as whole words."""
    total = sum(int(number) << (bits * i) for i, number in enumerate(numbers))
    size = np.dtype(dtype).itemsize
    count = -(-len(numbers) * bits // (8 * size))
    return np.frombuffer(total.to_bytes(count * size, "little"), dtype).copy()


def packed(codes, bits, dtype=np.int32):
    """Each row of ``codes`` as words."""
    return torch.from_numpy(np.stack([words(row, bits, dtype) for row in codes]))


def halves(rng, *shape):
    return torch.from_numpy(rng.uniform(0.001, 0.01, shape)).half()


def _gptq(rng, bits=4, v2=False, order=False, config=None, file=None):
    groups, size = 3, WIDTH // 3
    codes, zeros = rng.integers(2**bits, size=(HEIGHT, WIDTH)), rng.integers(2**bits, size=(HEIGHT, groups))
    scales = halves(rng, groups, HEIGHT)
    place = rng.permutation(np.arange(WIDTH) // size) if order else np.arange(WIDTH) // size
    tensors = {"qweight": packed(codes, bits).T.contiguous(), "scales": scales}
    tensors["qzeros"] = packed(((zeros - (0 if v2 else 1)) % 2**bits).T, bits)
    if order is not None:
        tensors["g_idx"] = torch.from_numpy(place).int()
    weights = (codes - zeros[:, place]) * scales.double().numpy().T[:, place]
    about = config or {"quant_method": "gptq", "bits": bits, "checkpoint_format": "gptq_v2" if v2 else "gptq"}
    files = {file: about} if file else {"config.json": {"quantization_config": about}}
    return {f"{STEM}.{name}": value for name, value in tensors.items()}, files, weights


def _awq(rng):
    codes, zeros = rng.integers(16, size=(HEIGHT, WIDTH)), rng.integers(16, size=(HEIGHT, 3))
    scales, order = halves(rng, 3, HEIGHT), [0, 2, 4, 6, 1, 3, 5, 7]

    def columns(numbers):  # (n, out) → (n, out / 8)
        return packed(numbers.reshape(len(numbers), -1, 8)[:, :, order].reshape(len(numbers), -1), 4)

    tensors = {"qweight": columns(codes.T), "qzeros": columns(zeros.T), "scales": scales}
    weights = (codes - zeros.repeat(WIDTH // 3, 1)) * scales.double().numpy().T.repeat(WIDTH // 3, 1)
    about = {"quant_method": "awq", "bits": 4, "version": "gemm"}
    tensors = {f"{STEM}.{name}": value for name, value in tensors.items()}
    return tensors, {"config.json": {"quantization_config": about}}, weights


def _dense(rng, bits=4, groups=3, zero=False, order=False, width=WIDTH):
    half, size = 2 ** (bits - 1), width // groups
    codes, zeros = rng.integers(-half, half, (HEIGHT, width)), rng.integers(-half, half, (HEIGHT, groups))
    scales = halves(rng, HEIGHT, groups).bfloat16()
    place = rng.permutation(np.arange(width) // size) if order else np.arange(width) // size
    tensors = {"weight_packed": packed(codes + half, bits), "weight_scale": scales}
    tensors["weight_shape"] = torch.tensor([HEIGHT, width])
    if zero:
        tensors["weight_zero_point"] = packed((zeros + half).T, bits).T.contiguous()
    if order:
        tensors["weight_g_idx"] = torch.from_numpy(place).int()
    weights = (codes - (zeros[:, place] if zero else 0)) * scales.double().numpy()[:, place]
    tensors = {f"{STEM}.{name}": value for name, value in tensors.items()}
    return tensors, {}, weights


def _mlx(rng, bits=4, size=32, said=None, name="config.json"):
    codes = rng.integers(2**bits, size=(HEIGHT, WIDTH * 2))
    scales = halves(rng, HEIGHT, WIDTH * 2 // size)
    offsets = halves(rng, HEIGHT, WIDTH * 2 // size) - 2 ** (bits - 1) * scales
    weights = codes * scales.double().numpy().repeat(size, 1) + offsets.double().numpy().repeat(size, 1)
    said = {"quantization": {"group_size": size, "bits": bits}} if said is None else said
    tensors = {"weight": packed(codes, bits, np.uint32), "scales": scales, "biases": offsets}
    return {f"{STEM}.{part}": value for part, value in tensors.items()}, {name: said}, weights


def _scaled(rng, codes, scale, parts, spread, config=None, zero=None):
    """Codes times a scale of the name in ``parts``, spread by the function given."""
    tensors = {f"{STEM}.weight": codes, f"{STEM}.{parts}": scale}
    if zero is not None:
        tensors[f"{STEM}.weight_zero_point"] = zero
    values = codes.double() - (0 if zero is None else zero.double())
    return tensors, {"config.json": config} if config else {}, (values * spread(scale.double())).numpy()


def _f8(rng, *shape):
    return torch.from_numpy(rng.normal(size=shape) * 100).clamp(-448, 448).to(torch.float8_e4m3fn)


def _by_block(rng, config, height=300, width=200):
    scale = torch.from_numpy(rng.uniform(1e-4, 1e-3, (3, 2))).float()
    spread = lambda s: s.repeat_interleave(128, 0).repeat_interleave(128, 1)[:height, :width]  # noqa: E731
    return _scaled(rng, _f8(rng, height, width), scale, "weight_scale_inv", spread, config)


def _per_row(rng, name, codes, shape=(HEIGHT, 1), dtype=torch.float32, zero=None):
    scale = torch.from_numpy(rng.uniform(1e-4, 1e-3, shape)).to(dtype)
    return _scaled(rng, codes, scale, name, lambda s: s.reshape(-1, 1), zero=zero)


def _torchao(rng, codes, name="_weight_qdata", about="_weight_scale", zero=None):
    scale = torch.from_numpy(rng.uniform(1e-4, 1e-3, (HEIGHT, 1))).float()
    tensors = {f"{STEM}.{name}": codes, f"{STEM}.{about}": scale}
    tensors |= {} if zero is None else {f"{STEM}._weight_zero_point": zero}
    weights = (codes.double() - (0 if zero is None else zero.double())) * scale.double()
    return tensors, {}, weights.numpy()


def _fbgemm(rng):
    tensors, _, weights = _per_row(rng, "weight_scale", _f8(rng, HEIGHT, WIDTH))
    about = {"config.json": {"quantization_config": {"quant_method": "fbgemm_fp8"}}}
    return tensors | {f"{STEM}.input_scale_ub": torch.tensor([1200.0])}, about, weights


def _int8_groups(rng):
    codes = torch.from_numpy(rng.integers(-128, 128, (HEIGHT, WIDTH))).to(torch.int8)
    spread = lambda s: s.repeat_interleave(32, 1)  # noqa: E731
    return _scaled(rng, codes, halves(rng, HEIGHT, 3), "weight_scale", spread)


def _fours(rng, *shape):
    """(bytes with two codes each, their values)."""
    codes = rng.integers(16, size=shape)
    return torch.from_numpy((codes[..., 0::2] | codes[..., 1::2] << 4).astype(np.uint8)), np.array(E2M1)[codes]


def _nvfp4(rng, names=("weight", "weight_scale", "weight_scale_2"), divides=False):
    stored, values = _fours(rng, HEIGHT, WIDTH)
    scale = torch.from_numpy(rng.uniform(20, 400, (HEIGHT, WIDTH // 16))).to(torch.float8_e4m3fn)
    whole = torch.tensor([5000.0]) if divides else torch.tensor(2e-4)
    factor = 1 / whole.double() if divides else whole.double()
    weights = values * (scale.double() * factor).numpy().repeat(16, 1)
    tensors = dict(zip((f"{STEM}.{name}" for name in names), (stored, scale, whole), strict=True))
    tensors[f"{STEM}.input_global_scale" if divides else f"{STEM}.input_scale"] = torch.tensor(1e-3)
    return tensors, {}, weights


def _mxfp4(rng):
    stored, values = _fours(rng, HEIGHT, WIDTH)
    scale = rng.integers(110, 140, (HEIGHT, WIDTH // 32))
    tensors = {f"{STEM}.weight_packed": stored, f"{STEM}.weight_scale": torch.from_numpy(scale.astype(np.uint8))}
    return tensors, {}, values * (2.0 ** (scale - 127)).repeat(32, 1)


def _gpt_oss(rng, names="model.layers.0.mlp.experts.gate_up_proj_{}"):
    stored, values = _fours(rng, 2, HEIGHT, 3, 32)
    scale = rng.integers(110, 140, (2, HEIGHT, 3))
    tensors = {names.format("blocks"): stored, names.format("scales"): torch.from_numpy(scale.astype(np.uint8))}
    weights = (values * 2.0 ** (scale - 127)[..., None]).reshape(2, HEIGHT, WIDTH)
    return tensors, {}, weights


def _bnb(rng, twice=False, storage=torch.uint8):
    codes = rng.integers(16, size=HEIGHT * WIDTH)
    stored = torch.from_numpy((codes[0::2] << 4 | codes[1::2]).astype(np.uint8)).view(storage)[:, None]
    blocks, name = HEIGHT * WIDTH // 64, f"{STEM}.weight"
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [HEIGHT, WIDTH]}
    tensors = {name: stored, f"{name}.quant_map": torch.tensor(NF4)}
    if twice:
        state |= {"nested_blocksize": 16, "nested_dtype": "float32", "nested_offset": 0.25}
        table, coarse = rng.uniform(-1, 1, 256), rng.uniform(0.01, 0.1, -(-blocks // 16))
        fine = rng.integers(256, size=blocks)
        tensors[f"{name}.absmax"] = torch.from_numpy(fine.astype(np.uint8))
        tensors[f"{name}.nested_absmax"] = torch.from_numpy(coarse).float()
        tensors[f"{name}.nested_quant_map"] = torch.from_numpy(table).float()
        largest = table.astype("f")[fine].astype("d") * coarse.astype("f").repeat(16)[:blocks] + 0.25
    else:
        largest = rng.uniform(0.01, 0.1, blocks).astype("f")
        tensors[f"{name}.absmax"] = torch.from_numpy(largest)
    said = np.frombuffer(json.dumps(state).encode(), np.uint8).copy()
    tensors[f"{name}.quant_state.bitsandbytes__nf4"] = torch.from_numpy(said)
    weights = np.array(NF4)[codes] * largest.astype("d").repeat(64)
    return tensors, {}, weights.reshape(HEIGHT, WIDTH)


def _bnb8(rng):
    codes = torch.from_numpy(rng.integers(-127, 128, (HEIGHT, WIDTH))).to(torch.int8)
    largest = torch.from_numpy(rng.uniform(0.1, 1, HEIGHT)).float()
    tensors = {
        f"{STEM}.weight": codes,
        f"{STEM}.SCB": largest,
        f"{STEM}.weight_format": torch.tensor(0).to(torch.uint8),
    }
    return tensors, {}, codes.double().numpy() * largest.double().numpy()[:, None] / 127


def _int8(rng):
    return torch.from_numpy(rng.integers(-127, 128, (HEIGHT, WIDTH))).to(torch.int8)


DEEPSEEK = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
OVERRIDE = {"quantization": {"group_size": 64, "bits": 4, STEM: {"group_size": 32, "bits": 6}, "lm_head": False}}
LAYOUTS = {
    "GPTQ": _gptq,
    **{f"GPTQ in {bits} bits": lambda rng, bits=bits: _gptq(rng, bits) for bits in (2, 3, 8)},
    "GPTQ version 2": lambda rng: _gptq(rng, v2=True),
    "GPTQ in the order of activations": lambda rng: _gptq(rng, order=True),
    "GPTQ without g_idx": lambda rng: _gptq(rng, order=None),
    "GPTQ, older": lambda rng: _gptq(rng, file="quantize_config.json", config={"bits": 4, "group_size": 32}),
    "GPTQ by AutoRound": lambda rng: _gptq(
        rng, config={"quant_method": "auto-round", "packing_format": "auto_round:auto_gptq"}
    ),
    "AWQ": _awq,
    "pack-quantized": _dense,
    "pack-quantized, a scale a row": lambda rng: _dense(rng, groups=1),
    "pack-quantized, a scale a row, 100 columns": lambda rng: _dense(rng, groups=1, width=100),
    **{f"pack-quantized in {bits} bits": lambda rng, bits=bits: _dense(rng, bits) for bits in (2, 3, 8)},
    "pack-quantized with zeros": lambda rng: _dense(rng, zero=True),
    "pack-quantized in the order of activations": lambda rng: _dense(rng, order=True),
    "pack-quantized with both": lambda rng: _dense(rng, zero=True, order=True),
    **{f"MLX in {bits} bits": lambda rng, bits=bits: _mlx(rng, bits) for bits in (2, 3, 4, 5, 6, 8)},
    "MLX in groups of 64": lambda rng: _mlx(rng, 4, 64),
    "MLX, no word on it": lambda rng: _mlx(rng, 4, 64, {}),
    "MLX, a module of its own": lambda rng: _mlx(rng, 6, 32, OVERRIDE),
    "FP8 in blocks": lambda rng: _by_block(rng, DEEPSEEK),
    "FP8 in blocks, no word on it": lambda rng: _by_block(rng, None),
    "FP8 by rows": lambda rng: _per_row(rng, "weight_scale", _f8(rng, HEIGHT, WIDTH)),
    "FP8 by rows in a list": lambda rng: _per_row(rng, "weight_scale", _f8(rng, HEIGHT, WIDTH), (HEIGHT,)),
    "FP8 by matrix": lambda rng: _per_row(rng, "weight_scale", _f8(rng, HEIGHT, WIDTH), ()),
    "FP8 of ComfyUI": lambda rng: _per_row(rng, "scale_weight", _f8(rng, HEIGHT, WIDTH), (1,)),
    "FP8 of TensorRT-LLM": lambda rng: _per_row(rng, "weights_scaling_factor", _f8(rng, HEIGHT, WIDTH), (1,)),
    "int8 by rows": lambda rng: _per_row(rng, "weight_scale", _int8(rng), dtype=torch.bfloat16),
    "int8 of torchao": lambda rng: _torchao(rng, _int8(rng), zero=_int8(rng)[:, :1].contiguous()),
    "FP8 of torchao": lambda rng: _torchao(rng, _f8(rng, HEIGHT, WIDTH)),
    "int8 of quanto": lambda rng: _torchao(rng, _int8(rng), "weight._data", "weight._scale"),
    "FP8 of FBGEMM": _fbgemm,
    "int8 with zeros": lambda rng: _per_row(rng, "weight_scale", _int8(rng), zero=_int8(rng)[:, :1].contiguous()),
    "int8 in groups": _int8_groups,
    "NVFP4 of ModelOpt": _nvfp4,
    "NVFP4 of compressed-tensors": lambda rng: _nvfp4(
        rng, ("weight_packed", "weight_scale", "weight_global_scale"), divides=True
    ),
    "MXFP4 of compressed-tensors": _mxfp4,
    "MXFP4 of gpt-oss": _gpt_oss,
    "MXFP4 of gpt-oss, the original": lambda rng: _gpt_oss(rng, "block.0.mlp.mlp1_weight.{}"),
    "nf4": _bnb,
    "nf4, scales in codes": lambda rng: _bnb(rng, twice=True),
    "nf4 in the bytes of bfloat16": lambda rng: _bnb(rng, storage=torch.bfloat16),
    "LLM.int8()": _bnb8,
}
