"""What a tensor does, by its name in the schemes in use, and what the survey makes of it."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

import rholaw as rl
from rholaw.checkpoints import roles

NO_FIT = SimpleNamespace(families=())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.layers.3.self_attn.q_proj.weight", "attention"),
        ("model.layers.3.mlp.down_proj.weight", "mlp"),
        ("model.layers.3.input_layernorm.weight", "norm"),
        ("model.embed_tokens.weight", "embedding"),
        ("lm_head.weight", "head"),
        ("blk.0.attn_output.weight", "attention"),
        ("blk.0.attn_norm.weight", "norm"),
        ("blk.0.ffn_gate.weight", "mlp"),
        ("token_embd.weight", "embedding"),
        ("output.weight", "head"),
        ("output_norm.weight", "norm"),
        ("encoder.layer.0.attention.output.dense.weight", "attention"),
        ("encoder.layer.0.output.dense.weight", "mlp"),
        ("encoder.layer.0.intermediate.dense.bias", "mlp"),
        ("embeddings.LayerNorm.weight", "norm"),
        ("transformer.h.0.ln_1.weight", "norm"),
        ("transformer.h.0.attn.c_attn.weight", "attention"),
        ("transformer.wte.weight", "embedding"),
        ("decoder/layer_0/ffn/linear_0/weight", "mlp"),
        ("decoder/layer_0/self_attention/layer_norm/gamma", "norm"),
        ("decoder/projection/weight", "head"),
        ("encoder/conv1/weight", "other"),
        ("pooler.dense.weight", "other"),
        ("model.layers.0.block_sparse_moe.experts.3.w1.weight", "mlp"),
        ("model.layers.0.mlp.up.weight", "mlp"),
        ("blk.0.ffn_gate_exps.weight", "mlp"),
        ("model.layers.0.block_sparse_moe.input_linear.weight", "mlp"),
        ("model.layers.0.mlp.experts.gate_up_proj_bias", "mlp"),
        ("transformer_blocks.0.ff.net.0.proj.weight", "mlp"),
        ("transformer_blocks.0.norm1.linear.weight", "other"),  # a large matrix of a diffusion model
        ("down_blocks.0.resnets.0.time_emb_proj.weight", "other"),
        ("decoder.layers.0.layernorm_mlp.fc1_weight", "mlp"),
        ("decoder.layers.0.self_attention.linear_qkv.layer_norm_weight", "norm"),
        ("decoder.conv_pre.parametrizations.weight.original0", "norm"),
        ("rwkv.blocks.0.attention.output.weight", "attention"),
        ("blk.0.time_mix_key.weight", "attention"),
        ("model.layers.0.self_attn.indexer.weights_proj.weight", "router"),
        ("model.layers.0.self_attn.indexer.wq_b.weight", "attention"),
        ("v_head.summary.weight", "head"),
    ],
)
def test_roles_by_name(name, expected):
    assert roles.role(name) == expected


MOE = "model.layers.0."
ROUTERS = [
    *(MOE + "mlp.gate.weight", MOE + "block_sparse_moe.gate.weight", "blk.0.ffn_gate_inp.weight"),
    *(MOE + "mlp.router.weight", MOE + "mlp.shared_expert_gate.weight", "blk.0.ffn_gate_inp_shexp.weight"),
    *(MOE + "mlp.gate.wg.weight", MOE + "mlp.router.layer.weight", MOE + "router.proj.weight"),
    *("encoder.block.1.layer.1.mlp.router.classifier.weight", "transformer.blocks.0.ffn.router.layer.weight"),
    *(MOE + "feed_forward.gate.weight", "layers.3.ffn.gate.weight", "backbone.layers.1.mixer.gate.weight"),
    *("layers.0.hc_attn_fn", "blk.3.hc_ffn_base.weight", "hc_head_fn", "model.layers.0.attn_hc.fn"),  # DeepSeek-V4
    *(MOE + "moe.gate.weight", "block.0.mlp.gate.bias", "layers.0.feed_forward.router_DE", MOE + "mlp.gate.weight_1"),
]
GLU = [
    *(MOE + "mlp.gate_proj.weight", "blk.0.ffn_gate.weight", "blk.0.ffn_gate_shexp.weight", MOE + "mlp.gate_up_proj"),
    *(MOE + "mlp.experts.3.gate_proj.weight", MOE + "mlp.experts.3.gate.weight", MOE + "mlp.shared_expert.gate.weight"),
    *(MOE + "mlp.experts.3.mlp.gate.weight", MOE + "mlp.shared_experts.gate_proj.weight"),
]


def test_what_chooses_among_experts_is_kept_and_the_gates_of_glu_layers_are_not():
    """auto-round#1776, hipfire#180, transformers#48801: every quantiser leaves a router in 16 bits."""
    assert {name: roles.role(name) for name in ROUTERS} == dict.fromkeys(ROUTERS, "router")
    assert {name: roles.role(name) for name in GLU} == dict.fromkeys(GLU, "mlp")
    assert "router" in roles.KEPT
    gate = MOE + "mlp.gate.weight"
    assert roles.role(gate, {gate, MOE + "mlp.experts.0.up.weight"}) == "router"
    assert roles.role(gate, {gate, MOE + "mlp.up.weight", MOE + "mlp.down.weight"}) == "mlp"


