"""Codes and their scales are one matrix, with the values that the published definitions give, however it is read."""

import json

import numpy as np
import pytest
import torch
from quantised_files import LAYOUTS, STEM
from safetensors.torch import save_file

import rholaw as rl
from rholaw import checkpoints
from rholaw.checkpoints import summing


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


def whole(*shape, dtype=torch.int32):
    return torch.ones(shape, dtype=dtype)


def real(*shape):
    return torch.full(shape, 0.5)


UNKNOWN = {
    "EXL2": ({"q_weight": whole(8, 64), "q_scale": whole(4, 8), "q_scale_max": real(4), "q_invperm": whole(64)}, ""),
    "EXL3": ({"trellis": whole(4, 4, 48, dtype=torch.int16), "suh": real(64), "svh": real(64)}, "suh"),
    "HQQ": ({"W_q": whole(64, 32, dtype=torch.uint8), "scale": real(1, 64), "zero": real(1, 64)}, "scale, zero"),
    "AQLM": ({"codes": whole(64, 8, 1, dtype=torch.int8), "codebooks": real(1, 256, 1, 8), "scales": real(64, 1)}, ""),
    "VPTQ": ({"indices": whole(1, 8, 64), "centroids.weight": real(1, 512), "weight_scale": real(64)}, "centroids"),
    "QuIP#": ({"Qidxs": whole(64, 8, dtype=torch.int64), "SU": real(64), "SV": real(64)}, "SU, SV"),
    "Marlin": ({"B": whole(4, 128), "s": real(1, 64), "workspace": whole(16)}, "s, workspace"),
    "FLUTE": ({"weight": whole(16, 64, dtype=torch.int16), "scales": real(64, 1), "tables": real(16)}, "tables"),
    "EETQ": ({"weight": whole(64, 64, dtype=torch.int8), "weight_scales": real(64)}, "scales"),
    "BitNet": ({"weight": whole(16, 64, dtype=torch.uint8), "weight_scale": real(1)}, "scale"),
    "quanto": (
        {"weight._data._data": whole(32, 64, dtype=torch.uint8), "weight._scale": real(64, 1)}
        | {"weight._shift": real(64, 1)},
        "shift",
    ),
    "torchao": ({"weight:_qdata": whole(64, 32, dtype=torch.uint8), "weight:_scale": real(2, 64)}, "scale"),
    "torchao with zeros of weights": (
        {"_weight_qdata": whole(64, 64, dtype=torch.int8), "_weight_scale": real(64, 1)}
        | {"_weight_zero_point": real(64, 1)},
        "zero_point is F32",
    ),
    "HQQ in the bytes of floats": ({"W_q": real(32, 32).half(), "scale": real(64, 1), "zero": real(64, 1)}, "scale"),
    "VPTQ in the bytes of floats": ({"indices": real(1, 8, 64), "centroids.weight": real(1, 512)}, "centroids"),
    "QuIP# in two parts": ({"Qidxs_0": whole(64, 8, dtype=torch.int64), "SU": real(64), "SV": real(64)}, "SU"),
    "SpQR": ({"dense_weights": whole(384, dtype=torch.int64), "col_vals": whole(100)}, "they are no matrix"),
    "2:4 by name of the weight": (
        {"weight.compressed": real(1024), "weight.bitmask": whole(64, 8, dtype=torch.uint8), "weight_scale": real(64)},
        "they are no matrix",
    ),
    "Marlin 2:4": ({"B_24": whole(2, 128), "s": real(1, 64), "workspace": whole(4)}, "s, workspace"),
    "2:4 in a bitmask": ({"compressed": real(64, 32), "bitmask": whole(64, 8, dtype=torch.uint8)}, "bitmask"),
    "the AWQ of its authors": ({"qweight": whole(16, 64, dtype=torch.int16), "scales": real(8, 64)}, "scales"),
    "GPTQ without zeros": ({"qweight": whole(8, 64), "scales": real(1, 64)}, "no qzeros"),
    "fours in int8": ({"weight": whole(64, 32, dtype=torch.int8), "scale": whole(64, 2).to(torch.float8_e8m0fnu)}, ""),
    "codes alone": ({"weight_packed": whole(64, 8)}, "no companion"),
    "E4M3, its scale by another name": (
        {"weight": real(64, 64).to(torch.float8_e4m3fn), "descale": real(1)},
        "descale",
    ),
    "E4M3 with exponents of blocks": (
        {"weight": real(64, 64).to(torch.float8_e4m3fn), "weight_scale_exp": whole(64, 2, dtype=torch.int8)},
        "scale_exp",
    ),
    "codes with a table": ({"weight": whole(64, 32, dtype=torch.int8), "lut": whole(64, 16)}, "lut"),
    "one scale for inputs": ({"weight": whole(64, 32, dtype=torch.int8), "weight_scale": real(1, 32)}, "each column"),
    "NVFP4 without a global scale": (
        {"weight": whole(64, 32, dtype=torch.uint8), "weight_scale": real(64, 4).to(torch.float8_e4m3fn)},
        "no scale_2",
    ),
    "ComfyUI's NVFP4": (
        {"weight": whole(64, 32, dtype=torch.uint8), "weight_scale": real(64, 4).to(torch.float8_e4m3fn)}
        | {"weight_scale_2": real(), "comfy_quant": whole(9, dtype=torch.uint8)},
        "comfy_quant",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_codes_of_another_layout_are_one_tensor_that_is_not_measured(tmp_path, name):
    parts, reason = UNKNOWN[name]
    tensors = {f"{STEM}.{part}": value for part, value in parts.items()}
    with checkpoints.open(written(tmp_path, tensors)) as checkpoint:
        (tensor,) = checkpoint.tensors
        assert tensor.name == f"{STEM}.weight" and tensor.quantised
        assert tensor.bits * tensor.count == 8 * sum(value.numel() * value.element_size() for value in tensors.values())
        with pytest.raises(ValueError, match=f"^codes, not measured: .*{reason}"):
            tensor.read()


def test_what_is_no_code_stays_as_it_is(tmp_path):
    """Indices, masks, unscaled bytes, and the words of companions in modules that have none."""
    tensors = {
        "embeddings.position_ids": whole(1, 512, dtype=torch.int64),
        "h.0.attn.bias": whole(1, 1, 8, 8, dtype=torch.uint8),
        "h.0.attn.query.weight": real(24, 8),
        "norm.scale": real(8),
        "block.shape": whole(2, dtype=torch.int64),
        "table": whole(2, 2),
        "table.2": real(2, 2),
        "shuffle.indices": whole(4, 4, dtype=torch.int64),
        "cast.weight": real(8, 8).to(torch.float8_e4m3fn),
        "layer.weight": real(8, 8),
        "layer.scale": real(8, 8),
        "layer.weight_bias": real(8),
    }
    with checkpoints.open(written(tmp_path, tensors)) as checkpoint:
        assert sorted(tensor.name for tensor in checkpoint.tensors) == sorted(tensors)
        for tensor in checkpoint.tensors:
            assert torch.equal(tensor.read().float(), tensors[tensor.name].float()) and not tensor.note


def test_companions_of_16_bit_weights_are_no_weights(tmp_path):
    tensors = {"up.weight": real(8, 8).bfloat16(), "up.weight_scale": real(8, 1), "up.weight_zero_point": whole(8, 1)}
    with checkpoints.open(written(tmp_path, tensors)) as checkpoint:
        (tensor,) = checkpoint.tensors
        assert tensor.unapplied == ("weight_scale", "weight_zero_point")
        assert torch.equal(tensor.read(), tensors["up.weight"])
        assert checkpoint.changes.code == "unapplied" and "'up.weight_scale' may change" in checkpoint.changes.told


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        *(("weight_m", (64, 1)), ("dora_scale", (64, 1)), ("smooth_scale", (256,)), ("act.scales", (256,))),
        *(("act_scale", (256,)), ("scales", (1, 256)), ("channel_scale", (256,)), ("SU", (256,)), ("alpha", ())),
        *(
            ("weight_quantizer._amax", ()),
            ("magnitude", (64,)),
            ("weight_m_wdecomp.weight", (64, 1)),
            ("zeros", (64, 2)),
            ("clip_max", (64, 1)),
        ),
    ],
)
def test_what_changes_a_matrix_of_floats_is_no_weight_and_is_told(tmp_path, name, shape):
    weight = {"l.mlp.up_proj.weight": torch.randn(64, 256).bfloat16()}
    path = written(tmp_path, weight | {f"l.mlp.up_proj.{name}": real(*shape)})
    with pytest.warns(UserWarning, match=f"'l.mlp.up_proj.{name}' may change what a matrix computes"):
        table = rl.survey(path, "int4/g64", progress=False)
    assert rl.totals(table).parameters.tolist() == [64 * 256]
    assert f"'l.mlp.up_proj.{name}' may change what" in summing.doubt(table)
    for other in ("bias", "mask", "second"):  # as large as the weight, it is one
        parts = {f"l.mlp.up_proj.{other}": real(64) if other == "bias" else real(64, 256)}
        with checkpoints.open(written(tmp_path, weight | parts)) as checkpoint:
            assert not checkpoint.changes and len(checkpoint.tensors) == 2


