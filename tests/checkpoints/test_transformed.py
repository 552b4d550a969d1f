"""Any family of transformers, layer by layer, against the whole model, and the plain Llama against both."""

import json
import re

import pytest
import torch
from pretend_gpu import PretendGPU
from safetensors.torch import load_file, save_file
from tiny_llama import CONFIG, TEXT, TOKENIZER, hub, trained

transformers = pytest.importorskip("transformers", "5")

from tiny_families import FAMILIES, SIZES, written  # noqa: E402

import rholaw as rl  # noqa: E402
from rholaw.checkpoints import evaluating, llama, opening, transformed  # noqa: E402
from rholaw.checkpoints.roles import KEPT, is_matrix, role  # noqa: E402


def blocks():
    return llama.token_blocks(TOKENIZER, 280, TEXT, 3, 16)


@torch.no_grad()
def measured(model, rounded):
    """(mean KL, mean rise), nats per token, by two whole models."""
    before, after = (one(blocks()[:, :-1]).logits.double().log_softmax(-1) for one in (model, rounded))
    targets = blocks()[:, 1:, None]
    rise = (before - after).gather(-1, targets).mean()
    return float((before.exp() * (before - after)).sum(-1).mean()), float(rise)


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"gemma4_text", "glm_moe_dsa"}))
def test_layer_by_layer_it_is_the_whole_model(tmp_path, family):
    folder, model = written(tmp_path / family, family)
    ids = blocks()[:, :-1]
    with opening.open(folder) as checkpoint, torch.no_grad():
        layers = transformed.Transformed(checkpoint, torch.device("cpu"))
        x = layers.embedded(ids)
        layers.check(ids, lambda _: None)
        for index in range(layers.layers):
            x = layers.layer(index, lambda tensor: tensor.read().float(), lambda _: None, None)(x)
        logits = torch.stack([torch.cat([layers.head(0, 100)(row), layers.head(100, 280)(row)], -1) for row in x])
        matrices = sum(tensor.count for index in range(layers.layers) for tensor in layers.matrices(index))
        torch.testing.assert_close(logits, model(ids).logits, atol=2e-6, rtol=0)
    own = {name: weight for name, weight in model.named_parameters() if ".layers." in name or ".h." in name}
    assert matrices == sum(weight.numel() for weight in own.values() if weight.dim() > 1)


@pytest.mark.parametrize(("family", "key"), [("llama", "clip_qkv"), ("qwen3", "final_logit_softcapping")])
def test_a_key_that_its_class_ignores_is_refused(tmp_path, family, key):
    folder, _ = written(tmp_path / family, family)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: 8.0}))
    with opening.open(folder) as checkpoint, pytest.raises(ValueError, match=rf"'{key}' is 8.0, which transformers'"):
        transformed.Transformed(checkpoint, torch.device("cpu"))


@pytest.mark.parametrize(
    ("family", "keys", "refusal"),
    [
        ("mistral", {"is_causal": False}, "its layers look at later tokens too"),
        ("gemma3_text", {"use_bidirectional_attention": True}, "its layers look at later tokens too"),
        ("mistral", {"num_hidden_layers": 2}, r"it has 'model\.layers\.2\.input_layernorm\.weight'"),
        ("qwen3", {"vocab_size": 200}, r"embed_tokens\.weight is \(280, 32\), where its config asks for \(200, 32\)"),
        ("qwen3", {"rope_parameters": None, "partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5, which"),
        ("mistral", {"rope_scaling": {"type": "linear", "factor": 2.0}}, "disagree in rope_type"),
    ],
    ids=str,
)
def test_what_would_be_computed_otherwise_is_refused(tmp_path, family, keys, refusal):
    folder, _ = written(tmp_path / family, family)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | keys))
    with opening.open(folder) as checkpoint, torch.no_grad(), pytest.raises(ValueError, match=refusal):
        layers = transformed.Transformed(checkpoint, torch.device("cpu"))
        layers.embedded(blocks()[:, :-1])
        layers.check(blocks()[:, :-1], lambda _: None)


@pytest.mark.parametrize(
    ("family", "key"),
    [(name, "partial_rotary_factor") for name in ("phi", "phi3", "qwen3_next")] + [("gpt_neox", "rotary_pct")],
)
def test_heads_of_which_a_part_turns_are_computed(tmp_path, family, key):
    folder, model = written(tmp_path / family, family, **{key: 0.5})
    config = json.loads((folder / "config.json").read_text())
    config[key] = config.pop("rope_parameters")["partial_rotary_factor"]  # as older versions wrote it
    (folder / "config.json").write_text(json.dumps(config))
    assert config[key] == 0.5
    with opening.open(folder) as checkpoint, torch.no_grad():
        layers = transformed.Transformed(checkpoint, torch.device("cpu"))
        x = layers.embedded(blocks()[:, :-1])
        for index in range(layers.layers):
            x = layers.layer(index, lambda tensor: tensor.read().float(), lambda _: None, None)(x)
        logits = torch.stack([layers.head(0, 280)(row) for row in x])
        torch.testing.assert_close(logits, model(blocks()[:, :-1]).logits, atol=2e-6, rtol=0)