BUFFERS = [
    *(
        "h.0.attn.bias",
        "h.0.attn.masked_bias",
        "gpt_neox.layers.0.attention.bias",
        "model.layers.0.rotary_emb.inv_freq",
    ),
    *("transformer.h.0.attn.causal_mask", "roberta.embeddings.position_ids", "bert.embeddings.token_type_ids"),
    *("layers.0.blocks.0.attn.relative_position_index", "layers.0.blocks.1.attn_mask", "rope_freqs.weight"),
    *("model.layers.3.mlp.gate.e_score_correction_bias", "blk.3.exp_probs_b.bias", MOE + "feed_forward.expert_bias"),
    *(
        "bn1.running_mean",
        "bn1.running_var",
        "bn1.num_batches_tracked",
        "final_logits_bias",
        "blocks.0.sa.heads.0.tril",
    ),
]
STATES = [
    *("backbone.layers.0.mixer.conv1d.weight", "backbone.layers.0.mixer.A_log", "backbone.layers.0.mixer.D"),
    *("blk.0.ssm_conv1d.weight", "blk.0.ssm_a", "blk.0.ssm_dt.bias", "model.layers.0.linear_attn.dt_bias"),
    *("model.layers.0.conv.conv.weight", "blk.0.shortconv.conv.weight", "rwkv.blocks.0.attention.time_decay"),
    *("model.layers.0.self_attn.q_conv1d.weight", "blk.0.time_mix_decay_w1.weight"),
]
TABLES = {
    **dict.fromkeys(
        ("model.embed_tokens.weight", "wte.weight", "tok_embeddings.weight", "embed_in.weight"), "embedding"
    ),
    **dict.fromkeys(("shared.weight", "decoder.embed_tokens.weight", "model.embeddings.weight"), "embedding"),
    **dict.fromkeys(("transformer.word_embeddings.weight", "backbone.embedding.weight"), "embedding"),
    **dict.fromkeys(("lm_head.weight", "embed_out.weight", "output.weight", "model.output.weight"), "head"),
    **dict.fromkeys(("model.layers.61.shared_head.head.weight", "transformer.output_layer.weight"), "head"),
    **dict.fromkeys(("head.weight", "model.transformer.ff_out.weight", "cls.predictions.decoder.weight"), "head"),
}
POSITIONS = ["wpe.weight", "embeddings.position_embeddings.weight", "bert.embeddings.token_type_embeddings.weight"]
POSITIONS += ["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "vit.embeddings.cls_token"]


def test_masks_states_and_tables_by_all_their_names():
    """transformers#1419 and others."""
    assert {name: roles.role(name) for name in BUFFERS} == dict.fromkeys(BUFFERS, "buffer")
    assert {name: roles.role(name) for name in STATES} == dict.fromkeys(STATES, "state")
    assert {name: roles.role(name) for name in TABLES} == TABLES
    assert {name: roles.role(name) for name in POSITIONS} == dict.fromkeys(POSITIONS, "embedding")
    assert all(roles.is_vocabulary(name) for name in TABLES) and not any(map(roles.is_vocabulary, POSITIONS[:3]))


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("mlp.up_proj.weight", (8, 4), True),
        ("mlp.experts.gate_up_proj", (2, 8, 4), True),
        ("mlp.experts.gate_up_proj_bias", (2, 8), False),
        ("blk.0.ffn_up_exps.bias", (2, 8), False),
        ("transformer.layer.0.rel_attn.r_w_bias", (2, 8), False),
        ("encoder.layers.0.self_attn.pos_bias_u", (2, 8), False),
        ("mlp.gate.weight", (1, 8), True),
        ("grn.weight", (1, 1, 1, 8), False),
        ("h.0.attn.c_attn.bias", (8,), False),
        ("logit_scale", (), False),
    ],
)
def test_biases_and_vectors_are_no_matrices_whatever_their_shape(name, shape, expected):
    assert roles.is_matrix(name, shape) is expected


def survey(folder, tensors, formats="int4/g32"):
    save_file(tensors, folder / "model.safetensors")
    return rl.survey(folder, formats, rotation=0, progress=False, fit=NO_FIT).set_index("name")


def test_a_mask_is_no_weight(tmp_path):
    """transformers#1419: GPT-2's causal mask is none of its 124 million parameters, and no format's error."""
    weight = torch.randn(96, 32, generator=torch.Generator().manual_seed(1))
    mask = torch.tril(torch.ones(1, 1, 64, 64))
    table = survey(tmp_path, {"h.0.attn.bias": mask, "h.0.attn.c_attn.weight": weight.T.contiguous()})
    row = table.loc["h.0.attn.bias"]
    assert (row.role, row.parameters, row.bytes) == ("buffer", 0, 4 * 64 * 64)
    assert row.note == "a buffer, no weight: kept as it is"
    total = rl.totals(table.reset_index()).loc["int4/g32"]
    assert (total.parameters, total.compressed, total.error) == (3072, 3072, table.error["h.0.attn.c_attn.weight"])