WIPED = {
    "a row": ({"weight_scale": torch.tensor([1.0] * 63 + [0.0])[:, None]}, torch.float8_e4m3fn),
    "a block": ({"weight_scale_inv": torch.tensor([[0.0, 1.0]])}, torch.float8_e4m3fn),
    "all": ({"weight_scale": torch.tensor(0.0)}, torch.float8_e4m3fn),
    "bytes": ({"weight_scale": torch.tensor([1.0] * 63 + [0.0])[:, None]}, torch.int8),
    "LLM.int8()": ({"SCB": torch.tensor([1.0] * 63 + [0.0])}, torch.int8),
    "NVFP4": ({"weight_scale": torch.ones(64, 32).to(torch.float8_e4m3fn), "weight_scale_2": torch.tensor(0.0)}, None),
}


@pytest.mark.parametrize("name", WIPED)
def test_codes_that_a_scale_of_0_wipes_out_are_no_weights(tmp_path, name):
    parts, kind = WIPED[name]
    codes = torch.ones(64, 256, dtype=torch.uint8) if kind is None else torch.tensor([3, -5]).repeat(64, 128).to(kind)
    path = written(tmp_path, {"l.up_proj.weight": codes} | {f"l.up_proj.{part}": x for part, x in parts.items()})
    table = rl.survey(path, "int4/g64", progress=False)
    assert table.outcome.tolist() == ["unread"] and "have a scale of 0, which leaves nothing of them" in table.note[0]
    assert "None of the bytes" in summing.doubt(table)
    if name in ("a row", "bytes", "LLM.int8()"):
        codes[63] = 0  # rows of zeros may have any scale
        written(tmp_path, {"l.up_proj.weight": codes} | {f"l.up_proj.{part}": x for part, x in parts.items()})
        assert rl.survey(path, "int4/g64", progress=False).outcome.tolist() == ["measured"]


