"""Checkpoints that were rounded before say what the plain files of their rounded values say, by either decoder."""

import json

import numpy as np
import pytest
import torch
from quantised_files import E2M1, packed
from safetensors.torch import load_file, save_file
from tiny_families import written
from tiny_llama import TEXT, hub, trained

import rholaw as rl
from rholaw.checkpoints import llama, llama_keys, opening


def gptq(name, weight):
    """({tensor of the file}, what they stand for): int4 with a scale for each 8 inputs, as GPTQModel packs them."""
    grouped = weight.unflatten(1, (-1, 8))
    scales = (grouped.abs().amax(-1) / 7).half()
    codes = (grouped / scales.float()[..., None]).round().clamp(-8, 7).int() + 8
    stem, groups = name.removesuffix(".weight"), scales.shape[1]
    tensors = {"qweight": packed(codes.flatten(1).numpy(), 4).T.contiguous(), "scales": scales.T.contiguous()}
    tensors["qzeros"] = packed(np.full((groups, len(weight)), 7), 4)
    tensors["g_idx"] = torch.arange(weight.shape[1]).int() // 8
    values = ((codes - 8) * scales.float()[..., None]).flatten(1)
    return {f"{stem}.{part}": tensor for part, tensor in tensors.items()}, values


def fp8(name, weight):
    """The same: float8 with a scale for each 128 × 128, as DeepSeek stores them."""
    height, width = weight.shape
    blocks = [part.split(128, 1) for part in weight.split(128)]
    scale = torch.tensor([[float(part.abs().max()) / 448 for part in row] for row in blocks])
    spread = scale.repeat_interleave(128, 0)[:height].repeat_interleave(128, 1)[:, :width]
    codes = (weight / spread).to(torch.float8_e4m3fn)
    return {name: codes, f"{name}_scale_inv": scale}, codes.float() * spread


def mxfp4(name, weight):
    """The same: experts (n, inputs, outputs) in blocks of 32 inputs, as gpt-oss stores them, outputs first."""
    grouped = weight.mT.unflatten(-1, (-1, 32))
    power = grouped.abs().amax(-1).log2().floor() - 2
    grid = torch.tensor(E2M1).abs()[:8]
    scaled = grouped * 2.0 ** -power[..., None]
    codes = (scaled.abs()[..., None] - grid).abs().argmin(-1)
    values = grid[codes] * scaled.sign() * 2.0 ** power[..., None]
    codes = (codes + 8 * (scaled < 0)).to(torch.uint8)
    tensors = {"blocks": codes[..., 0::2] | codes[..., 1::2] << 4, "scales": (power + 127).to(torch.uint8)}
    return {f"{name}_{part}": tensor for part, tensor in tensors.items()}, values.flatten(-2).mT.contiguous()