OWN_NAMES = ["lm_loss.weight", "pred_layer.proj.weight", "decoder.weight", "tok_out.weight", "medusa_head.0.1.weight"]


@pytest.mark.parametrize("name", OWN_NAMES)
def test_a_head_is_known_by_its_shape_where_its_name_is_its_own(tmp_path, name):
    """XLNet's, XLM's, ModernBERT's, Medusa's: outside of all layers, of the embedding's shape."""
    draw = torch.Generator().manual_seed(1)
    shapes = {"model.word_embedding.weight": (400, 64), "layers.0.mlp.up.weight": (400, 64), name: (400, 64)}
    tensors = {each: torch.randn(shape, generator=draw) for each, shape in shapes.items()}
    assert survey(tmp_path, tensors).role.to_dict() == {
        "layers.0.mlp.up.weight": "mlp",
        name: "head",
        "model.word_embedding.weight": "embedding",
    }
    tensors[name] = tensors["model.word_embedding.weight"].clone()
    assert survey(tmp_path, tensors).note[name] == "tied to model.word_embedding.weight, which counts it"
    assert survey(tmp_path, tensors | {name: torch.randn(64, 400)}).role[name] != "head"


def test_routers_and_biases_of_experts_stay_in_16_bits(tmp_path):
    draw = torch.Generator().manual_seed(1)
    names = {"model.layers.0.mlp.gate.weight": (4, 64), "model.layers.0.mlp.experts.gate_up_proj_bias": (4, 96)}
    names |= {"model.layers.0.mlp.experts.0.up_proj.weight": (32, 64), "model.layers.0.mixer.A_log": (32, 32)}
    table = survey(tmp_path, {name: torch.randn(shape, generator=draw) for name, shape in names.items()})
    assert table.note["model.layers.0.mlp.experts.gate_up_proj_bias"] == "no matrix: kept in 16 bits"
    total = rl.totals(table.reset_index()).loc["int4/g32"]
    assert (total.parameters, total.compressed) == (256 + 384 + 2048 + 1024, 2048)
    assert total.bytes == 2048 * 4.5 / 8 + 2 * (256 + 384 + 1024)


TOWER = {"model.visual.blocks.0.attn.qkv.weight": (96, 32), "model.visual.merger.mlp.0.weight": (64, 64)}
WRITER = {
    "model.language_model.embed_tokens.weight": (200, 64),
    "model.language_model.layers.0.mlp.up.weight": (96, 64),
}


def test_what_sees_stays_in_16_bits_beside_what_writes(tmp_path):
    """vLLM's and llm-compressor's recipes leave vision towers alone; a tower by itself is a model like any other."""
    draw = torch.Generator().manual_seed(1)
    tensors = {name: torch.randn(shape, generator=draw) for name, shape in (TOWER | WRITER).items()}
    table = survey(tmp_path, tensors)
    assert set(table.role[list(TOWER)]) == {"senses"}
    total = rl.totals(table.reset_index()).loc["int4/g32"]
    assert (total.compressed, total.worst) == (96 * 64, "model.language_model.layers.0.mlp.up.weight")
    assert total.bytes == 96 * 64 * 4.5 / 8 + 2 * (200 * 64 + 96 * 32 + 64 * 64)
    large = TOWER | {"model.vision_tower.encoder.layers.0.fc2.weight": (640, 64)}
    assert {roles.among(large | WRITER)[name] for name in large} == {"senses"}  # larger than what writes
    bridges = (
        "video_tower.layers.0.fc1",
        "connector.modality_projection.proj",
        "qformer.layer.0.query",
        "projector.fc1",
    )
    bridges = {f"model.{name}.weight": (64, 64) for name in bridges} | {
        "model.image_newline": (64,),
        "a.blk.0.up.weight": (64, 64),
    }
    assert {roles.among(WRITER | bridges)[name] for name in bridges} == {"senses"}
    alone = survey(tmp_path, {name: tensors[name] for name in TOWER})
    assert rl.totals(alone.reset_index()).compressed.tolist() == [96 * 32 + 64 * 64]
    assert roles.among({"encoder.block.0.layer.0.SelfAttention.v.weight": (64, 64), "x.weight": (640, 64)}) == {
        "encoder.block.0.layer.0.SelfAttention.v.weight": "attention",
        "x.weight": "other",
    }


def test_what_joins_the_streams_of_a_draft_is_no_head():
    layer = {"layers.0.self_attn.o_proj.weight": (64, 64)}
    for streams in (2, 3):
        assert roles.among(layer | {"fc.weight": (64, 64 * streams)})["fc.weight"] == "mlp"
    assert roles.among(layer | {"fc.weight": (200, 64)})["fc.weight"] == "head"
    assert roles.among({"layer4.1.conv2.weight": (512, 512, 3, 3), "fc.weight": (512, 1024)})["fc.weight"] == "head"