@pytest.mark.parametrize("name", ["GPTQ", "AWQ", "pack-quantized"])
def test_a_row_of_codes_that_its_scales_wipe_out_is_no_weight(tmp_path, name):
    tensors, files, _ = LAYOUTS[name](np.random.default_rng(0))
    scales = next(part for key, part in tensors.items() if key.endswith(("scales", "weight_scale")))
    by_rows = scales if scales.shape[0] == 32 else scales.T
    by_rows[5, 0] = 0  # a group whose scale is 0 in 16 bits
    with checkpoints.open(written(tmp_path, tensors, files)) as checkpoint:
        assert not checkpoint.tensors[0].rows(5, 6)[0, :32].any()
    by_rows[5] = 0
    with checkpoints.open(written(tmp_path, tensors, files)) as checkpoint:
        assert checkpoint.tensors[0].rows(0, 5).any()
        with pytest.raises(ValueError, match="have a scale of 0"):
            checkpoint.tensors[0].rows(5, 6)


@pytest.mark.parametrize("method", ["", "of_its_own", "modelopt", "nvfp4"])
def test_the_order_of_scales_is_said_where_it_is_assumed(tmp_path, method):
    """Where rows and columns hardly differ, nothing in a small matrix shows in which order its scales lie."""
    parts, _ = blocks_of_16(128, 256, False)
    config = {"quantization_config": {"quant_method": method}} if method else {}
    written(tmp_path, {f"l.up_proj.{name}": part for name, part in parts.items()}, {"config.json": config})
    with checkpoints.open(tmp_path) as checkpoint:
        assert bool(checkpoint.tensors[0].note) == (method in ("", "of_its_own"))
    told = " ".join(rl.survey(tmp_path, "int4/g64", progress=False).attrs["remarks"])
    assert ("taken in the order of their blocks; some weights" in told) == (method in ("", "of_its_own"))


def test_scales_of_joined_parts_are_no_guess(tmp_path):
    """Phi-3's queries, keys and values lie in one matrix, with three scales (vllm#5915), and are not of one size."""
    codes = (torch.randn(6144, 16) * 60).to(torch.float8_e4m3fn)  # 4096, 1024 and 1024
    tensors = {"l.qkv_proj.weight": codes, "l.qkv_proj.weight_scale": real(3, 1)}
    joined = pytest.raises(ValueError, match="3 scales of 2048 rows each may be of parts that were joined")
    with checkpoints.open(written(tmp_path, tensors)) as checkpoint, joined:
        checkpoint.tensors[0].read()
    tensors["l.qkv_proj.weight_scale"] = real(6144 // 64, 1)
    with checkpoints.open(written(tmp_path, tensors)) as checkpoint:
        assert torch.equal(checkpoint.tensors[0].read(), codes.float() / 2)


@pytest.mark.parametrize("value", [0.0, float("inf"), float("nan"), None])
def test_scales_of_inputs_that_cannot_be_are_told(tmp_path, value):
    """Experts that no token went to: compressed-tensors#595 has infinity, vllm#45212 none."""
    tensors = {}
    for i in range(3):
        scale = {} if value is None and i == 2 else {"input_scale": torch.tensor(value if i == 2 else 0.1)}
        parts = {"weight": (torch.randn(64, 64) * 60).to(torch.float8_e4m3fn), "weight_scale": torch.tensor(0.1)}
        tensors |= {f"l.experts.{i}.up_proj.{name}": part for name, part in (parts | scale).items()}
    told = " ".join(rl.survey(written(tmp_path, tensors), "int4/g64", progress=False).attrs["remarks"])
    lacks = "matrices have no static scale of their inputs, and others of their kind have"
    fault = lacks if value is None else "static scales of inputs are no positive numbers"
    assert fault in told and told.count("as 'l.experts.2.up_proj.weight' (1 in all)") == told.count("in all") == 1


def test_a_matrix_of_dora_is_its_magnitude_times_its_direction(tmp_path):
    """arXiv 2402.09353, equation 5; the shape of the magnitude says along what the norm is."""
    direction, magnitude = torch.randn(64, 96), torch.rand(64, 1)
    tensors = {"l.up_proj.weight_m": magnitude, "l.up_proj.weight_v": direction}
    with checkpoints.open(written(tmp_path, tensors)) as checkpoint:
        (tensor,) = checkpoint.tensors
        assert tensor.name == "l.up_proj.weight"
        assert torch.allclose(tensor.read(), magnitude * direction / direction.norm(dim=1, keepdim=True))


def test_scales_of_inputs_change_nothing_that_formats_cost(tmp_path):
    tensors = {"l.up_proj.weight": torch.randn(64, 256), "l.up_proj.input_scale": real(1)}
    table = rl.survey(written(tmp_path, tensors), "int4/g64", progress=False)
    assert not summing.doubt(table) and "input_scale beside it" in table.note[0] and table.parameters.sum() == 64 * 256


def test_a_companion_without_codes_is_no_weight_either(tmp_path):
    with checkpoints.open(written(tmp_path, {"up.weight_scale": real(8, 4), "k_scale": real(1)})) as checkpoint:
        assert torch.equal(checkpoint["k_scale"].read(), real(1))
        with pytest.raises(ValueError, match="a companion of codes that are not there"):
            checkpoint["up.weight_scale"].read()


def test_a_quantised_model_whose_scale_is_missing_is_not_read_as_plain_bytes(tmp_path):
    tensors = {"up.weight": real(8, 8).to(torch.float8_e4m3fn)}
    for config, error in (({}, None), ({"quantization_config": {"quant_method": "fp8"}}, "no scale lies beside them")):
        with checkpoints.open(written(tmp_path, tensors, {"config.json": config})) as checkpoint:
            if error is None:
                assert checkpoint["up.weight"].read().dtype == torch.float8_e4m3fn
                continue
            with pytest.raises(ValueError, match=error):
                checkpoint["up.weight"].read()


def test_the_same_weights_as_codes_and_as_floats_are_refused(tmp_path):
    tensors, _, _ = LAYOUTS["MXFP4 of gpt-oss"](np.random.default_rng(0))
    path = written(tmp_path, tensors | {"model.layers.0.mlp.experts.gate_up_proj": real(2, 4)})
    with pytest.raises(ValueError, match="gate_up_proj' is there twice, as weights and as codes"):
        checkpoints.open(path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"quantization_config": {"weight_block_size": 128}}, "weight_block_size is 128, not two numbers"),
        ({"quantization_config": {"weight_block_size": [0, 128]}}, "weight_block_size .* is 0, not a whole number"),
        ({"quantization_config": {"quant_method": 7}}, "quant_method of its quantisation is 7, not a text"),
        ({"quantization_config": {"checkpoint_format": []}}, "checkpoint_format of its quantisation is "),
    ],
)
def test_settings_that_cannot_be(tmp_path, config, message):
    with pytest.raises(ValueError, match=message):
        checkpoints.open(written(tmp_path, {"a.weight": real(2, 2)}, {"config.json": config}))


