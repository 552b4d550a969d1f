"""What lies in checkpoints and is no weight: optimizers, averages, adapters; and what only looks like it."""

import json

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import rholaw as rl
from rholaw import checkpoints

X = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
MODEL = torch.nn.Linear(128, 64)


def optimizer(*moments):
    """The state of an optimizer after a step, in the form that torch gives it."""
    shapes = dict(enumerate(weight.shape for weight in MODEL.parameters()))
    state = {
        n: {"step": torch.tensor(1.0)} | {name: torch.ones(shape) for name in moments} for n, shape in shapes.items()
    }
    return {"state": state, "param_groups": [{"lr": 1e-3, "eps": 1e-8, "foreach": None, "params": [*shapes]}]}


def names(path):
    """(the names of the tensors, the remarks)."""
    with checkpoints.open(path) as checkpoint:
        return [tensor.name for tensor in checkpoint.tensors], " ".join(checkpoint.remarks)


def refused(path, message):
    with pytest.raises(ValueError, match=message) as caught:
        checkpoints.open(path)
    assert len(str(caught.value)) <= 500


# --- what training keeps ----------------------------------------------------------------------------------------------

NET, MOMENTS = ["weight", "bias"], optimizer("exp_avg", "exp_avg_sq")
LOOSE = {"exp_avg": {"w": X}, "exp_avg_sq": {"w": X}}  # an optimizer in a form of its own
TRAINERS = {
    "ignite": ({"net": MODEL.state_dict(), "optimizer": MOMENTS, "epoch": 3}, "net.", "'optimizer', the state of an"),
    "imagen": ({"model": MODEL.state_dict(), "optim0": MOMENTS, "steps": 1}, "", "'optim0', the state of an"),
    "a loose optimizer": (
        {"net": MODEL.state_dict(), "optimizer": LOOSE},
        "net.",
        "'optimizer', the state of training",
    ),
    "any name": ({"weights": MODEL.state_dict(), "adam": MOMENTS}, "weights.", "'adam', the state of an optimizer"),
    "two optimizers": ({"g": MODEL.state_dict(), "g_optim": LOOSE, "d_optim": LOOSE}, "g.", "'g_optim', .*'d_optim'"),
    "Lightning": (
        {
            "state_dict": MODEL.state_dict(),
            "optimizer_states": [MOMENTS],
            "lr_schedulers": [{"last_epoch": 1}],
            "callbacks": {"EarlyStopping": {"best_score": torch.tensor(1.0)}},
            "loops": {"fit_loop": {"state_dict": {}}},
            "pytorch-lightning_version": "2.5.0",
        },
        "",
        "'callbacks', the state of training",
    ),
    "Composer": (
        {"state": {"model": MODEL.state_dict(), "optimizers": {"AdamW": MOMENTS}}, "rng": [1]},
        "",
        "'optimizers'",
    ),
    "within the model": ({"model": {**MODEL.state_dict(), "inner": MOMENTS}}, "", "'inner', the state of an optimizer"),
    "DeepSpeed": ({"module": MODEL.state_dict(), "optimizer": None, "param_shapes": [{"w": X.shape}]}, "", ""),
    "Megatron": (
        {"model": MODEL.state_dict(), "rng_state": [{"cuda": X}], "iteration": 3, "opt": MOMENTS},
        "",
        "'opt'",
    ),
    "SGD": (
        {"net": MODEL.state_dict(), "sgd": optimizer("sum")},
        "net.",
        "'sgd', the state of an optimizer",
    ),
}


@pytest.mark.full  # torch's optimizers take as long to import as torch itself
@pytest.mark.parametrize(
    "kind, moments", [(torch.optim.AdamW, ["exp_avg", "exp_avg_sq"]), (torch.optim.Adagrad, ["sum"])]
)
def test_an_optimizer_of_torch_has_that_form(kind, moments):
    made, form = kind(MODEL.parameters(), lr=1e-3), optimizer(*moments)
    MODEL(torch.randn(3, 128)).sum().backward()
    made.step()
    real = made.state_dict()
    shapes = [{n: {name: x.shape for name, x in kept.items()} for n, kept in s["state"].items()} for s in (real, form)]
    assert shapes[0] == shapes[1] and real.keys() == form.keys()
    assert form["param_groups"][0].keys() <= real["param_groups"][0].keys()
    assert real["param_groups"][0]["params"] == form["param_groups"][0]["params"]


