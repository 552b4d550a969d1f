"""The geometry of what lies on disk: in any layout, tied as its tensors are, and refused where they are others."""

import json
import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from small_folders import SIZES, tensors, written
from tiny_llama import gguf_file, trained

import rholaw as rl
from rholaw import checkpoints
from rholaw.checkpoints import counting
from rholaw.hardware import geometry as shapes

NO_FIT = SimpleNamespace(families=())
MIXTRAL = {"model_type": "mixtral", **SIZES, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}


@pytest.fixture
def llama(tmp_path):
    """(config, changes, weights) → the Geometry of such a folder."""

    def made(weights, **changes):
        return counting.geometry(written(tmp_path / "model", {"model_type": "llama", **SIZES} | changes, weights))

    return made


def test_the_head_is_a_matrix_of_its_own_where_the_tensors_say_so(llama):
    count = sum(tensor.numel() for tensor in tensors().values())
    assert llama(tensors()).total == llama(tensors(), tie_word_embeddings=False).total == count
    without = count - 200 * 64
    assert llama(tensors(head=False)).total == llama(tensors(head=False), tie_word_embeddings=False).total == without
    assert llama(tensors(), tie_word_embeddings=True).total == count  # as transformers 5 loads it, with a warning
    same = tensors()
    same["lm_head.weight"] = same["model.embed_tokens.weight"].clone()
    assert llama(same).tied and llama(same, tie_word_embeddings=False).total == without
    coded = tensors() | {"lm_head.weight": torch.zeros(200, 32, dtype=torch.uint8)}
    assert llama(coded).total == llama(coded, tie_word_embeddings=True).total == count
    assert not llama(tensors() | {"lm_head.weight": torch.randn(224, 64)}, vocab_size=199).tied  # some rows more


def test_a_family_that_ties_unless_it_says_so(tmp_path):
    config = {"model_type": "cohere", **SIZES}
    left = {name: weight for name, weight in tensors().items() if "post_attention" not in name}
    assert not counting.geometry(written(tmp_path, config, left)).tied
    assert counting.geometry(written(tmp_path, config, {k: v for k, v in left.items() if "lm_head" not in k})).tied


def test_tensors_say_whether_it_is_tied_where_programs_disagree(tmp_path):
    """NVIDIA's code of Nemotron-H ties as the config says, transformers never does."""
    config = {"model_type": "nemotron_h", "hybrid_override_pattern": "*-", "vocab_size": 200, "hidden_size": 64}
    config |= {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 96}
    sizes = {"0.mixer.q_proj": (64, 64), "0.mixer.k_proj": (32, 64), "0.mixer.v_proj": (32, 64)}
    sizes |= {"0.mixer.o_proj": (64, 64), "1.mixer.up_proj": (96, 64), "1.mixer.down_proj": (64, 96)}
    weights = {f"backbone.layers.{name}.weight": torch.ones(size) for name, size in sizes.items()}
    weights |= {f"backbone.layers.{i}.norm.weight": torch.ones(64) for i in range(2)}
    weights |= {"backbone.embeddings.weight": torch.randn(200, 64), "backbone.norm_f.weight": torch.ones(64)}
    tied = config | {"tie_word_embeddings": True}
    assert counting.geometry(written(tmp_path / "one", tied, weights)).tied
    assert not counting.geometry(
        written(tmp_path / "two", tied, weights | {"lm_head.weight": torch.ones(200, 64)})
    ).tied
    (tmp_path / "one" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="tie_word_embeddings is True, which is not modelled"):
        counting.geometry(tmp_path / "one")


def test_what_is_no_part_of_the_decoder_is_not_counted(llama):
    more = {f"model.layers.2.{name.split('.', 3)[3]}": t for name, t in tensors().items() if ".layers.0." in name}
    more |= {"model.layers.2.eh_proj.weight": torch.zeros(64, 128), "mtp.fc.weight": torch.zeros(64, 128)}
    ahead = sum(tensor.numel() for tensor in more.values())
    more |= {"vision_tower.encoder.layers.0.mlp.fc1.weight": torch.zeros(500, 500)}
    more |= {"multi_modal_projector.linear_1.weight": torch.zeros(500, 500)}
    more |= {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.zeros(5000) for i in range(2)}
    assert llama(tensors() | more) == replace(llama(tensors()), senses=2 * 500 * 500, ahead=ahead)