@pytest.mark.parametrize("family", ["qwen3", "gpt2", "mixtral", "qwen3_moe", "gpt_oss"])
def test_formats_round_what_the_file_has(tmp_path, family):
    folder, model = written(tmp_path / family, family)
    (tmp_path / "text").write_text(TEXT)
    table = rl.evaluate(folder, ["int4/g8", "nvfp4"], str(tmp_path / "text"), count=3, length=16, progress=False)
    weights = load_file(folder / "model.safetensors")
    for row in table.itertuples():
        format = rl.parse(row.format)
        turn = re.compile(r"\.c_\w+\.weight|experts\.\w+_proj$" if family.startswith("gpt") else "no")  # in × out
        rounded = {
            name: format.quantize(weight.mT).mT.contiguous() if turn.search(name) else format.quantize(weight)
            for name, weight in weights.items()
            if is_matrix(name, weight.shape) and role(name) not in KEPT
        }
        other = tmp_path / f"{family}-{row.Index}"
        model.save_pretrained(other)
        save_file(weights | rounded, other / "model.safetensors", {"format": "pt"})
        after = transformers.AutoModelForCausalLM.from_pretrained(other, experts_implementation="eager")
        assert (row.kl, row.rise) == pytest.approx(measured(model, after), rel=1e-3, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "more"),
    [
        ("qwen3", {"activations": "sint8/row", "cache": "sint8/row"}),
        ("gemma2", {"cache": "sint8/row"}),
        ("gpt2", {"activations": "fp8_row"}),
        ("bloom", {}),
        ("mixtral", {"cache": "sint8/row"}),
        ("gpt_oss", {}),
        ("deepseek_v3", {}),
        ("qwen3_next", {}),
        ("mamba2", {"activations": "sint8/row"}),
    ],
)
def test_on_a_gpu_it_says_the_same(tmp_path, family, more):
    folder, _ = written(tmp_path / family, family)
    (tmp_path / "text").write_text(TEXT)
    asked = {"text": str(tmp_path / "text"), "count": 2, "length": 12, "progress": False, **more}
    here = rl.evaluate(folder, "int4/g8", **asked)
    with PretendGPU() as gpu:
        there = rl.evaluate(folder, "int4/g8", device="cuda", **asked)
    for column in ("kl", "kl_stderr", "rise", "stderr", "loss"):
        assert there[column].to_numpy() == pytest.approx(here[column].to_numpy(), rel=1e-5, abs=1e-7)
    assert gpu.waits["__float__"] and not {"linear", "embedding", "scaled_dot_product_attention"} & gpu.on_host.keys()


@pytest.mark.parametrize("inner", [None, "sint8/row"])
def test_a_plain_llama_is_the_same_by_either(tmp_path, monkeypatch, inner):
    folder = hub(tmp_path / "plain", trained()[1], CONFIG | {"hidden_size": 32, "intermediate_size": 88}
                 | {"vocab_size": 280, "num_key_value_heads": 4})  # fmt: skip
    (tmp_path / "text").write_text(TEXT)
    asked = (folder, ["int4/g8", "int2/g8"], str(tmp_path / "text"))
    more = {"count": 4, "length": 16, "progress": False, "activations": inner}
    first = rl.evaluate(*asked, **more)
    monkeypatch.setattr(llama, "described", lambda *_: (_ for _ in ()).throw(ValueError("no")))
    second = rl.evaluate(*asked, **more, out=tmp_path / "out.csv")
    for column in ("kl", "rise", "loss"):
        assert second[column].to_numpy() == pytest.approx(first[column].to_numpy(), abs=1e-5)


def test_inputs_of_fused_experts_are_refused(tmp_path):
    folder, _ = written(tmp_path / "mixtral", "mixtral")
    (tmp_path / "text").write_text(TEXT)
    asked = {"count": 3, "length": 16, "progress": False, "activations": "fp8_row"}
    with pytest.raises(ValueError, match=r"the inputs of .*experts.* cannot be rounded"):
        rl.evaluate(folder, "int4", str(tmp_path / "text"), **asked)