LAYOUTS = {
    "gptq": (
        gptq,
        {"quant_method": "gptq", "bits": 4, "group_size": 8, "desc_act": False, "checkpoint_format": "gptq"},
    ),
    "fp8": (fp8, {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"}),
    "mxfp4": (mxfp4, {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}),
}
WIDE = {"hidden_size": 192, "intermediate_size": 320, "head_dim": 48, "num_hidden_layers": 2}
CASES = {
    "gptq llama": ("gptq", "llama", {}),
    "gptq qwen3": ("gptq", "qwen3", {"num_key_value_heads": 4}),
    "gptq mixtral": ("gptq", "mixtral", {}),
    "fp8 llama": ("fp8", "llama", WIDE),
    "fp8 qwen3": ("fp8", "qwen3", WIDE),
    "fp8 qwen3_moe": ("fp8", "qwen3_moe", WIDE | {"moe_intermediate_size": 192}),
    "gpt-oss with square matrices down": ("mxfp4", "gpt_oss", {"intermediate_size": 32, "num_hidden_layers": 2}),
    "gpt-oss with square matrices up": ("mxfp4", "gpt_oss", {"hidden_size": 64, "intermediate_size": 32}),
    "gpt-oss without": ("mxfp4", "gpt_oss", {"hidden_size": 96, "intermediate_size": 64}),
}


def twins(folder, layout, family, **more):
    """(a folder with a model that is rounded, one with the rounded values in plain files)."""
    plain, _ = written(folder / "plain", family, **more)
    coded, _ = written(folder / "coded", family, **more)
    files, values = load_file(plain / "model.safetensors"), {}
    coder, about = LAYOUTS[layout]
    experts = "experts.gate_up_proj", "experts.down_proj"
    ends = experts if layout == "mxfp4" else ("_proj.weight", ".w1.weight", ".w2.weight", ".w3.weight")
    for name in [name for name in files if name.endswith(ends)]:
        tensors, values[name] = coder(name, files.pop(name))
        files |= tensors
    assert values
    save_file(files, coded / "model.safetensors", {"format": "pt"})
    config = json.loads((coded / "config.json").read_text())
    (coded / "config.json").write_text(json.dumps(config | {"quantization_config": about}))
    save_file(load_file(plain / "model.safetensors") | values, plain / "model.safetensors", {"format": "pt"})
    return coded, plain


@pytest.mark.parametrize(
    ("case", "own"), [(case, own) for case in CASES for own in (True, False) if "llama" in case or not own]
)
def test_it_is_what_the_rounded_values_say(tmp_path, monkeypatch, case, own):
    layout, family, more = CASES[case]
    if not own:
        monkeypatch.setattr(llama, "described", lambda *_: (_ for _ in ()).throw(ValueError("no")))
    (tmp_path / "text").write_text(TEXT)
    coded, plain = twins(tmp_path, layout, family, **more)
    asked = {"text": str(tmp_path / "text"), "count": 3, "length": 16, "progress": False, "activations": "dense"}
    first, second = (rl.evaluate(folder, ["int4/g8", "fp8_row"], **asked) for folder in (coded, plain))
    assert first.quantised.all() and not second.quantised.any()
    for column in ("loss", "kl", "rise"):
        assert first[column].to_numpy() == pytest.approx(second[column].to_numpy(), abs=1e-6)


FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic"}
ASKS = {
    "fp8": ("quantization_config", FP8),
    "older compressed-tensors": (
        "compression_config",
        {"quant_method": "compressed-tensors", "format": "float-quantized"},
    ),
    "a model that sees as well": ("text_config", {"quantization_config": FP8}),
    "8 bits of bitsandbytes": ("quantization_config", {"quant_method": "bitsandbytes", "load_in_8bit": True}),
}


@pytest.mark.parametrize("case", ASKS)
@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_whatever_may_round_inputs_asks_how(tmp_path, family, case):
    """Whether transformers is there or not: with it, another family ran with plain inputs and said nothing."""
    folder, _ = written(tmp_path / "model", family)
    config = json.loads((folder / "config.json").read_text())
    key, about = ASKS[case]
    (folder / "config.json").write_text(json.dumps(config | {key: about}))
    (tmp_path / "text").write_text(TEXT)
    with pytest.raises(ValueError, match=r"may round activations too: rl.evaluate is told how by activations: static,"):
        rl.evaluate(folder, "int4/g8", str(tmp_path / "text"), count=3, length=16, progress=False)


@pytest.mark.parametrize(
    ("file", "about", "asks"),
    [
        ("hf_quant_config.json", {"quantization": {"quant_algo": "FP8"}}, "'FP8'"),
        ("hf_quant_config.json", {"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}}, "'NVFP4'"),
        ("hf_quant_config.json", {"quantization": {"quant_algo": "W4A8_AWQ"}}, "'W4A8_AWQ'"),
        ("hf_quant_config.json", {"quantization": {"quant_algo": "FP8_PB_WO", "kv_cache_quant_algo": "FP8"}}, "_WO'"),
        ("hf_quant_config.json", {"quantization": {"quant_algo": "FP8_PB_WO", "kv_cache_quant_algo": None}}, ""),
        ("hf_quant_config.json", {"quantization": {"quant_algo": "W4A16_AWQ"}}, ""),
        ("quantize_config.json", {"bits": 4, "group_size": 8, "desc_act": False}, ""),
        ("quant_config.json", {"w_bit": 4, "q_group_size": 8, "version": "GEMM"}, ""),
    ],
)
def test_a_file_beside_the_config_asks_too(tmp_path, file, about, asks):
    """ModelOpt's own file says what config.json may leave out; algorithms as modelopt/torch/export names them."""
    folder = hub(tmp_path, trained()[1])
    (folder / file).write_text(json.dumps(about))
    with opening.open(folder) as checkpoint:
        if not asks:
            assert checkpoint.rounds_more == ""
            return
        with pytest.raises(ValueError, match=rf"{file} is of .*{asks}, which may round activations too"):
            llama_keys.refuse_rounded_inputs(checkpoint)


@pytest.mark.parametrize(
    "about",
    [{"quant_method": "mxfp4"}, {"quant_method": "bitsandbytes", "load_in_4bit": True}, {"bits": 4, "group_size": 8}],
    ids=str,
)
def test_what_rounds_weights_alone_does_not_ask(tmp_path, about):
    folder, _ = written(tmp_path / "model", "qwen3")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": about}))
    (tmp_path / "text").write_text(TEXT)
    assert len(rl.evaluate(folder, "int4/g8", str(tmp_path / "text"), count=3, length=16, progress=False)) == 1