SIZES = [(), (0,), (1,), (7,), (3, 5), (0, 4), (1, 1), (32, 0), (1, 1, 1, 1), (2, 32, 3), (10_000,), (96, 32)]
TYPES = [torch.float32, torch.int32, torch.uint8, torch.int64, torch.bool, torch.float8_e4m3fn, torch.complex64]


HOSTILE = ["GPTQ", "AWQ", "pack-quantized with both", "MLX in 3 bits", "FP8 in blocks", "int8 with zeros"]
HOSTILE += ["NVFP4 of ModelOpt", "MXFP4 of gpt-oss", "nf4, scales in codes", "LLM.int8()"]


@pytest.mark.parametrize("name", HOSTILE)
def test_companions_of_any_shape_and_type_harm_no_other_tensor(tmp_path, name):
    tensors, files, _ = LAYOUTS[name](np.random.default_rng(0))
    for odd in tensors:
        sizes = [*SIZES, *[tensors[odd].shape] * len(TYPES)]
        for number, size in enumerate(sizes):
            value = whole(*size, dtype=TYPES[number % len(TYPES)])
            with checkpoints.open(written(tmp_path, tensors | {odd: value, "sound": real(3)}, files)) as checkpoint:
                assert torch.equal(checkpoint["sound"].read(), real(3))
                for tensor in checkpoint.tensors:
                    try:
                        assert tensor.read().shape == tensor.shape
                    except ValueError as error:
                        assert len(str(error)) <= 500


@pytest.mark.parametrize(("family", "turned"), [("llama4", True), ("qwen3_moe", False)])
def test_bytes_with_a_scale_lie_as_the_family_keeps_its_floats(tmp_path, family, turned):
    """Megatron-Bridge#3743: experts in one tensor, in × out in some families; scaled bytes do not change that."""
    name, codes = "model.layers.0.feed_forward.experts.gate_up_proj", torch.arange(2 * 4 * 6).view(2, 4, 6)
    tensors = {name: codes.float().to(torch.float8_e4m3fn), f"{name}_scale": torch.tensor([0.5, 2.0]).view(2, 1, 1)}
    with checkpoints.open(written(tmp_path, tensors, {"config.json": {"model_type": family}})) as checkpoint:
        (tensor,) = checkpoint.tensors
        weights = tensors[name].float() * tensors[f"{name}_scale"]
        assert torch.equal(tensor.read(), weights.transpose(1, 2) if turned else weights)


@pytest.mark.parametrize(("scale", "method"), [((2, 1, 6), None), ((2, 1, 6), "fbgemm_fp8"), ((2, 6, 1), "fbgemm_fp8")])
def test_each_output_of_experts_that_lie_in_by_out_may_have_a_scale(tmp_path, scale, method):
    """Llama-4 in FP8 by FBGEMM, whose down_proj has its scales as a column."""
    name, codes = "model.layers.0.feed_forward.experts.down_proj", (torch.arange(48.0) / 8).view(2, 4, 6)
    factors = torch.linspace(0.5, 2, 12).view(scale)
    config = {"model_type": "llama4_text"} | ({"quantization_config": {"quant_method": method}} if method else {})
    tensors = {name: codes.to(torch.float8_e4m3fn), f"{name}_scale": factors}
    with checkpoints.open(written(tmp_path, tensors, {"config.json": config})) as checkpoint:
        (tensor,) = checkpoint.tensors
        weights = tensors[name].float() * factors.view(2, 1, 6)
        assert torch.equal(tensor.read(), weights.transpose(1, 2))


