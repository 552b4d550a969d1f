"""Static scales of inputs and cache: what engines compute with them, by whole models, and the words around them."""

import json
import warnings
from types import SimpleNamespace

import pytest
import torch
from quantised_files import E2M1
from safetensors.torch import load_file, save_file
from tiny_llama import CONFIG, TEXT, hub

import rholaw as rl
from rholaw.checkpoints import llama, llama_tensors, opening

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*queries stay as they are"
)  # beside a cache in FP8, as a test below asks

INTO = {"embedding": (280, 64), "head": (280, 64), "gate": (96, 64), "up": (96, 64), "down": (64, 96)}
GRID = torch.tensor(E2M1[:8])


def fours(x, scale):
    """Values in blocks of 16 as NVFP4 gives them back, with this scale of the scales."""
    blocks = x.float().reshape(-1, 16)
    inner = (blocks.abs().amax(1, keepdim=True) / 6 / scale).clamp(max=448).to(torch.float8_e4m3fn).float() * scale
    codes = (blocks.abs() / inner.clamp(min=1e-30))[..., None].sub(GRID).abs().argmin(-1)
    return (GRID[codes] * blocks.sign() * inner).view(x.shape)


def nvfp4(weight):
    scale = float(weight.abs().max()) / 448 / 6
    blocks = weight.reshape(len(weight), -1, 16)
    inner = (blocks.abs().amax(-1) / 6 / scale).to(torch.float8_e4m3fn)
    scaled = blocks / (inner.float() * scale)[..., None]
    codes = ((scaled.abs()[..., None] - GRID).abs().argmin(-1) + 8 * (scaled < 0)).to(torch.uint8).flatten(1)
    tensors = {"weight": codes[:, 0::2] | codes[:, 1::2] << 4, "weight_scale": inner}
    return tensors | {"weight_scale_2": torch.tensor(scale)}, fours(weight, scale)


def bytes_of(weight, top, kind):
    scale = weight.abs().max() / top
    codes = (weight / scale).round().to(kind) if kind == torch.int8 else (weight / scale).to(kind)
    return {"weight": codes, "weight_scale": scale.reshape(1)}, codes.float() * scale


def eights(x, scale, zero=0):
    return ((x / scale).round() + zero).clamp(-128, 127).sub(zero) * scale


FP8 = lambda x, s: (x / s).clamp(-448, 448).to(torch.float8_e4m3fn).float() * s  # noqa: E731
KINDS = {  # how weights lie, what the file says of their inputs, and what engines make of them
    "fp8": (
        lambda w: bytes_of(w, 448, torch.float8_e4m3fn),
        {"input_scale": torch.tensor(0.004)},
        lambda x: FP8(x, 0.004),
    ),
    "fp8 that clips": (
        lambda w: bytes_of(w, 448, torch.float8_e4m3fn),
        {"input_scale": torch.tensor([0.001])},
        lambda x: FP8(x, 0.001),
    ),
    "int8": (
        lambda w: bytes_of(w, 127, torch.int8),
        {"input_scale": torch.tensor([0.02]), "input_zero_point": torch.tensor([5], dtype=torch.int8)},
        lambda x: eights(x, 0.02, 5),
    ),
    "nvfp4": (nvfp4, {"input_scale": torch.tensor(0.002)}, lambda x: fours(x, 0.002)),
    "nvfp4 that clips": (nvfp4, {"input_global_scale": torch.tensor([4096.0])}, lambda x: fours(x, 2.0**-12)),
}


@pytest.fixture
def coded(tmp_path):
    """kind → (a folder with codes and static scales, a text, the folder with the values of the codes)."""

    def made(kind, more=None):
        coder, said, _ = KINDS[kind]
        generator, weights = torch.Generator().manual_seed(0), {}
        for place, name in llama_tensors.all_names(2, 1, "model.layers").items():
            weight = torch.randn(INTO.get(place[1], (64, 64)), generator=generator)
            weights[place] = 1 + weight[0] / 5 if name.endswith("norm.weight") else weight / 8
        folder, plain = hub(tmp_path / "coded", weights), hub(tmp_path / "plain", weights)
        files, values = load_file(folder / "model.safetensors"), load_file(plain / "model.safetensors")
        for name in [name for name in files if name.endswith("_proj.weight")]:
            tensors, values[name] = coder(files.pop(name))
            tensors |= {part: tensor.clone() for part, tensor in said.items()}
            files |= {name.replace("weight", part): tensor for part, tensor in tensors.items()}
        save_file(files | (more or {}), folder / "model.safetensors")
        said = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(said | {"quantization_config": {"quant_method": "modelopt"}}))
        save_file(values, plain / "model.safetensors")
        (tmp_path / "text").write_text(TEXT)
        return folder, str(tmp_path / "text"), plain

    return made


