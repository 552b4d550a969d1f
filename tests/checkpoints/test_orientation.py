"""Rows run along the inputs, whatever the file has: by bias, embedding or family, and never by the shape."""

import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

import rholaw as rl
from rholaw.checkpoints import opening, orientation
from rholaw.checkpoints.tensors import Tensor

DRAW = torch.Generator().manual_seed(1)
W = torch.randn(64, 32, generator=DRAW)  # out × in
SQUARE = torch.randn(32, 32, generator=DRAW)
FUSED = torch.randn(3, 64, 32, generator=DRAW)  # experts, out, in
C_FC, GATE_UP, DOWN = (
    "h.0.mlp.c_fc.weight",
    "model.layers.0.mlp.experts.gate_up_proj",
    "model.layers.0.mlp.experts.down_proj",
)


def saved(folder, tensors, config=None):
    save_file({name: x.contiguous().clone() for name, x in tensors.items()}, folder / "model.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def read(folder, tensors, config=None):
    """{name: (its values, its matrix)} as the checkpoint has them."""
    with opening.open(saved(folder, tensors, config)) as checkpoint:
        return {tensor.name: (tensor.read(), tensor.matrix) for tensor in checkpoint.tensors}


def turned(folder, tensors, config=None):
    """Which of the tensors are read as in × out."""
    values = {name: x for name, (x, _) in read(folder, tensors, config).items()}
    same = {name: values[name].shape == x.shape and torch.equal(values[name], x) for name, x in tensors.items()}
    for name, x in tensors.items():
        assert same[name] or torch.equal(values[name], x.transpose(-1, -2))
    return {name for name in tensors if not same[name]}


CONV1D = ["gpt2", "openai-gpt", "imagegpt", "decision_transformer"]
LINEAR = ["gpt_bigcode", "gpt_neo", "qwen", "nanogpt"]


@pytest.mark.parametrize("family", CONV1D + LINEAR)
def test_layers_of_the_same_name_lie_as_their_family_keeps_them(tmp_path, family):
    """transformers#24504: GPT-2's Conv1D is in × out, StarCoder's c_fc is not."""
    tensors = {C_FC: SQUARE, "h.0.attn.c_attn.weight": SQUARE, "h.0.attn.c_proj.weight": SQUARE, "h.0.x.weight": SQUARE}
    expected = {name for name in tensors if ".c_" in name} if family in CONV1D else set()
    assert turned(tmp_path, tensors, {"model_type": family}) == expected


@pytest.mark.parametrize("place", ["", "text_config", "decoder"])
@pytest.mark.parametrize(
    ("family", "in_by_out"),
    [
        *(("gpt_oss", True), ("llama4_text", True), ("qwen3_vl_moe_text", True), ("aria", True)),
        *(("qwen3_5_moe", False), ("qwen3_moe", False), ("mixtral", False), ("glm4_moe", False)),
    ],
)
def test_experts_in_one_tensor_lie_as_their_family_keeps_them(tmp_path, family, in_by_out, place):
    """Megatron-Bridge#3743, imp#2040."""
    config = {"model_type": family} if not place else {"model_type": "outer", place: {"model_type": family}}
    experts = {GATE_UP: FUSED, DOWN: FUSED[:, :32]}
    assert turned(tmp_path, experts, config) == (set(experts) if in_by_out else set())


@pytest.mark.parametrize("family", ["gpt_oss", "qwen3_5_moe", None])
@pytest.mark.parametrize("in_by_out", [True, False])
@pytest.mark.parametrize("evidence", ["bias", "embedding"])
def test_a_bias_and_the_embedding_say_more_than_the_family(tmp_path, evidence, in_by_out, family):
    """transformers 5 writes Qwen3-VL-MoE's experts as out × in, the files that were published are in × out."""
    experts = {GATE_UP: FUSED.transpose(1, 2) if in_by_out else FUSED, DOWN: SQUARE.expand(3, 32, 32)}
    beside = {"bias": {GATE_UP + "_bias": torch.zeros(3, 64)}, "embedding": {"model.embed_tokens.weight": SQUARE}}
    config = family and {"model_type": family}
    names = turned(tmp_path, experts | beside[evidence], config)
    assert names == (set(experts) if in_by_out else set())  # the square ones as the others


@pytest.mark.parametrize("evidence", [{"h.0.mlp.c_fc.bias": torch.zeros(64)}, {"transformer.wte.weight": W}])
def test_a_copy_of_gpt2_without_a_config_is_known_by_what_lies_beside(tmp_path, evidence):
    """nanoGPT has GPT-2's names and nn.Linear."""
    layers = {C_FC: W, "h.0.attn.c_proj.weight": SQUARE, "h.0.mlp.c_proj.weight": W.T}
    assert turned(tmp_path, layers | evidence) == set()
    layers = {name: x.T for name, x in layers.items()}
    assert turned(tmp_path, layers | evidence) == set(layers)


def test_what_code_multiplies_by_from_the_right_is_turned_in_all_families(tmp_path):
    three = FUSED.permute(2, 0, 1)  # 32 inputs, 3 heads of 64
    tensors = {"transformer.layer.0.rel_attn.q": three, "transformer.layer.0.rel_attn.o": three}
    tensors |= {"transformer.blocks.0.ffn.experts.mlp.w2": W, "visual.proj": W, "text_projection": W}
    tensors |= {"bert/encoder/layer_._0/intermediate/dense/kernel:0": W, "conv/kernel": FUSED}
    rows = {name: x.reshape(matrix) for name, (x, matrix) in read(tmp_path, tensors, {"model_type": "any"}).items()}
    assert torch.equal(rows.pop("transformer.layer.0.rel_attn.q"), three.reshape(32, 192).T)
    assert torch.equal(rows.pop("transformer.layer.0.rel_attn.o"), three.reshape(32, 192))
    assert torch.equal(rows.pop("conv/kernel"), FUSED.reshape(192, 32).T)
    assert len(rows) == 4 and all(torch.equal(x, W.T) for x in rows.values())


def test_a_bias_tells_of_any_matrix(tmp_path):
    layers = {"block.mixer.weight": W.T, "block.mixer.bias": torch.zeros(64), "block.out.weight": W.T}
    assert turned(tmp_path, layers, {"model_type": "of one's own"}) == {"block.mixer.weight"}


def survey(folder, tensors, formats="int4/g32, 2:4, fp8_row", config=None):
    settings = {"rotation": 0, "progress": False, "fit": SimpleNamespace(families=())}
    return rl.survey(saved(folder, tensors, config), formats, **settings)


def test_errors_are_those_of_the_layer_however_it_is_kept(tmp_path):
    w = torch.randn(256, 512, generator=DRAW)
    w[:, ::64] *= 20  # some inputs are large, which a group along the outputs would not see
    expected = survey(tmp_path, {"model.layers.0.mlp.up_proj.weight": w})
    assert expected.error[0] > 0.03
    note = "taken as in × out, as GPT-2's layers of this name"
    for tensors, config, said in [
        ({C_FC: w.T}, {"model_type": "gpt2"}, ""),
        ({C_FC: w.T}, None, note),
        ({GATE_UP: w.T[None]}, {"model_type": "gpt_oss"}, ""),
    ]:
        (tmp_path / "config.json").unlink(missing_ok=True)
        table = survey(tmp_path, tensors, config=config)
        assert table.error.tolist() == pytest.approx(expected.error.tolist(), rel=1e-6)
        assert table["shape"].str.endswith("256x512").all() and table.note.str.startswith(said).all()


def test_experts_that_nothing_tells_of_are_refused(tmp_path):
    table = survey(tmp_path, {GATE_UP: FUSED})
    assert table.error.isna().all() and (table.bits == 32).all()
    assert table.note.str.contains("put the config.json beside it").all()
    assert rl.totals(table).compressed.eq(0).all()


def test_convolutions_are_outputs_by_all_that_makes_them(tmp_path):
    """TICO#402: GPTQ takes a kernel of out × in × 3 × 3 as out × 9 in."""
    image, sound = torch.randn(6, 8, 3, 3, generator=DRAW), torch.randn(6, 8, 5, generator=DRAW)
    values = read(
        tmp_path,
        {
            "mid_block.resnets.0.conv1.weight": image,
            "attn.proj_in.weight": image[..., :1, :1],
            "video.proj.weight": image[:, :, None],
            "flow.in_layers.0.weight_v": sound,
            "flow.in_layers.0.bias": torch.zeros(6),
            "encoder.conv2.weight": sound,
            "ups.0.weight": sound,
            "ups.0.bias": torch.zeros(8),
            "up.weight": image,
            "up.bias": torch.zeros(8),
            "moe.stack.bias": torch.zeros(6, 8),
            "moe.stack.weight": sound,
        },
    )
    matrices = {name: x.reshape(matrix) for name, (x, matrix) in values.items()}
    assert torch.equal(matrices["mid_block.resnets.0.conv1.weight"], image.reshape(6, 72))
    assert torch.equal(matrices["attn.proj_in.weight"], image[..., 0, 0])
    assert torch.equal(matrices["video.proj.weight"], image.reshape(6, 72))
    for name in ("flow.in_layers.0.weight_v", "encoder.conv2.weight"):
        assert torch.equal(matrices[name], sound.reshape(6, 40))
    assert torch.equal(matrices["ups.0.weight"], sound.transpose(0, 1).reshape(8, 30))  # from 6 channels to 8
    assert torch.equal(matrices["up.weight"], image.transpose(0, 1).reshape(8, 54))
    assert torch.equal(matrices["moe.stack.weight"], sound.reshape(48, 5))


def test_a_unet_of_convolutions_is_measured(tmp_path):
    table = survey(tmp_path, {"conv1.weight": torch.randn(8, 32, 3, 3), "proj_in.weight": W[..., None, None]})
    assert table.error.notna().all() and table["shape"].tolist() == ["8x32x3x3"] * 3 + ["64x32x1x1"] * 3


@pytest.mark.parametrize("strip", [1, 100, 700, 2**24])
def test_parts_of_what_is_turned_are_those_of_the_whole_and_the_file_is_read_once(monkeypatch, strip):
    monkeypatch.setattr(orientation, "STRIP", strip)
    monkeypatch.setattr(orientation, "READ", 300)
    stored, reads = FUSED.transpose(1, 2).reshape(-1), []

    def load(start, stop):
        reads.append(stop - start)
        return stored[start:stop]

    raw = Tensor(GATE_UP, (3, 32, 64), "F32", 32, False, load)
    (tensor,) = orientation.oriented([raw], {"model_type": "gpt_oss"})
    for start, stop in [(0, 0), (5, 6), (31, 33), (2040, 2060), (4000, 6144), (0, 6144)]:
        assert torch.equal(tensor.load(start, stop), FUSED.reshape(-1)[start:stop])
    reads.clear()
    for row in range(192):
        assert torch.equal(tensor.rows(row, row + 1), FUSED.reshape(192, 32)[row : row + 1])
    columns = max(1, min(64, strip // 32))
    assert sum(reads) == 6144 * -(-64 // columns) and max(reads) <= 300 // 64 * 64


def test_the_layers_of_an_einsum_lie_as_an_equation_says_that_no_file_holds(tmp_path):
    """Flax's Gemma: q_einsum is heads × in × out, attn_vec_einsum heads × out × in, linear in × out."""
    names = ["attn.q_einsum.w", "attn.attn_vec_einsum.w", "mlp.gating_einsum", "mlp.linear"]
    tensors = {f"layer_0.{name}": torch.randn(2, 32, 64) for name in names} | {"vision.patch.weight": SQUARE}
    save_file({name: value.clone() for name, value in tensors.items()}, tmp_path / "model.safetensors")
    table = rl.survey(tmp_path, "int4", progress=False).set_index("name")
    assert set(table.index[table.error.isna()]) == {f"layer_0.{name}" for name in names}
    assert table.note["layer_0.mlp.linear"].startswith("the equation of its einsum")