@pytest.mark.parametrize("name", ["FP8 in blocks", "FP8 in blocks, no word on it", "int8 in groups"])
def test_scales_that_are_no_blocks_of_the_matrix_give_no_values(tmp_path, name):
    """300 rows with four scales are not blocks of 75; the config said 128."""
    tensors, files, _ = LAYOUTS[name](np.random.default_rng(0))
    key = list(tensors)[1]
    axis = 0 if "blocks" in name else 1
    odd = tensors | {key: torch.cat([tensors[key], tensors[key].narrow(axis, 0, 1)], axis)}
    message = "codes, not measured: 4 scales do not fit"
    with checkpoints.open(written(tmp_path, odd, files)) as checkpoint, pytest.raises(ValueError, match=message):
        checkpoint.tensors[0].read()


@pytest.mark.parametrize(
    ("shape", "scales", "read"),
    [
        ((64, 128), (1, 64), False),  # of 64 outputs, transposed, or of blocks of two inputs
        ((64, 1024), (1, 64), False),  # or of sixteen
        ((64, 1024), (1, 128), False),  # or of eight, by all outputs
        ((64, 1024), (1, 8), True),  # a block of 128 × 128 that the matrix does not fill
        ((1, 1024), (1, 64), True),
    ],
)
def test_scales_in_a_row_are_no_guess(tmp_path, shape, scales, read):
    tensors = {"l.weight": torch.ones(shape).to(torch.float8_e4m3fn), "l.weight_scale": torch.rand(scales) + 1}
    save_file(tensors, tmp_path / "model.safetensors")
    with checkpoints.open(tmp_path) as checkpoint:
        (tensor,) = checkpoint.tensors
        if read:
            blocks = tensors["l.weight_scale"].repeat_interleave(shape[1] // scales[1], 1)
            assert torch.equal(tensor.read(), blocks.expand(shape))
            return
        with pytest.raises(ValueError, match=f"{scales[1]} scales in a row may be of their outputs, or of blocks of"):
            tensor.read()


@pytest.mark.parametrize("bias", [True, False])
def test_codes_of_experts_lie_out_by_in_whatever_the_family(tmp_path, bias):
    tensors, _, weights = LAYOUTS["MXFP4 of gpt-oss"](np.random.default_rng(0))
    name, config = "model.layers.0.mlp.experts.gate_up_proj", {"config.json": {"model_type": "gpt_oss"}}
    more = {f"{name}_bias": real(2, 32), "model.embed_tokens.weight": real(5, 96)} if bias else {}
    with checkpoints.open(written(tmp_path, tensors | more, config)) as checkpoint:
        assert np.array_equal(checkpoint[name].read().numpy(), weights)


# --- what a survey and its totals make of them ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("public", "name", "count", "bits"),
    [
        ("huggingface.js#2003, ome#638", "pack-quantized", 3072, 4.54),
        ("colibri#83", "NVFP4 of ModelOpt", 3072, 4.52),
        ("huggingface.js#2323", "MXFP4 of gpt-oss", 6144, 4.25),
        ("hub-docs#2704, omlx#2634", "MLX in groups of 64", 6144, 4.5),
        ("vllm#16745", "int8 by rows", 3072, 8.17),
        ("abliterix#93", "FP8 in blocks", 60000, 8.0),
    ],
)
def test_totals_count_weights_not_bytes(tmp_path, public, name, count, bits):
    tensors, files, _ = LAYOUTS[name](np.random.default_rng(0))
    table = rl.survey(written(tmp_path, tensors, files), "fp8_row", progress=False)
    assert rl.totals(table).compressed.tolist() == [count] and table.stored[0] == pytest.approx(bits, abs=0.02)


@pytest.mark.parametrize("name", ["descale", "of_its_own"])
def test_bytes_whose_scale_is_unknown_leave_no_recommendation(tmp_path, name):
    """By a name beside them, or by nothing but their range."""
    codes, scale = (torch.randn(64, 64) * 100).clamp(-448, 448), {name: torch.rand(64, 1)} if name == "descale" else {}
    codes[0, 0] = 448
    tensors = {"weight": codes.to(torch.float8_e4m3fn)} | scale
    tensors |= {f"{part}": torch.randn(256, 256) for part in ("sound",)}
    save_file(
        {f"{'other' if part == 'sound' else STEM}.{part}": value for part, value in tensors.items()}, tmp_path / "a"
    )
    table = rl.survey(tmp_path / "a", "int4/g64", progress=False)
    assert rl.totals(table).measured.iloc[0] > 0.9
    assert summing.doubt(table).startswith("Floats of 8 bits have a scale that is unknown: codes, not measured")
    assert table.set_index("name").bits[f"{STEM}.weight"] == pytest.approx(8, rel=0.1)


@pytest.mark.parametrize("kind", [torch.float32, torch.bool, torch.uint8])
def test_a_pruned_weight_is_its_original_times_its_mask(tmp_path, kind):
    weight, left = torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), torch.arange(48).view(6, 8) % 3 > 0
    tensors = {"up.weight_orig": weight, "up.weight_mask": left.to(kind), "down.weight_orig": weight.clone()}
    with checkpoints.open(written(tmp_path, tensors)) as checkpoint:
        assert {tensor.name for tensor in checkpoint.tensors} == {"up.weight", "down.weight_orig"}
        assert torch.equal(checkpoint["up.weight"].read(), weight * left)
        assert torch.equal(checkpoint["up.weight"].rows(2, 4), (weight * left)[2:4])


def test_a_mask_of_another_shape_leaves_no_weight(tmp_path):
    with (
        checkpoints.open(written(tmp_path, {"up.weight_orig": real(6, 8), "up.weight_mask": real(6, 1)})) as checkpoint,
        pytest.raises(ValueError, match=r"up\.weight_mask has another shape"),
    ):
        checkpoint["up.weight"].read()