WRITERS = ("LlamaForCausalLM", "GPT2LMHeadModel", "InternVLChatModel", "LlavaForConditionalGeneration")
OTHERS = ("LlamaModel", "LlamaForSequenceClassification", "Qwen2ForProcessRewardModel", "ColQwen2ForRetrieval")
OTHERS += (
    "LlamaForMaskedDiffusionLM",
    "LLaDAModelLM",
    "DreamForCausalLM",
    "SDARForCausalLM",
    "Fast_dLLM_QwenForCausalLM",
)
SAID = {name: ([name], name in WRITERS) for name in WRITERS + OTHERS} | {"nothing": (None, True), "none": ([], True)}
SAID |= {"both": (["LlamaModel", "LlamaForCausalLM"], True)}


@pytest.mark.parametrize("name", SAID)
def test_a_model_for_embeddings_or_classes_writes_no_tokens(llama, name):
    """Its family, its sizes and all of its layers are those of a decoder that does."""
    architectures, writes = SAID[name]
    assert llama(tensors(head=False), architectures=architectures).decoder == writes


def test_a_folder_of_sentence_transformers_holds_a_model_for_embeddings(tmp_path):
    """Qwen3-Embedding calls itself Qwen3ForCausalLM; modules.json says what it is for."""
    folder = written(tmp_path, {"model_type": "llama", **SIZES}, tensors())
    assert counting.geometry(folder).decoder
    (folder / "modules.json").write_text("[]")
    assert not counting.geometry(folder).decoder and not counting.geometry(folder / "model.safetensors").decoder


@pytest.mark.parametrize("change", [{"pooling_type": 3}, {"attention.causal": False}])
def test_a_gguf_file_of_a_model_for_embeddings_writes_no_tokens(tmp_path, change):
    _, weights = trained()
    sizes = {"embedding_length": 32, "feed_forward_length": 88}
    assert counting.geometry(gguf_file(tmp_path / "a.gguf", weights, **sizes)).decoder
    assert not counting.geometry(gguf_file(tmp_path / "b.gguf", weights, **sizes, **change)).decoder


def test_what_sees_is_unknown_where_a_config_alone_names_it(tmp_path):
    nested = {"model_type": "llava", "text_config": {"model_type": "llama", **SIZES}}
    for eyes, senses in ({}, 0), ({"vision_config": None}, 0), ({"vision_config": {"n": 1}}, None):
        (tmp_path / "config.json").write_text(json.dumps(nested | eyes))
        assert counting.geometry(tmp_path).senses == senses


def test_codes_of_an_unknown_layout_bound_what_a_config_may_say(llama):
    """EXL2: a weight takes 1 to 16 bits of what lies there."""
    coded = {name: tensor for name, tensor in tensors().items() if "proj" not in name}
    for name, tensor in tensors().items():
        if "proj" in name:
            coded[name.replace("weight", "q_weight")] = torch.ones(tensor.numel() // 8, dtype=torch.int32).view(-1, 8)
            coded[name.replace("weight", "q_scale_max")] = torch.ones(4)
    made = llama(coded)
    assert made.rounded and made.total == llama(tensors()).total and not llama(tensors()).rounded
    assert not made.counted and llama(tensors()).counted
    with pytest.raises(ValueError, match=r"describes 8\.\d+e\+05 parameters .* some of them codes"):
        llama(coded, intermediate_size=2000)


def test_layers_behind_the_last_are_left_out_where_something_says_that_they_predict_further_tokens(llama):
    assert llama(tensors(layers=3), num_nextn_predict_layers=1).total == llama(tensors()).total
    with pytest.raises(ValueError, match="and the tensors beside it are"):
        llama(tensors(layers=3))


@pytest.mark.parametrize(
    "change",
    [
        {"intermediate_size": 112},
        {"num_hidden_layers": 1},
        {"num_hidden_layers": 3},
        {"num_key_value_heads": 4},
        {"model_type": "nemotron"},
    ],
)
def test_other_tensors_than_the_config_says_are_refused(llama, change):
    with pytest.raises(
        ValueError, match=r"config\.json describes \S+ parameters \(\w+\), and the tensors beside it are"
    ):
        llama(tensors(), **change)


def test_a_layer_without_tensors_is_no_rounding_of_the_count(llama):
    """One layer of 60 is 1.6 % of the parameters: a lost shard, and less than the tolerance."""
    whole = tensors(layers=60)
    assert llama(whole, num_hidden_layers=60).total == sum(tensor.numel() for tensor in whole.values())
    less = {name: tensor for name, tensor in whole.items() if ".41." not in name}
    with pytest.raises(ValueError, match="counts 60 layers, and of 1, as 41, no tensor is there"):
        llama(less, num_hidden_layers=60)


def test_a_head_that_is_not_there_is_missed_where_the_model_writes(llama):
    writes = {"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": False}
    with pytest.raises(ValueError, match="says that the head is a matrix of its own, and no tensor is one"):
        llama(tensors(head=False), **writes)
    assert llama(tensors(head=False), **(writes | {"architectures": ["LlamaModel"]})).tied
    assert not llama(tensors(), **writes).tied


def test_experts_are_counted_and_a_dense_formula_is_refused(tmp_path):
    folder = written(tmp_path, MIXTRAL, tensors(experts=4))
    assert counting.geometry(folder).total == sum(tensor.numel() for tensor in tensors(experts=4).values())
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **SIZES}))
    with pytest.raises(ValueError, match="a key that changes the count is not modelled"):
        counting.geometry(folder)