def evaluate(folder, text, formats="dense", activations="dense", **more):
    return rl.evaluate(folder, formats, text, count=3, length=16, progress=False, activations=activations, **more)


def test_a_file_that_may_round_inputs_asks_how(coded):
    folder, text, _ = coded("fp8")
    with pytest.raises(ValueError, match=r"may round activations too: rl.evaluate is told how"):
        llama.load(folder)
    assert evaluate(folder, text).kl[0] == 0
    (folder / "config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(ValueError, match=r"down_proj.weight' has a static scale of its inputs.*is told how"):
        evaluate(folder, text, activations=None)


def logs(model, blocks):
    return model.logits(model._hidden(blocks[:, :-1])).double().log_softmax(-1)


def joined(folder, plain):
    """``plain`` with the FP8 weights that vLLM joins once more rounded, with the largest of their scales."""
    coded, values = load_file(folder / "model.safetensors"), load_file(plain / "model.safetensors")
    for layer in ("0", "1"):
        for names in (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj")):
            own = [name for name in values if f".{layer}." in name and any(part in name for part in names)]
            if coded[own[0]].dtype == torch.float8_e4m3fn:
                largest = max(float(coded[f"{name}_scale"]) for name in own)
                values |= {name: FP8(values[name], largest) for name in own}
    save_file(values, plain / "model.safetensors")
    return plain


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_static_scales_round_as_engines_do(coded, kind, monkeypatch):
    folder, text, plain = coded(kind)
    row, model = evaluate(folder, text, activations="static").iloc[0], llama.load(plain)
    blocks, linear = llama.blocks(model, TEXT, 3, 16), llama.F.linear
    before = logs(model, blocks)
    monkeypatch.setattr(llama.F, "linear", lambda x, *more: linear(KINDS[kind][2](x), *more))
    after = logs(llama.load(joined(folder, plain)), blocks)
    kl = float((before.exp() * (before - after)).sum(-1).mean())
    assert row.kl == pytest.approx(kl, rel=0.02) and kl > 1e-6
    assert row.activations == "static" and row.quantised


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_the_rule(coded, kind):
    x = 3 * torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    with opening.open(coded(kind)[0]) as checkpoint:
        step = checkpoint.scales.step(checkpoint["model.layers.1.mlp.up_proj.weight"])
        assert torch.allclose(step(x), KINDS[kind][2](x), atol=1e-6, rtol=0)
        assert checkpoint.scales.step(checkpoint["lm_head.weight"]) is None


def test_any_decoder_rounds_so(coded, monkeypatch):
    pytest.importorskip("transformers", "5")
    folder, text, _ = coded("fp8", {f"model.layers.0.self_attn.{what}_scale": torch.tensor(0.1) for what in "kv"})
    sizes = {"hidden_size": 64, "intermediate_size": 96, "vocab_size": 280, "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(CONFIG | sizes))
    first = evaluate(folder, text, activations="static").kl[0]
    monkeypatch.setattr(llama, "described", lambda *_: (_ for _ in ()).throw(ValueError("no")))
    assert evaluate(folder, text, activations="static").kl[0] == pytest.approx(first, rel=0.02)


def test_a_word_where_other_scales_are_used(coded):
    scales = {f"model.layers.{i}.self_attn.{what}_scale": torch.tensor(0.1) for i in range(2) for what in "kv"}
    folder, text, _ = coded("fp8", scales)
    told = r"input_scale 14 times, k_scale 2 times, v_scale 2 times"
    for asked in ({"activations": "fp8_row"}, {"cache": "fp8_row"}):
        with pytest.warns(UserWarning, match=rf"{told}.*; not here, where scales follow from what is rounded"):
            evaluate(folder, text, **asked)
    evaluate(folder, text)
    table = rl.survey(folder, "int4/g16", progress=False, fit=SimpleNamespace(families=()))
    assert told in table.attrs["remarks"][0]
    of_codes = table.quantised
    assert of_codes.sum() == 14 and not table.name.str.contains("scale").any()
    assert table.note[of_codes].str.contains("input_scale beside it: how engines round its inputs").all()
    assert not table.note[~of_codes].str.contains("scale").any()


def test_static_scales_that_are_not_there_or_not_known_are_refused(coded):
    folder, text, plain = coded("fp8")
    with pytest.raises(ValueError, match="none of its matrices has a static scale"):
        evaluate(plain, text, activations="static")
    name = "model.layers.1.mlp.up_proj.input_scale"
    files = load_file(folder / "model.safetensors")
    cases = {
        "no positive number by itself": {name: torch.rand(64)},
        "scaled by channels before": {name: torch.tensor(0.1), name.replace("input", "pre_quant"): torch.rand(64)},
        "has no static scale": {},
    }
    for message, more in cases.items():
        left = {key: value for key, value in files.items() if key != name}
        save_file(left | more, folder / "model.safetensors")
        with pytest.raises(ValueError, match=message):
            evaluate(folder, text, activations="static")


def test_a_scale_of_channels_before_the_rounding_belongs_to_the_weight(coded):
    """As ModelOpt's AWQ has it: its stored matrix is that of inputs that were scaled."""
    name, factors = "model.layers.0.mlp.up_proj.", 1 + torch.rand(64)
    folder, _, plain = coded("fp8", {f"{name}pre_quant_scale": factors})
    with opening.open(folder) as checkpoint, opening.open(plain) as other:
        values = checkpoint[f"{name}weight"].read()
        assert torch.allclose(values, other[f"{name}weight"].read() * factors)
        assert torch.equal(checkpoint[f"{name}weight"].rows(3, 5), values[3:5])


def changed(folder, values):
    """Other numbers in the file, by the ends of their names."""
    files = load_file(folder / "model.safetensors")
    for ending, value in values.items():
        files |= {name: torch.tensor(value) for name in files if name.endswith(ending)}
    save_file(files, folder / "model.safetensors")


JOINED = {  # what the file says of the inputs of q, k and v, and what vLLM makes of it for all three
    "fp8": ({"input_scale": (0.001, 0.003, 0.002)}, lambda x: FP8(x, 0.003)),
    "int8": (  # from −4.56, of the first, to 5.88, of the second, in 255 steps; −16.6 is cut
        {"input_scale": (0.02, 0.04, 0.01), "input_zero_point": (100, -20, 28)},
        lambda x: eights(x, 10.44 / 255, -16),
    ),
    "nvfp4 that clips": ({"input_global_scale": (1024.0, 8192.0, 2048.0)}, lambda x: fours(x, 2.0**-13)),
}


@pytest.mark.parametrize("kind", JOINED)
def test_matrices_that_an_engine_joins_have_one_scale(coded, kind):
    folder, (said, rule) = coded(kind)[0], JOINED[kind]
    for part, values in said.items():
        changed(folder, {f"{one}_proj.{part}": value for one, value in zip("qkv", values, strict=True)})
    x = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    with opening.open(folder) as checkpoint:
        steps = [checkpoint.scales.step(checkpoint[f"model.layers.1.self_attn.{one}_proj.weight"]) for one in "qkvo"]
    for step in steps[:3]:
        assert torch.allclose(step(x), rule(x), atol=1e-6, rtol=0)
    assert not torch.allclose(steps[3](x), rule(x))


@torch.no_grad()
def test_weights_that_vllm_joins_are_rounded_once_more_to_the_largest_scale(coded):
    """requantize_with_max_scale of vLLM (w8a8_utils.py): each is dequantised, and stored with the largest scale."""
    folder, text, _ = coded("fp8")
    names = [f"model.layers.0.self_attn.{one}_proj.weight" for one in "qkvo"]
    files = load_file(folder / "model.safetensors")
    files |= {
        f"{name}_scale": torch.tensor([scale]) for name, scale in zip(names, (0.001, 0.0013, 0.0009, 1), strict=True)
    }
    save_file(files, folder / "model.safetensors")
    with opening.open(folder) as checkpoint:
        for name, scale in zip(names, (0.0013, 0.0013, 0.0013, 1.0), strict=True):
            own = files[name].float() * files[f"{name}_scale"]
            stored = checkpoint.scales.weight(checkpoint[name], checkpoint[name].read())
            assert torch.allclose(stored, FP8(own, scale), atol=1e-7)
            assert torch.equal(stored, own) is (name in names[1::2])
        assert checkpoint.scales.rounded_anew == 3 + 3 + 2 * 2  # of layer 1 too, whose scales are their own
    assert evaluate(folder, text, activations="static").kl[0] > 0
    with pytest.warns(
        UserWarning,
        match=r"is rounded; 10 of its matrices have another scale than those that vLLM joins them",
    ):
        evaluate(folder, text, activations="fp8_row")


def attention_that_rounds(scales):
    """Attention that reads keys and values in FP8, by the scales of its layer: {layer: (of keys, of values)}."""
    attend, calls = llama.F.scaled_dot_product_attention, []

    def attention(query, key, value, **more):
        calls.append(None)
        key, value = (FP8(x, s) for x, s in zip((key, value), scales[(len(calls) - 1) % len(scales)], strict=True))
        return attend(query, key, value, **more)

    return attention


def kept(scale):
    return torch.tensor(scale) if isinstance(scale, float) else torch.tensor(scale)[:, None, None]


@pytest.mark.parametrize(
    ("names", "scales"),
    [
        (("k_scale", "v_scale"), [(0.002, 0.0005), (0.01, 0.004)]),
        (("k_proj.k_scale", "v_proj.v_scale"), [(0.002, 0.0005), (0.01, 0.004)]),
        (("k_proj.output_scale", "v_proj.output_scale"), [(0.002, 0.0005), (0.01, 0.004)]),
        (("kv_scale",), [(0.002, 0.002), (0.01, 0.01)]),
        (("k_scale", "v_scale"), [([0.01, 0.002, 0.001, 0.03], [0.002, 0.002, 0.001, 0.02])] * 2),
    ],
)
@torch.no_grad()
def test_static_scales_of_the_cache_round_as_vllm_does(coded, names, scales, monkeypatch):
    own = {
        f"model.layers.{i}.self_attn.{name}": kept(s) for i in (0, 1) for name, s in zip(names, scales[i], strict=False)
    }
    folder, text, plain = coded("fp8", own)
    row, model = evaluate(folder, text, cache="static").iloc[0], llama.load(plain)
    blocks = llama.blocks(model, TEXT, 3, 16)
    before = logs(model, blocks)
    rounding = {layer: tuple(map(kept, pair)) for layer, pair in enumerate(scales)}
    monkeypatch.setattr(llama.F, "scaled_dot_product_attention", attention_that_rounds(rounding))
    after = logs(model, blocks)
    assert row.kl == pytest.approx(float((before.exp() * (before - after)).sum(-1).mean()), rel=0.01) and row.kl > 1e-7
    assert row.cache == "static" and row.activations == ""


def test_any_decoder_keeps_so(coded, monkeypatch):
    pytest.importorskip("transformers", "5")
    more = {f"model.layers.{i}.self_attn.{one}_scale": torch.tensor(0.01 * i + 0.02) for i in (0, 1) for one in "kv"}
    folder, text, _ = coded("fp8", more)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "vocab_size": 280, "tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(CONFIG | sizes))
    first = evaluate(folder, text, cache="static").kl[0]
    monkeypatch.setattr(llama, "described", lambda *_: (_ for _ in ()).throw(ValueError("no")))
    assert evaluate(folder, text, cache="static").kl[0] == pytest.approx(first, rel=0.02)


@pytest.mark.parametrize(
    ("cache", "told"), [("static", True), ("fp8_row", True), ("sint8/row", False), ("nvfp4", False)]
)
def test_a_word_on_queries_beside_a_cache_in_fp8(coded, cache, told):
    scales = {f"model.layers.{i}.self_attn.{one}_scale": torch.tensor(0.02) for i in (0, 1) for one in "kv"}
    folder, text, plain = coded("fp8", scales)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        evaluate(folder if cache == "static" else plain, text, activations="dense", cache=cache)
    assert any("queries stay as they are" in str(warning.message) for warning in said) is told


def test_a_cache_without_scales_has_ones_and_a_word(coded):
    folder, text, _ = coded("fp8")
    with pytest.warns(UserWarning, match="2 of its 2 layers have no static scales of keys and values; they are 1"):
        assert evaluate(folder, text, cache="static").kl[0] > 0


def test_scales_of_the_cache_that_are_not_known_are_refused(coded):
    name = "model.layers.1.self_attn."
    folder, text, _ = coded("fp8")
    files = load_file(folder / "model.safetensors")
    own, ones = torch.tensor(0.1), torch.ones(1)
    cases = {
        "layer 1 has static scales of values alone": {"v_scale": own},
        "v_zero_point' is not zero": {"k_scale": own, "v_scale": own, "v_zero_point": ones},
        "k_scale' is no positive number": {"k_scale": -own, "v_scale": own},
        "k_scale' has 3 scales, where 4 heads have keys and values": {"k_scale": torch.ones(3), "v_scale": own},
        "are of the same layer": {"k_scale": own, "v_scale": own, "k_proj.k_scale": own},
    }
    for message, more in cases.items():
        save_file(files | {name + part: tensor.clone() for part, tensor in more.items()}, folder / "model.safetensors")
        with pytest.raises(ValueError, match=message):
            evaluate(folder, text, cache="static")
    save_file(files, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    for scheme in ({"kv_cache_quant_algo": "NVFP4"}, {"kv_cache_scheme": {"type": "int", "num_bits": 8}}):
        (folder / "config.json").write_text(json.dumps(config | {"quantization_config": scheme}))
        with pytest.raises(ValueError, match=r"keys and values are (nvfp4|int8) by its config"):
            evaluate(folder, text, cache="static")