@pytest.mark.parametrize("name", TRAINERS)
def test_the_state_of_training_is_left_out_with_a_word(tmp_path, name):
    saved, prefix, message = TRAINERS[name]
    torch.save(saved, tmp_path / "ckpt.pt")  # ignite#1954, imagen-pytorch#166
    inside, remarks = names(tmp_path)
    assert inside == [prefix + key for key in NET]
    for part in message.split(".*"):
        assert part in remarks
    assert checkpoints.size(tmp_path) == 4 * (64 * 128 + 64)  # the share of bytes that a format takes is of the model


def test_only_the_model_is_surveyed(tmp_path):
    torch.save(TRAINERS["ignite"][0], tmp_path / "ckpt.pt")
    with pytest.warns(UserWarning, match="left out: 'optimizer', the state of an optimizer"):
        table = rl.survey(tmp_path, "int4", progress=False)
    assert rl.totals(table)[["parameters", "worst"]].iloc[0].tolist() == [8256, "net.weight"]
    assert table.attrs["remarks"] == ["left out: 'optimizer', the state of an optimizer"]


@pytest.mark.parametrize(
    "saved",
    [MOMENTS, {"optimizer": MOMENTS}, {"optimizer": LOOSE}, {"state": {"w": LOOSE}, "param_groups": []}, [MOMENTS]],
)
def test_an_optimizer_alone_is_refused(tmp_path, saved):
    torch.save(saved, tmp_path / "optimizer.pt")
    refused(tmp_path / "optimizer.pt", "holds no model; left out: .*the state of|holds no tensors by name")
    refused(tmp_path, "holds no model, only what training keeps beside it: optimizer.pt")


def test_an_optimizer_by_the_names_of_its_tensors(tmp_path):
    save_file({"exp_avg.w": X, "exp_avg_sq.w": X.clone(), "state.0.step": torch.ones(1)}, tmp_path / "a.safetensors")
    assert names(tmp_path)[0] == ["state.0.step"]
    state = {"optimizer.0.exp_avg": X, "optimizer.0.exp_avg_sq": X.clone(), "optimizer.0.step": torch.ones(1)}
    save_file(state, tmp_path / "a.safetensors")
    refused(tmp_path, "a.safetensors holds the state of an optimizer, not a model")
    save_file(state | {"w": X.clone()}, tmp_path / "a.safetensors")
    inside, remarks = names(tmp_path)
    assert inside == ["w"] and remarks == "left out: 3 tensors of an optimizer, as 'optimizer.0.exp_avg'"


@pytest.mark.parametrize(
    "name",
    [
        *("optimizer.state.l.weight.momentum", "optim.l.weight.buf", "optimizer.state.fp32_param.l.weight"),
        *("l.weight.grad", "master_params.l.weight", "fp32_master.l.weight", "master.l.weight", "fp32.l.weight"),
        *("main_params.l.weight", "fp32_from_fp16.l.weight", "l.weight.fp32_master", "shadow_params.l.weight"),
    ],
)
def test_what_training_keeps_by_the_name_of_a_weight_is_left_out(tmp_path, name):
    save_file({"l.weight": X.half(), name: X}, tmp_path / "a.safetensors")
    inside, remarks = names(tmp_path)
    assert inside == ["l.weight"] and remarks == f"left out: 1 tensors of training, as '{name}'"


def test_the_module_that_another_took_the_place_of_is_left_out(tmp_path):
    """PEFT's modules_to_save, in a model that was saved without merging."""
    head = {"lm_head.original_module.weight": X, "lm_head.modules_to_save.default.weight": X + 1}
    save_file(head, tmp_path / "a.safetensors")
    assert names(tmp_path)[0] == ["lm_head.modules_to_save.default.weight"]