def test_codes_count_as_the_weights_that_they_stand_for(llama):
    """GPTQ's int4: eight weights in each number of qweight, with scales and zeros beside them."""
    coded = {}
    for name, weight in tensors().items():
        stem, (rows, columns) = name.removesuffix(".weight"), weight.shape if weight.dim() == 2 else (0, 0)
        if "proj" not in name:
            coded[name] = weight
            continue
        coded[f"{stem}.qweight"] = torch.zeros(columns // 8, rows, dtype=torch.int32)
        coded[f"{stem}.scales"] = torch.ones(columns // 32, rows, dtype=torch.float16)
        coded[f"{stem}.qzeros"] = torch.zeros(columns // 32, rows // 8, dtype=torch.int32)
        coded[f"{stem}.g_idx"] = (torch.arange(columns) // 32).int()
    quantised = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": True}
    assert llama(coded, quantization_config=quantised) == replace(llama(tensors()), rounded=True, method="gptq")
    assert llama(coded).rounded
    with pytest.raises(ValueError, match="and the tensors beside it are"):
        llama(coded, quantization_config=quantised, num_hidden_layers=3)
    unknown = {name.replace("qweight", "codes"): tensor for name, tensor in coded.items() if "qzeros" not in name}
    assert llama(unknown) == replace(
        llama(tensors()), rounded=True, counted=False
    )  # nothing to be held against but bounds
    with pytest.raises(ValueError, match="and the tensors beside it are"):  # a list of indices is no such codes
        llama(tensors() | {"d2t": torch.zeros(200, dtype=torch.int64)}, num_hidden_layers=3)


def test_what_survey_opens_has_a_geometry(tmp_path):
    """A folder of the hub's cache, one with an index of shards, one of its files, and one without weights."""
    config = {"model_type": "llama", **SIZES}
    cache = tmp_path / "models--a--b"
    place = written(cache / "snapshots" / "abc", config, tensors())
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    sharded = tmp_path / "sharded"
    sharded.mkdir()
    (sharded / "config.json").write_text(json.dumps(config))
    names, index = sorted(tensors()), {}
    for i, part in enumerate((names[:9], names[9:]), 1):
        index |= dict.fromkeys(part, file := f"model-{i:05}-of-00002.safetensors")
        save_file({name: tensors()[name] for name in part}, sharded / file)
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "config.json").write_text(json.dumps(config))
    paths = [place, cache, place / "model.safetensors", sharded, sharded / "model.safetensors.index.json", bare]
    assert {str(shapes.of_checkpoint(path)) for path in paths} == {str(shapes.of_checkpoint(place))}


def test_a_gguf_file_says_as_much_as_a_config(tmp_path):
    weights = trained()[1]
    more = {"embedding_length": 32, "feed_forward_length": 88, "attention.head_count_kv": 4, "attention.key_length": 8}
    path = gguf_file(tmp_path / "tiny.gguf", weights, **more)
    assert shapes.of_checkpoint(path).total == sum(weight.numel() for weight in weights.values())
    for key in ("expert_count", "attention.kv_lora_rank", "ssm.inner_size", "attention.indexer.head_count"):
        odd = gguf_file(tmp_path / "odd.gguf", weights, **more, **{key: 8})
        with pytest.raises(ValueError, match=r"odd\.gguf: "):
            shapes.of_checkpoint(odd)


def test_a_folder_that_says_nothing_is_refused_by_what_it_lacks(tmp_path):
    """A config.json without model_type, in a hub cache: the path is no hindrance, the family is."""
    written(tmp_path / "snapshots" / "abc", SIZES, tensors())
    with pytest.raises(ValueError, match=r"config\.json lacks model_type: give the geometry by hand"):
        shapes.of_checkpoint(tmp_path)
    with checkpoints.open(tmp_path) as checkpoint:
        assert len(checkpoint.tensors) == len(tensors())


def test_parts_of_a_config_that_disagree_on_the_head_are_refused_without_weights(tmp_path):
    """Some programs ask the whole, and others the part that writes."""
    inner = {"model_type": "qwen2_vl_text", **SIZES}
    for outside, inside in (True, False), (False, True):
        config = {"model_type": "qwen2_vl", "tie_word_embeddings": outside}
        config["text_config"] = inner | {"tie_word_embeddings": inside}
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(ValueError, match="tie_word_embeddings is true in one part and false in another"):
            counting.geometry(tmp_path)
        (tmp_path / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": inside}))
        assert counting.geometry(tmp_path).tied == inside
    bias = {f"model.layers.{i}.self_attn.{part}_proj.bias": torch.ones(n) for i in range(2) for part, n in BIASES}
    for head in (True, False):
        assert counting.geometry(written(tmp_path / str(head), config, tensors(head=head) | bias)).tied is not head


def test_tensors_decide_on_the_head_where_parts_of_a_config_disagree(tmp_path):
    """LLaVA and InternVL write both; the outer may say so by default alone."""
    config = {"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"]}
    for outside, inside in (True, False), (False, True):
        inner = {"model_type": "llama", **SIZES, "tie_word_embeddings": inside}
        config |= {"tie_word_embeddings": outside, "text_config": inner}
        for head in (True, False):
            folder = tmp_path / f"{outside}{head}"
            assert counting.geometry(written(folder, config, tensors(head=head))).tied is not head
    config["text_config"] = inner | {"tie_word_embeddings": False}  # as in Qwen3-VL-Embedding#89
    with pytest.raises(ValueError, match="says that the head is a matrix of its own, and no tensor is one"):
        counting.geometry(written(folder, config, tensors(head=False) | {"score.weight": torch.ones(2, 64)}))


BIASES = (("q", 64), ("k", 32), ("v", 32))


def test_other_checkpoints_beside_the_one_that_was_read_are_named(llama, tmp_path):
    assert llama(tensors()).beside == ()
    save_file(tensors(), tmp_path / "model" / "other-fp8.safetensors")
    assert llama(tensors()).beside == ("other-fp8.safetensors",)


def test_a_survey_says_where_the_config_counts_other_parameters(tmp_path):
    """One shard of several, called model.safetensors; or the config of another model."""
    config = {"model_type": "llama", **SIZES}
    draw = {name: torch.randn(tensor.shape) for name, tensor in tensors().items()}
    first = {name: tensor for name, tensor in draw.items() if "layers.1" not in name}
    for folder, weights in ("whole", draw), ("first", first):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            table = rl.survey(written(tmp_path / folder, config, weights), "int4", progress=False, fit=NO_FIT)
        said = [line for line in table.attrs["remarks"] if "config.json describes" in line]
        assert len(said) == len(told) == (folder == "first")
    assert (
        "describes 8.736e+04 parameters (llama), and the tensors beside it are 5.651e+04: some are missing" in said[0]
    )


@pytest.mark.parametrize("kind", [torch.int16, torch.uint16])
def test_floats_of_16_bits_under_another_type_are_as_many_weights(llama, kind):
    """Codes in words of 16 bits are fewer than the weights that they stand for."""
    views = {name: tensor.bfloat16().view(kind) for name, tensor in tensors().items()}
    model = llama(views)
    assert (model.total, model.counted, model.rounded) == (llama(tensors()).total, True, False)
    coded = {name: tensor[:, ::2].contiguous() if "proj" in name else tensor for name, tensor in views.items()}
    model = llama(coded)
    assert (model.counted, model.rounded) == (False, True)