@pytest.mark.parametrize("offset", [0, 8])
def test_bytes_of_two_codes_are_not_read_as_one_each(tmp_path, offset):
    """Nothing says so but how often their halves occur; int8 of Gaussian weights, and int4 kept in bytes, are read."""
    weight = torch.randn(64, 128, generator=torch.Generator().manual_seed(0)) / 3
    four = (7 * weight).round().clamp(-8, 7).int()
    two = ((four[:, 1::2] + offset) << 4) | ((four[:, 0::2] + offset) & 15)
    kinds = {"two": two & 255, "wide": (127 * weight).round().clamp(-127, 127).int() & 255, "narrow": four & 255}
    for name, codes in kinds.items():
        scale = torch.ones(64, 1)
        file = written(tmp_path, {"up.weight": codes.to(torch.uint8).view(torch.int8), "up.weight_scale": scale})
        with checkpoints.open(file) as checkpoint:
            if name == "two":
                with pytest.raises(ValueError, match="as of two codes of 4 bits each"):
                    checkpoint["up.weight"].read()
            else:
                assert checkpoint["up.weight"].read().std() > 1


@pytest.mark.parametrize("ordered", [True, False])
def test_gptq_without_its_order_is_read_where_groups_are_neighbours(tmp_path, ordered):
    tensors, files, weights = LAYOUTS["GPTQ"](np.random.default_rng(0))
    tensors = {name: value for name, value in tensors.items() if not name.endswith("g_idx")}
    files["config.json"]["quantization_config"]["desc_act"] = ordered
    with checkpoints.open(written(tmp_path, tensors, files)) as checkpoint:
        (tensor,) = checkpoint.tensors
        if not ordered:
            assert np.allclose(tensor.read().double(), weights, rtol=1e-6)
            return
        with pytest.raises(ValueError, match="no g_idx lies beside them, and desc_act says"):
            tensor.read()


GROUPS = {"config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int"}}}}


@pytest.mark.parametrize("said", [{"bits": 4}, GROUPS], ids=["bits", "num_bits"])
@pytest.mark.parametrize("most", [7, 8])
def test_bytes_that_hold_more_than_the_bits_of_the_config_are_not_read(tmp_path, said, most):
    codes = torch.tensor([[-8, most], [0, 1]], dtype=torch.int8)
    tensors = {"up.weight": codes, "up.weight_scale": real(2, 1)}
    config = {"quantization_config": {"quant_method": "compressed-tensors"} | said}
    with checkpoints.open(written(tmp_path, tensors, {"config.json": config})) as checkpoint:
        if most == 7:
            assert torch.equal(checkpoint["up.weight"].read(), codes * 0.5)
            return
        with pytest.raises(ValueError, match="of 4 bits by the config, and these bytes hold more"):
            checkpoint["up.weight"].read()


def test_a_scale_of_e8m0_that_is_nan_is_not_called_infinite(tmp_path):
    tensors, files, _ = LAYOUTS["MXFP4 of gpt-oss"](np.random.default_rng(0))
    scales = next(name for name in tensors if name.endswith("scales"))
    tensors[scales].view(-1)[0] = 255
    note = rl.survey(written(tmp_path, tensors, files), "int4", progress=False).note.iloc[0]
    assert note.startswith("32 NaN and 0 infinite values")