def test_interrupted_it_goes_on_without_a_second_check(tmp_path, monkeypatch):
    folder, _ = written(tmp_path / "qwen3", "qwen3")
    (tmp_path / "text").write_text(TEXT)
    plain, done = transformed.Transformed.layer, []

    def step(self, index, read, inputs, kept):
        done.append(index)
        if len(done) == 4:
            raise KeyboardInterrupt
        return plain(self, index, read, inputs, kept)

    asked = {"count": 3, "length": 16, "progress": False, "out": tmp_path / "out.csv"}
    whole = rl.evaluate(folder, "int4", str(tmp_path / "text"), **asked | {"out": None})
    monkeypatch.setattr(transformed.Transformed, "layer", step)
    with pytest.raises(KeyboardInterrupt):
        rl.evaluate(folder, "int4", str(tmp_path / "text"), **asked)
    monkeypatch.setattr(transformed.Transformed, "check", None)
    assert rl.evaluate(folder, "int4", str(tmp_path / "text"), **asked).equals(whole)
    assert done == [0, 0, 1, 1, 1, 1, 2, 2]


def test_a_model_that_sees_as_well_is_run_by_its_text(tmp_path):
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.AutoConfig.for_model(
        "gemma3",
        text_config=SIZES | FAMILIES["gemma3_text"],
        vision_config=small | {"image_size": 28, "patch_size": 14},
    )
    model = transformers.AutoModelForImageTextToText.from_config(config).eval()
    model.save_pretrained(tmp_path)
    TOKENIZER.save(str(tmp_path / "tokenizer.json"))
    ids = blocks()[:, :-1]
    with opening.open(tmp_path) as checkpoint, torch.no_grad():
        layers = transformed.Transformed(checkpoint, torch.device("cpu"))
        x = layers.embedded(ids)
        for index in range(layers.layers):
            x = layers.layer(index, lambda tensor: tensor.read().float(), lambda _: None, None)(x)
        logits = torch.stack([layers.head(0, 280)(row) for row in x])
        torch.testing.assert_close(logits, model(input_ids=ids).logits, atol=2e-6, rtol=0)


def changed(folder, family, change, **more):
    """The folder with other tensors and config: ``change(tensors, config)``."""
    written(folder, family, **more)
    tensors, config = load_file(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
    change(tensors, config)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_what_cannot_be_run_is_refused(tmp_path):
    query = "model.layers.1.self_attn.q_proj"
    cases = {
        "it lacks model.layers.1.self_attn.q_proj.weight": ("qwen3", lambda t, c: t.pop(f"{query}.weight")),
        f"it has '{query}.bias', for which": ("qwen3", lambda t, c: t.update({f"{query}.bias": torch.zeros(32)})),
        "where its config asks for (32, 32)": ("qwen3", lambda t, c: t.update({f"{query}.weight": torch.ones(8, 32)})),
        "says that it has 1000000 layers": ("phi", lambda t, c: c.update(num_hidden_layers=10**6)),
        "its model_type is 'unheard-of', which transformers": ("qwen3", lambda t, c: c.update(model_type="unheard-of")),
        "and lm_head.weight is another matrix": (
            "qwen3",
            lambda t, c: (c.update(tie_word_embeddings=True), t.update({"lm_head.weight": torch.ones(280, 32)})),
        ),
        "which depends on the tokens or is shared": ("gemma4_text", lambda t, c: None),
        "prev_topk_indices, which depends on the layers before or is shared by layers: none runs alone": (
            "glm_moe_dsa",  # GLM-5, whose layers may take over what the one before chose
            lambda t, c: None,
        ),
        "says that it has 0 layers": ("phi", lambda t, c: c.update(num_hidden_layers=0)),
    }
    (tmp_path / "text").write_text(TEXT)
    for number, (message, (family, change)) in enumerate(cases.items()):
        folder = changed(tmp_path / str(number), family, change)
        with pytest.raises(ValueError) as error:
            rl.evaluate(folder, "int4", str(tmp_path / "text"), count=3, length=16, progress=False)
        assert message in str(error.value) and len(str(error.value)) <= 500


def test_a_model_that_is_not_what_its_layers_are_is_refused(tmp_path, monkeypatch):
    folder, _ = written(tmp_path / "qwen3", "qwen3")
    with opening.open(folder) as checkpoint, torch.no_grad():
        layers = evaluating.described(checkpoint, torch.device("cpu"))
        layers.embedded(blocks()[:, :-1])
        ahead = layers.head
        monkeypatch.setattr(layers, "head", lambda start, stop: lambda x: 1.01 * ahead(start, stop)(x))
        with pytest.raises(ValueError, match="layer by layer its logits are not those"):
            layers.check(blocks()[:, :-1], lambda _: None)


@pytest.mark.parametrize(("family", "share"), [("qwen3", 1), ("mixtral", 0.5), ("gpt_oss", 0.5), ("deepseek_v3", 0.5)])
def test_the_share_of_experts_that_a_token_goes_through(tmp_path, family, share):
    folder, _ = written(tmp_path / family, family)
    with opening.open(folder) as checkpoint:
        assert transformed.Transformed(checkpoint, torch.device("cpu")).used == share