REAL = {
    "gradients of nothing": {"optimizer.proj.weight": X, "grads.weight": X + 1, "proj.weight": X[:2]},
    "a head": {"optimizer_head.weight": X, "optimizer.weight": X + 1, "scheduler.proj.weight": X + 2},
    "a nested head": {"optimizer_head": {"weight": X}, "model_optimizer_head": {"weight": X[:5]}},
    "in the model": {"model": {"optimizer": {"weight": X}, "callbacks": {"weight": X + 1}}},
    "a state": {"state": {"weight": X}, "other": {"weight": X[:2]}},
    "two towers": {"query": {"w": X[:3]}, "passage": {"w": X[:4]}},
    "an average of another shape": {"net": {"w": X}, "net_ema": {"w": X[:5]}},
    "an average alone": {"ema": {"w": X}},
    "loras that are weights": {"l.w_lora.lora.0.weight": X, "l.w_lora.lora.2.weight": X, "l.lora_norm.weight": X[:2]},
    "sliding windows": {"swa.q.weight": X, "full.q.weight": X + 1},
    "words": {"schema.q.weight": X, "full.q.weight": X, "lemma.q.weight": X, "gemma.q.weight": X},
    "a momentum encoder": {"encoder_q.w": X, "encoder_k.w": X + 1},
    "exp": {"exp_average.w": X, "avg.w": X + 1},
    "a master of nothing": {"fp32_master.w": X, "master.l.w": X + 1, "master_head.w": X, "head.w": X + 1},
}


@pytest.mark.parametrize("name", REAL)
def test_weights_with_such_names_stay(tmp_path, name):
    def count(value):
        return value.numel() if torch.is_tensor(value) else sum(map(count, value.values()))

    torch.save(REAL[name], tmp_path / "a.pt")
    with checkpoints.open(tmp_path) as checkpoint:
        assert sum(tensor.count for tensor in checkpoint.tensors) == count(REAL[name])
        assert checkpoint.remarks == ()


# --- two copies of the weights ----------------------------------------------------------------------------------------

AVERAGES = {
    "timm": {"state_dict": {"w": X}, "state_dict_ema": {"w": X + 1}},
    "Real-ESRGAN": {"params": {"w": X}, "params_ema": {"w": X + 1}},
    "StyleGAN": {"g": {"w": X}, "g_ema": {"w": X + 1}},
    "YOLO": {"model": {"w": X}, "ema": {"w": X + 1}, "updates": 3},
    "a decay beside": {"net": {"w": X}, "model_ema": {"w": X + 1}, "decay": torch.tensor(0.9)},
    "Stable Diffusion": {"model.diffusion_model.in.0.w": X, "model_ema.diffusion_modelin0w": X + 1},
    "flat": {"model.w": X, "ema.w": X + 1},
    "denoising": {"online_model.net.w": X, "ema_model.net.w": X + 1},
    "Lightning": {"state_dict": {"net.w": X, "net_ema.module.w": X + 1}},
}


@pytest.mark.parametrize("name", AVERAGES)
def test_an_average_of_the_weights_is_not_counted_twice(tmp_path, name):
    torch.save(AVERAGES[name], tmp_path / "a.ckpt")
    with checkpoints.open(tmp_path) as checkpoint:
        (tensor,) = (tensor for tensor in checkpoint.tensors if tensor.count > 1)
        assert torch.equal(tensor.read(), X) and "a running average" in "".join(checkpoint.remarks)


def stack(mark):
    """A model of three layers, each of its tensors by a name that ``mark`` makes of its own."""
    return {mark(f"model.layers.{i}.{name}"): X + i for i in range(3) for name in ("up.weight", "down.weight")}