SWIZZLED = {
    "NVFP4": ({"weight_scale": (256, 8), "weight_scale_2": ()}, torch.float8_e4m3fn),
    "MXFP4": ({"weight_scale": (256, 4)}, torch.float8_e8m0fnu),
    "MXFP8": ({"weight_scale": (256, 2)}, torch.float8_e8m0fnu),
}
WRITERS = {
    "torchao": ({"config.json": {"quantization_config": {"quant_method": "torchao"}}}, None),
    "ComfyUI": ({}, {"_quantization_metadata": '{"layers": {}}'}),
    "nobody": ({}, None),
    "ModelOpt": ({"hf_quant_config.json": {"quantization": {"quant_algo": "NVFP4"}}}, None),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", SWIZZLED)
def test_scales_that_may_lie_in_another_order_are_not_taken_as_they_lie(tmp_path, name, writer):
    """ComfyUI#15511, torchao's is_swizzled_scales: the shapes are the same where rows are a multiple of 128."""
    (parts, dtype), (files, about) = SWIZZLED[name], WRITERS[writer]
    codes = whole(256, 64, dtype=torch.uint8).view(torch.float8_e4m3fn if name == "MXFP8" else torch.uint8)
    tensors = {"l.up_proj.weight": codes}
    for part, shape in parts.items():
        tensors[f"l.up_proj.{part}"] = torch.ones(shape).to(dtype if shape else torch.float32)
    save_file(tensors, tmp_path / "model.safetensors", metadata=about)
    for file, content in files.items():
        (tmp_path / file).write_text(json.dumps(content))
    with checkpoints.open(tmp_path) as checkpoint:
        (tensor,) = checkpoint.tensors
        if writer in ("torchao", "ComfyUI"):
            with pytest.raises(ValueError, match=rf"{writer.lower()} may keep such scales in another order"):
                tensor.read()
        else:
            assert tensor.read().isfinite().all() and ("in the order of their blocks" in tensor.note) == (
                writer == "nobody"
            )


@pytest.mark.parametrize(
    ("packing", "zero", "subtracts"),
    [("auto_round:auto_gptq", 4, 5), ("auto_round", 4, None), ("auto_round", 7, 8), ("auto_round", 8, 8)],
)
def test_zeros_of_auto_round_are_read_where_their_version_shows(tmp_path, packing, zero, subtracts):
    """Its "triton" packing keeps zeros as they are, "triton_zp+-1" one less (auto_round/inference/backend.py)."""
    numbers = {"qweight": 0x33333333, "qzeros": zero * 0x11111111}
    tensors = {
        f"l.{part}": torch.full((16, 64), value - 2**32 * (value >= 2**31), dtype=torch.int32)
        for part, value in numbers.items()
    }
    tensors["l.qzeros"] = tensors["l.qzeros"][:1, :8].contiguous()
    tensors["l.scales"] = torch.full((1, 64), 0.5, dtype=torch.float16)
    config = {"quantization_config": {"quant_method": "auto-round", "packing_format": packing, "bits": 4, "sym": False}}
    with checkpoints.open(written(tmp_path, tensors, {"config.json": config})) as checkpoint:
        if subtracts is None:
            with pytest.raises(ValueError, match="AutoRound's own packing leaves open whether"):
                checkpoint["l.weight"].read()
        else:
            assert checkpoint["l.weight"].read().unique().tolist() == [(3 - subtracts) * 0.5]


def test_gptq_without_a_config_says_what_is_assumed_of_its_zeros(tmp_path):
    tensors, files, _ = LAYOUTS["GPTQ"](np.random.default_rng(0))
    (tmp_path / "other").mkdir()
    for folder, kept, note in (tmp_path, files, False), (tmp_path / "other", {}, True):
        with checkpoints.open(written(folder, tensors, kept)) as checkpoint:
            assert ("zeros are taken as AutoGPTQ keeps them" in checkpoint.tensors[0].note) == note


@pytest.mark.parametrize(("symmetric", "version", "stored"), [(True, "gptq", 7), (True, "gptq", 8), (False, "gptq", 8)])
def test_zeros_of_symmetric_codes_are_the_middle_or_of_another_version(tmp_path, symmetric, version, stored):
    """GPTQModel keeps zeros as they are in its second version: read as the first, each weight is a step too low."""
    tensors, files, _ = LAYOUTS["GPTQ"](np.random.default_rng(0))
    tensors[f"{STEM}.qzeros"][:] = int(f"0x{str(stored) * 8}", 16) - 2**32 * (stored == 8)
    files["config.json"]["quantization_config"] |= {"sym": symmetric, "checkpoint_format": version}
    with checkpoints.open(written(tmp_path, tensors, files)) as checkpoint:
        if symmetric and stored == 8:
            with pytest.raises(ValueError, match=r"says that they are symmetric, and their zeros.* are not the middle"):
                checkpoint.tensors[0].read()
        else:
            assert checkpoint.tensors[0].read().isfinite().all()


def test_codes_whose_zero_is_nought_are_no_weights(tmp_path):
    """AWQ with zero_point false may write zeros for its zeros, where 8 is meant."""
    tensors, files, _ = LAYOUTS["AWQ"](np.random.default_rng(0))
    note = "all of its values have one sign, as codes have whose zero is not known"
    for folder, told in ("as written", ""), ("nought", note):
        (tmp_path / folder).mkdir()
        if told:
            tensors[f"{STEM}.qzeros"].zero_()
        table = rl.survey(written(tmp_path / folder, tensors, files), "int4", progress=False)
        assert table.note.iloc[0] == told or (not told and table.outcome.iloc[0] == "measured")
        assert bool(summing.doubt(table)) == bool(told)


def blocks_of_16(height, width, structured):
    """The tensors of a matrix in NVFP4, rounded here, and the places of its scales in the order of a kernel."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(height, width, generator=generator)
    if structured:
        x *= (0.3 * torch.randn(height, 1, generator=generator)).exp()
        x *= (0.3 * torch.randn(1, width, generator=generator)).exp()
    scale = x.view(height, -1, 16).abs().amax(-1) / 6
    codes = torch.randint(256, (height, width // 2), generator=generator).byte()  # which values they are is no matter
    scale = (scale / scale.max() * 448).to(torch.float8_e4m3fn)
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width // 16), indexing="ij")
    tile = row // 128 * (width // 64) + column // 4
    place = tile * 512 + row % 32 * 16 + row % 128 // 32 * 4 + column % 4
    return {"weight": codes, "weight_scale": scale, "weight_scale_2": torch.tensor(0.01)}, place


@pytest.mark.parametrize("said", [{}, {"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}])
@pytest.mark.parametrize("structured", [True, False])
def test_scales_in_the_order_of_a_kernel_are_known_where_rows_and_columns_differ(tmp_path, structured, said):
    """Where they do not, any order of the scales gives the same errors."""
    tensors, place = blocks_of_16(256, 512, structured)
    moved = torch.empty(place.numel(), dtype=torch.uint8)
    moved[place.view(-1)] = tensors["weight_scale"].view(torch.uint8).view(-1)
    swizzled = tensors | {"weight_scale": moved.view(torch.float8_e4m3fn).view(256, 32)}
    for folder, parts in ("plain", tensors), ("swizzled", swizzled):
        (tmp_path / folder).mkdir()
        parts = {f"l.up_proj.{name}": part for name, part in parts.items()}
        with checkpoints.open(written(tmp_path / folder, parts, {"config.json": said})) as checkpoint:
            if structured and folder == "swizzled":
                with pytest.raises(ValueError, match=r"in the order of a kernel \(swizzled\)"):
                    checkpoint.tensors[0].rows(3, 5)
            else:
                assert checkpoint.tensors[0].rows(3, 5).isfinite().all()


@pytest.mark.parametrize(
    "said",
    [
        {"quant_method": "quark", "algo_config": [{"name": "awq"}, {"name": "quarot"}]},
        {"quant_method": "compressed-tensors", "transform_config": {"config_groups": {"R1": {"type": "hadamard"}}}},
    ],
)
@pytest.mark.parametrize("in_header", [True, False])
def test_what_turns_inputs_is_found_by_its_name_and_in_a_header(tmp_path, said, in_header):
    codes = {"up.weight": torch.ones(64, 64, dtype=torch.int8), "up.weight_scale": torch.ones(64, 1)}
    save_file(codes, tmp_path / "model.safetensors", {"quantization_config": json.dumps(said)} if in_header else None)
    if not in_header:
        (tmp_path / "config.json").write_text(json.dumps({"quantization_config": said}))
    with checkpoints.open(tmp_path) as checkpoint:
        assert "inputs may be rotated before its matrices" in checkpoint.changes.told
    save_file(codes, tmp_path / "model.safetensors", {"quantization_config": "int8"})
    (tmp_path / "config.json").write_text(json.dumps({"quantization_args": {"rotation": "spinquant"}}))
    with checkpoints.open(tmp_path) as checkpoint:
        assert checkpoint.changes.what == "rotation"
    (tmp_path / "config.json").unlink(missing_ok=True)
    with checkpoints.open(tmp_path) as checkpoint:
        assert not checkpoint.changes and checkpoint["up.weight"].read().eq(1).all()


def test_floats_that_the_config_calls_quantised_have_a_word(tmp_path):
    """A dequantised copy keeps its config; and bitsandbytes rounds as it loads."""
    about = {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    tensors, _, _ = LAYOUTS["GPTQ"](np.random.default_rng(0))
    cache = {"quantization_config": {"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"}}
    dense = {"up.weight": real(64, 64)}
    for i, (config, inside, told) in enumerate(
        [
            *((about, dense, True), (about, tensors, False), ({}, dense, False), (cache, dense, False)),
            ({"quantization_config": "gptq"}, dense, True),
        ]
    ):
        (tmp_path / str(i)).mkdir()
        with checkpoints.open(written(tmp_path / str(i), inside, {"config.json": config})) as checkpoint:
            assert ("it is said to be quantised" in " ".join(checkpoint.remarks)) == told


def test_a_scale_that_is_inverted_has_a_word(tmp_path):
    codes = (
        torch.randn(64, 64, generator=torch.Generator().manual_seed(0)).clamp(-3, 3).mul(100).to(torch.float8_e4m3fn)
    )
    for name, factor in ("right", 1e-4), ("inverted", 1e4):
        (tmp_path / name).mkdir()
        tensors = {"up.weight": codes, "up.weight_scale": torch.tensor(factor)}
        table = rl.survey(written(tmp_path / name, tensors), "int4/g64", progress=False)
        assert ("as of a scale that is missing or inverted" in table.note.iloc[0]) == (name == "inverted")
        assert ("of a size that no trained model has" in summing.doubt(table)) == (name == "inverted")


@pytest.mark.parametrize("factor", [1.0, 1e6, 1e-12])
def test_floats_of_a_size_that_no_matrix_has_leave_no_recommendation(tmp_path, factor):
    """Bits of F16 that are called BF16 are about 1e-16."""
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    wrong = (x / 50).half().view(torch.bfloat16) if factor < 1 else x * factor
    tensors = {"l.up_proj.weight": wrong, "l.down_proj.weight": x / 50, "l.gate_proj.weight": wrong.clone()}
    table = rl.survey(written(tmp_path, tensors), "int4/g64", progress=False)
    assert table.outcome.tolist().count("strange") == (0 if factor == 1 else 2)
    assert summing.doubt(table).startswith("Most of its weights are of a size") == (factor != 1)
    tensors["l.gate_proj.weight"] = x / 50
    assert not summing.doubt(rl.survey(written(tmp_path, tensors), "int4/g64", progress=False))


def test_a_parameter_of_all_experts_may_have_what_changes_it(tmp_path):
    experts = torch.randn(4, 64, 96)
    tensors = {"l.experts.gate_up_proj": experts, "l.experts.gate_up_proj_scale": torch.rand(4, 64, 1)}
    tensors["l.experts.gate_up_proj_bias"] = torch.rand(4, 64)
    with checkpoints.open(written(tmp_path, tensors, {"config.json": {"model_type": "qwen3_moe"}})) as checkpoint:
        names = {tensor.name for tensor in checkpoint.tensors}
        assert names == {"l.experts.gate_up_proj", "l.experts.gate_up_proj_bias"}
        assert checkpoint.changes.what == "l.experts.gate_up_proj_scale"


def test_what_changes_the_eyes_of_a_model_is_no_doubt_of_its_decoder(tmp_path):
    """Gemma's towers keep the ranges that their matrices' inputs are clipped to."""
    tensors = {"model.embed_tokens.weight": torch.randn(100, 32), "model.layers.0.up_proj.weight": torch.randn(64, 32)}
    tensors |= {"vision_tower.up_proj.weight": torch.randn(64, 32), "vision_tower.up_proj.input_max": torch.ones(())}
    with checkpoints.open(written(tmp_path, tensors)) as checkpoint:
        assert not checkpoint.changes and checkpoint["vision_tower.up_proj.weight"].unapplied == ("input_max",)
