"""Models as transformers and diffusers write them: their number of parameters, and how their matrices lie."""

import inspect
import re
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import rholaw as rl
from rholaw.checkpoints import families, opening, unheeded

transformers = pytest.importorskip("transformers", minversion="5.0")

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 160,
}
DECODER = SMALL | {"num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64}
MOE = DECODER | {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
GPT2 = {"vocab_size": 160, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
LATENT = {"q_lora_rank": 12, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8}
LATENT |= {"n_routed_experts": 8, "first_k_dense_replace": 1, "n_group": 2, "topk_group": 1, "num_key_value_heads": 4}
LINEAR = {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
LINEAR |= {"layer_types": ["linear_attention", "full_attention"], "shared_expert_intermediate_size": 16}
SEES = {"depth": 1, "hidden_size": 32, "intermediate_size": 48, "num_heads": 4, "out_hidden_size": 32}
SEES |= {"num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
MODELS = {
    "GPT2LMHeadModel": ("GPT2Config", GPT2),
    "GPTBigCodeForCausalLM": ("GPTBigCodeConfig", GPT2),
    "LlamaForCausalLM": ("LlamaConfig", DECODER | {"tie_word_embeddings": True}),
    "MixtralForCausalLM": ("MixtralConfig", MOE),
    "GptOssForCausalLM": ("GptOssConfig", MOE),
    "Llama4ForCausalLM": ("Llama4TextConfig", MOE | {"intermediate_size_mlp": 64}),
    "Qwen3MoeForCausalLM": ("Qwen3MoeConfig", MOE),
    "Qwen3_5MoeForCausalLM": ("Qwen3_5MoeTextConfig", MOE | LINEAR),
    "Qwen3VLMoeForConditionalGeneration": ("Qwen3VLMoeConfig", {"text_config": MOE, "vision_config": SEES}),
    "AriaTextForCausalLM": ("AriaTextConfig", DECODER | {"moe_num_experts": 4, "moe_topk": 2}),
    "DeepseekV3ForCausalLM": ("DeepseekV3Config", MOE | LATENT),
    "BertForMaskedLM": ("BertConfig", SMALL),
    "T5ForConditionalGeneration": (
        "T5Config",
        {"vocab_size": 160, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2},
    ),
    "MambaForCausalLM": (
        "MambaConfig",
        {"vocab_size": 160, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
    ),
    "ResNetForImageClassification": ("ResNetConfig", {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 1]}),
}


@pytest.fixture(params=MODELS)
def model(request):
    config, settings = MODELS[request.param]
    torch.manual_seed(1)
    return getattr(transformers, request.param)(getattr(transformers, config)(**settings))


def counted(folder):
    return rl.survey(folder, "int4", rotation=0, progress=False, fit=SimpleNamespace(families=())).parameters.sum()


def test_a_survey_counts_the_parameters_that_transformers_counts(model, tmp_path):
    model.save_pretrained(tmp_path)
    assert counted(tmp_path) == model.num_parameters()


@pytest.mark.parametrize("with_config", [True, False])
def test_matrices_are_what_their_modules_multiply_by(model, tmp_path, with_config):
    model.save_pretrained(tmp_path)
    if not with_config:
        (tmp_path / "config.json").unlink()
    modules, compared = dict(model.named_modules()), 0
    with opening.open(tmp_path) as checkpoint:
        for tensor in checkpoint.tensors:
            module, shape = modules.get(tensor.name.rpartition(".")[0]), tensor.shape
            if len(shape) < 2 or module is None or not hasattr(module, tensor.name.rpartition(".")[2]):
                continue  # what transformers renames, splits or joins
            weight = tensor.read().reshape(tensor.matrix)
            if type(module) in (torch.nn.Linear, transformers.pytorch_utils.Conv1D):
                x = torch.randn(3, weight.shape[1])
                bias = 0 if module.bias is None else module.bias
                assert torch.allclose(module(x), x @ weight.T + bias, atol=1e-5)
            elif isinstance(module, torch.nn.Conv2d):
                assert torch.equal(weight, module.weight.flatten(1))
            elif tensor.name.endswith(("experts.gate_up_proj", "experts.down_proj")):
                kept = getattr(module, tensor.name.rpartition(".")[2])
                turned = getattr(module, "is_transposed", "Llama4" in str(type(module)))
                assert torch.equal(tensor.read(), kept.transpose(1, 2) if turned else kept)
            else:
                continue
            compared += 1
    assert compared > 5


def test_a_survey_counts_the_parameters_of_a_diffusion_model(tmp_path):
    diffusers = pytest.importorskip("diffusers")
    blocks = {"down_block_types": ("CrossAttnDownBlock2D",), "up_block_types": ("CrossAttnUpBlock2D",)}
    model = diffusers.UNet2DConditionModel(
        16, block_out_channels=(16,), norm_num_groups=4, cross_attention_dim=8, layers_per_block=1, **blocks
    )
    model.save_pretrained(tmp_path)
    assert counted(tmp_path) == model.num_parameters()


KNOWN = sorted({*families.known(), *unheeded.DEAF} & {*transformers.CONFIG_MAPPING})


@pytest.mark.parametrize("family", KNOWN)
def test_what_models_declare_and_do_not_read_is_known(family):
    config = transformers.CONFIG_MAPPING[family]
    about = Path(inspect.getfile(config))
    code = "".join(file.read_text() for file in about.parent.glob("modeling_*.py"))
    code += re.sub(r"(?s)^.*?(def __post_init__|$)", r"\1", about.read_text(), count=1)  # what it makes of them
    code += Path(transformers.masking_utils.__file__).read_text()
    others = {name: other for other, name in config.attribute_map.items()}
    looks = re.compile(rf"{unheeded.CHANGES.pattern}|{'|'.join(unheeded.ACTIVATIONS)}|norm_topk|routed_scal|n_group$")
    names = [field.name for field in fields(config) if looks.search(field.name)]
    unread = {name for name in names if not re.search(rf"\b({name}|{others.get(name, name)})\b", code)}
    assert unread == {name for name in unheeded.DEAF.get(family, ()) if looks.search(name) and "." not in name}
    if re.search(r"router_logits", code) and "num_experts_per_tok" in {field.name for field in fields(config)}:
        by = re.search(r"sigmoid\((router|.*logits)|router_logits\.sigmoid|sigmoid\(router_scores", code)
        assert bool(by) == (family in unheeded.SIGMOID)