PLAIN = stack(str)
COPIES = {
    "a prefix": stack("teacher.{}".format),
    "any prefix": stack("theta_0.{}".format),
    "two of its kind": stack("ref.{}".format) | stack("anchor.{}".format),
    "compiled and not": stack("_orig_mod.{}".format),
    "an ending": stack("{}_master".format),
    "a part of itself": stack("{}.bak".format),
    "an ending nobody knows": stack("{}_fp16".format),
    "of some": {"model.layers.0.up.weight_ema": X},
    "of fused experts": {"experts.gate_up_proj": X[None], "experts.gate_up_proj_master": X[None] + 1},
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_the_model_in_its_own_file_is_left_out(tmp_path, name):
    """By hand: six matrices of 64 × 128, and the experts' one more."""
    save_file({key: value.clone() for key, value in (PLAIN | COPIES[name]).items()}, tmp_path / "a.safetensors")
    inside, remarks = names(tmp_path)
    assert sorted(inside) == sorted([*PLAIN, *(key for key in COPIES[name] if key.endswith("gate_up_proj"))])
    assert remarks.startswith("left out: ") and min(COPIES[name].keys() - set(inside)) in remarks


@pytest.mark.parametrize(
    "more",
    [
        {f"mtp.model.layers.0.{name}.weight": X for name in ("up", "down")},  # predicts a further token
        {f"rnn.weight_{kind}_l0{way}": X for kind in ("ih", "hh") for way in ("", "_reverse")},
        {f"{key}_mask": (X > 0).to(torch.uint8) for key in PLAIN},
        {"model.layers.0.up.weight_late": X},
    ],
)
def test_what_repeats_the_shapes_of_a_part_is_no_copy(tmp_path, more):
    save_file({key: value.clone() for key, value in (PLAIN | more).items()}, tmp_path / "a.safetensors")
    inside, remarks = names(tmp_path)
    assert sorted(inside) == sorted(PLAIN | more) and remarks == ""


def test_two_models_side_by_side_are_counted_with_a_word(tmp_path):
    towers = stack("student.{}".format) | stack("teacher.{}".format)
    save_file({key: value.clone() for key, value in towers.items()}, tmp_path / "a.safetensors")
    inside, remarks = names(tmp_path)
    assert len(inside) == 12
    assert remarks == "'student' and 'teacher' hold tensors of the same shapes: both are counted"


def test_two_parts_that_may_be_models_are_counted_or_left_out_with_a_word(tmp_path):
    torch.save({"student": {"w": X}, "teacher": {"w": X + 1}}, tmp_path / "a.pt")
    inside, remarks = names(tmp_path)
    assert inside == ["student.w", "teacher.w"] and "same shapes: both are counted" in remarks
    torch.save({"model": {"w": X}, "discriminator": {"w": X + 1, "v": X}}, tmp_path / "a.pt")
    inside, remarks = names(tmp_path)
    assert inside == ["w"] and "left out: 'discriminator', which may be a model too" in remarks


# --- adapters ---------------------------------------------------------------------------------------------------------

LAYER = "base_model.model.model.layers.0.self_attn.q_proj"
ADAPTERS = {
    "PEFT": {f"{LAYER}.lora_A.weight": X, f"{LAYER}.lora_B.weight": X},
    "PEFT with names": {f"{LAYER}.lora_A.default.weight": X, f"{LAYER}.lora_magnitude_vector": X[0]},
    "PEFT with a head": {f"{LAYER}.lora_A.weight": X, "base_model.model.lm_head.weight": X},
    "of an embedding": {"base_model.model.model.embed_tokens.lora_embedding_A": X},
    "kohya": {"lora_unet_down_blocks_0_proj_in.lora_down.weight": X, "lora_unet_down_blocks_0_proj_in.alpha": X[0, 0]},
    "text encoder": {"lora_te1_text_model_fc1.lora_up.weight": X, "lora_te1_text_model_fc1.dora_scale": X[0]},
    "diffusers": {"transformer.blocks.0.attn.to_q.lora_A.weight": X},
    "old diffusers": {"unet.down_blocks.0.attn1.processor.to_q_lora.down.weight": X},
    "LyCORIS": {"lora_unet_mid_block.hada_w1_a": X, "lora_unet_mid_block.hada_w2_b": X},
    "LoKr": {"lycoris_mid_block.lokr_w1": X, "lycoris_mid_block.lokr_w2_a": X},
    "full differences": {"lora_unet_mid_block.diff": X, "lora_te_fc1.diff_b": X[0]},
    "VeRA": {"base_model.vera_A.default": X, "base_model.model.q.vera_lambda_b.default": X[0]},
    "IA3": {"base_model.model.h.0.mlp.ia3_l": X},
    "llama.cpp": {"blk.0.attn_q.weight.lora_a": X, "blk.0.attn_q.weight.lora_b": X},
}


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("file", ["adapter_model.safetensors", "my.safetensors", "adapter_model.bin", "my.pt"])
def test_an_adapter_is_no_model(tmp_path, name, file):
    state = {key: value.clone().contiguous() for key, value in ADAPTERS[name].items()}
    (save_file if file.endswith("safetensors") else torch.save)(state, tmp_path / file)
    (tmp_path / "adapter_config.json").write_text('{"r": 16}')  # llama.cpp#4896
    for path in (tmp_path, tmp_path / file):
        refused(path, f"{file} is a LoRA adapter, not a model: merge it first")


def test_other_adapters_and_what_is_trained_beside_a_model(tmp_path):
    save_file({"prompt_embeddings": X}, tmp_path / "adapter_model.safetensors")
    refused(tmp_path, "is an adapter, not a model")
    for state in ({"emb_params": X}, {"clip_l": X, "clip_g": X.clone()}):
        save_file(state, tmp_path / "mine.safetensors")
        refused(tmp_path / "mine.safetensors", "a textual inversion")
    for state in ({"<cat-toy>": X[0]}, {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": {"*": X}}):
        torch.save(state, tmp_path / "mine.pt")
        refused(tmp_path / "mine.pt", "a textual inversion")
    torch.save({"module._flat_param": X.view(-1)}, tmp_path / "mine.pt")
    refused(tmp_path / "mine.pt", "FSDP's flat parameters, .*FULL_STATE_DICT")
    for key, value in (
        ("general.type", "adapter"),
        ("general.type", "imatrix"),
        ("general.architecture", "controlvector"),
    ):
        writer = gguf.GGUFWriter(tmp_path / "a.gguf", value if key.endswith("architecture") else "llama")
        if key == "general.type":
            writer.add_type(value)
        writer.add_tensor("direction.1", np.ones((4, 32), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        refused(tmp_path / "a.gguf", "not a model: give the model")


def test_adapters_that_lie_in_the_model_are_left_out(tmp_path):
    state = {"layers.0.qkv.base_layer.weight": X, "layers.0.qkv.lora_A.speech.weight": X[:8], "norm.weight": X[0]}
    save_file({key: value.clone() for key, value in state.items()}, tmp_path / "model.safetensors")
    inside, remarks = names(tmp_path)
    assert sorted(inside) == ["layers.0.qkv.base_layer.weight", "norm.weight"]
    assert remarks == "left out: 1 tensors of LoRA adapters, as 'layers.0.qkv.lora_A.speech.weight'"


@pytest.mark.parametrize(
    "name", ["weight_fake_quant.scale", "weight_quantizer._amax", "activation_post_process.min_val"]
)
def test_quantisers_that_round_as_the_model_runs_are_told(tmp_path, name):
    """torch's and ModelOpt's training with rounding: the weights beside them are not rounded yet."""
    save_file({"l.0.up.weight": X, f"l.0.up.{name}": X[0].clone()}, tmp_path / "model.safetensors")
    assert names(tmp_path)[1].startswith(
        f"1 tensors are of quantisers that round as the model runs, as 'l.0.up.{name}'"
    )
    save_file({"l.0.up.weight": X, "quantizer_head.weight": X.clone()}, tmp_path / "model.safetensors")
    assert names(tmp_path)[1] == ""


def test_a_part_of_a_split_gguf_under_another_name(tmp_path):
    for count, file in ((3, "part.gguf"), (1, "whole.gguf")):
        writer = gguf.GGUFWriter(tmp_path / file, "llama")
        writer.add_uint16("split.count", count)
        writer.add_tensor("a", X.numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    refused(tmp_path / "part.gguf", r"part\.gguf is one of 3 files: .*model-00001-of-00003\.gguf, or .*--merge")
    assert names(tmp_path / "whole.gguf") == (["a"], "")


def test_remarks_come_from_this_reader_and_not_from_the_file(tmp_path):
    save_file({"a": X}, tmp_path / "a.safetensors", metadata={"remarks": json.dumps(["all is well"])})
    assert names(tmp_path) == (["a"], "")


@pytest.mark.parametrize("name", ["l.delta", "l.weight_delta", "l.diff"])
def test_what_is_to_be_added_to_a_weight_is_no_second_one(tmp_path, name):
    save_file({"l.weight": X, name: X.clone()}, tmp_path / "model.safetensors")
    refused(tmp_path, "holds what is to be added to weights, as .*: add it first")
    save_file({"l.weight": X, name: X[0].clone()}, tmp_path / "model.safetensors")  # a step size, of another shape
    inside, remarks = names(tmp_path)
    assert inside == ["l.weight"] and f"'{name}' may change what a matrix computes" in remarks


@pytest.mark.parametrize("name", ["L.WEIGHT", "MODEL.LAYERS.0.WEIGHT_SCALE", "FC1_WEIGHT", "L.QZEROS"])
def test_names_in_capitals_hide_what_is_a_scale(tmp_path, name):
    save_file({name: X}, tmp_path / "model.safetensors")
    refused(tmp_path, f"names its tensors in capitals, as .*{name}.*rename them")
    save_file({"W": X}, tmp_path / "model.safetensors")
    assert rl.survey(tmp_path, "int4", progress=False).error.notna().all()


# --- what helps another model -----------------------------------------------------------------------------------------

JOINED = {"layers.0.self_attn.q_proj.weight": X, "fc.weight": torch.ones(64, 128)}
FURTHER = {"model.layers.46.eh_proj.weight": X, "model.layers.46.mlp.up_proj.weight": X}
DRAFTS = {
    "EAGLE's first": (JOINED, {"architectures": ["LlamaForCausalLM"]}, True),
    "EAGLE-3": ({"midlayer.mlp.up_proj.weight": X}, {"architectures": ["LlamaForCausalLMEagle3"]}, True),
    "Medusa": ({"0.0.linear.weight": X}, {"model_type": "medusa"}, True),
    "speculators": ({"layers.0.mlp.up_proj.weight": X}, {"speculators_config": {"algorithm": "eagle3"}}, True),
    "MTP alone": (FURTHER, {"model_type": "glm4_moe"}, True),
    "MTP alone, by its name": ({"mtp.layers.0.mlp.up_proj.weight": X}, {"model_type": "qwen3_next"}, True),
    "MTP in its model": (FURTHER | {"model.layers.45.mlp.up_proj.weight": X}, {"model_type": "glm4_moe"}, False),
    "a classifier": ({"layer1.0.conv1.weight": X, "fc.weight": X}, {}, False),
    "NVIDIA's Eagle": (
        {"layers.0.mlp.up_proj.weight": X},
        {"architectures": ["Eagle2_5_VLForConditionalGeneration"], "model_type": "eagle_2_5_vl"},
        False,
    ),
}


@pytest.mark.parametrize("name", DRAFTS)
def test_what_formats_cost_a_draft_for_speculation_is_not_told(tmp_path, name):
    tensors, config, drafts = DRAFTS[name]
    save_file({key: value.contiguous().clone() for key, value in tensors.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with checkpoints.open(tmp_path) as checkpoint:
        assert ("it drafts tokens for another model" in checkpoint.changes.told) == drafts
        assert (checkpoint.changes.told in checkpoint.remarks) == drafts


@pytest.mark.parametrize(
    "name", ["R1", "l.mlp.down_proj.had_K", "l.self_attn.ln_trans.matrix_left", "l.hadamard.weight"]
)
def test_matrices_that_turn_inputs_as_it_runs_leave_the_cost_open(tmp_path, name):
    for beside, told in ({}, ""), ({name: X}, "its inputs may be turned as it runs, by"):
        save_file({"l.mlp.up_proj.weight": X.clone()} | beside, tmp_path / "model.safetensors")
        with checkpoints.open(tmp_path) as checkpoint:
            assert checkpoint.changes.told.startswith(told) and bool(checkpoint.changes) == bool(told)


@pytest.mark.parametrize(
    ("architecture", "told"), [("clip", "it is what sees or hears"), ("eagle3", "it drafts"), ("llama", "")]
)
def test_a_gguf_file_that_helps_another_model_says_so(tmp_path, architecture, told):
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", architecture)
    writer.add_tensor("v.blk.0.attn_q.weight", np.ones((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with checkpoints.open(tmp_path / "model.gguf") as checkpoint:
        assert checkpoint.changes.told.startswith(told) and bool(checkpoint.changes) == bool(told)
