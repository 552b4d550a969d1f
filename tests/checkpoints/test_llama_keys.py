"""What the keys of a Llama change, against transformers where it is installed, and what is refused by its name."""

import json
import math

import pytest
import torch
from quantised_files import packed
from tiny_llama import CONFIG, TEXT, TOKENIZER, gguf_file, hub, trained

import rholaw as rl
from rholaw.checkpoints import llama, summing
from rholaw.checkpoints.llama_keys import ACTIVATIONS, HARMLESS, of_gguf, of_json

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3 |= {"original_max_position_embeddings": 64}


@pytest.fixture(scope="module")
def weights():
    return trained()[1]


def refusal(path):
    with pytest.raises(ValueError, match="cannot be run as a Llama") as error:
        llama.load(path)
    assert len(str(error.value)) <= 500
    return str(error.value)


# ---- what is computed


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"rope_scaling": {"type": "linear", "factor": 4.0}},
        {"rope_scaling": {"rope_type": "linear", "factor": 4}, "rope_theta": 500.0},
        {"rope_scaling": LLAMA3, "rope_theta": 500000.0},
        {"rope_parameters": LLAMA3 | {"rope_theta": 1000.0}},
        {"rope_parameters": {"rope_type": "default"}, "rope_theta": 777.0},
        {"attention_bias": True},
        {"mlp_bias": True, "hidden_act": "relu"},
        {"head_dim": 16, "num_key_value_heads": 2, "tie_word_embeddings": True},
        *({"hidden_act": name} for name in ACTIVATIONS),
    ],
    ids=str,
)
def test_losses_are_those_of_transformers(tmp_path, keys):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "intermediate_size": 88, "vocab_size": 280, "max_position_embeddings": 512}
    config = transformers.LlamaConfig(**CONFIG | sizes | json.loads(json.dumps(keys)))
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval()
    for name, weight in model.named_parameters():
        torch.nn.init.normal_(weight, 1.0 if "norm" in name else 0.0, 0.3)
    model.save_pretrained(tmp_path)
    if "rope_scaling" in keys or "rope_theta" in keys:  # as older versions wrote it
        plain = {"architectures": ["LlamaForCausalLM"], **CONFIG, **sizes, **keys}
        (tmp_path / "config.json").write_text(json.dumps(plain))
    TOKENIZER.save(str(tmp_path / "tokenizer.json"))
    ours = llama.load(tmp_path)
    blocks = llama.blocks(ours, TEXT, 4, 200)
    with torch.no_grad():
        logits = model(blocks[:, :-1]).logits
    theirs = torch.nn.functional.cross_entropy(logits.flatten(0, 1), blocks[:, 1:].flatten(), reduction="none")
    torch.testing.assert_close(ours.losses(blocks).flatten(), theirs, atol=1e-5, rtol=1e-5)


def test_frequencies_by_hand():
    plain = [10_000 ** (-2 * i / 16) for i in range(8)]
    assert of_json({}).frequencies(16).tolist() == pytest.approx(plain)
    linear = of_json({"rope_scaling": {"type": "linear", "factor": 4}}).frequencies(16)
    assert linear.tolist() == pytest.approx([one / 4 for one in plain])
    right = []
    for one in plain:  # Llama 3.1, model.py, apply_scaling
        wavelength = 2 * math.pi / one
        smooth = (64 / wavelength - 1) / (4 - 1)
        between = (1 - smooth) * one / 8 + smooth * one
        right.append(one if wavelength < 64 / 4 else one / 8 if wavelength > 64 / 1 else between)
    assert of_json({"rope_scaling": LLAMA3}).frequencies(16).tolist() == pytest.approx(right)
    ratios = {round(b / a, 6) for a, b in zip(plain, right, strict=True)}
    assert {1.0, 1 / 8} < ratios  # and some between: all three cases were there


@pytest.mark.parametrize("keys", [{"rope.scaling.factor": 4.0}, {"rope.scale_linear": 4.0}])
def test_a_factor_in_a_gguf_file_is_linear(tmp_path, weights, keys):
    """textgen#6111, llama.cpp#2772."""
    scaled = llama.load(gguf_file(tmp_path / "a.gguf", weights, **keys))
    same = llama.load(hub(tmp_path / "hub", weights, CONFIG | {"rope_scaling": {"type": "linear", "factor": 4.0}}))
    plain = llama.load(hub(tmp_path / "plain", weights))
    blocks = llama.blocks(plain, TEXT, 4, 64)
    torch.testing.assert_close(scaled.losses(blocks), same.losses(blocks), atol=1e-5, rtol=0)
    assert (scaled.losses(blocks) - plain.losses(blocks)).abs().max() > 0.1
    for none in ({"rope.scaling.factor": 0.0}, {"rope.scaling.factor": 1.0}):
        assert torch.equal(of_gguf({f"llama.{k}": v for k, v in none.items()}, "").frequencies(8), plain.frequencies)


def test_rope_freqs_of_a_gguf_file_are_the_scaling_of_llama_3(tmp_path, weights):
    """transformers#35255; llama.cpp's converter writes factors from config.json, which its rope divides by."""
    same = llama.load(hub(tmp_path / "hub", weights, CONFIG | {"rope_scaling": LLAMA3}))
    factors = of_json({}).frequencies(8) / of_json({"rope_scaling": LLAMA3}).frequencies(8)
    scaled = llama.load(gguf_file(tmp_path / "a.gguf", weights, more={"rope_freqs.weight": factors}))
    blocks = llama.blocks(same, TEXT, 4, 64)
    torch.testing.assert_close(scaled.losses(blocks), same.losses(blocks), atol=1e-5, rtol=0)
    for wrong in (torch.ones(3), torch.zeros(4), torch.tensor([1.0, math.nan, 1, 1])):
        file = gguf_file(tmp_path / "b.gguf", weights, more={"rope_freqs.weight": wrong})
        assert "rope_freqs.weight" in refusal(file)


def test_biases_of_a_gguf_file_count(tmp_path, weights):
    biases = {f"model.layers.{i}.self_attn.{p}_proj.bias": torch.linspace(-1, 1, 32) for i in (0, 1) for p in "qkvo"}
    same = llama.load(hub(tmp_path / "hub", weights, CONFIG | {"attention_bias": True}, **biases))
    pair = torch.linspace(-1, 1, 32).view(4, 2, 4).swapaxes(1, 2).reshape(32)  # as neighbours turn
    more = {f"blk.{i}.attn_{p}.bias": pair for i in (0, 1) for p in "qk"}
    more |= {f"blk.{i}.attn_{p}.bias": torch.linspace(-1, 1, 32) for i in (0, 1) for p in ("v", "output")}
    other = llama.load(gguf_file(tmp_path / "a.gguf", weights, more=more))
    blocks = llama.blocks(same, TEXT, 4, 64)
    torch.testing.assert_close(other.losses(blocks), same.losses(blocks), atol=1e-5, rtol=0)


# ---- what is refused


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"rope_scaling": {"type": "dynamic", "factor": 4.0}}, "its rotary positions are 'dynamic'"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "are 'yarn'; computed are default, linear, llama3"),
        ({"rope_parameters": {"rope_type": "longrope"}}, "are 'longrope'"),
        ({"rope_scaling": {"factor": 4.0}}, "has 'rope_scaling.factor', which may change"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling of the type linear lacks factor"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "lacks low_freq_factor, high_freq_factor, orig"),
        ({"rope_scaling": {"type": "linear", "factor": "4"}}, "rope_scaling.factor must be a number"),
        ({"rope_scaling": {"type": "linear", "factor": -1}}, "rope_scaling.factor -1 must be above 0"),
        ({"rope_scaling": {"type": "linear", "factor": 1e-44}}, "no finite numbers"),
        ({"rope_scaling": {"type": "linear", "rope_type": "default", "factor": 4}}, "rope_type and type disagree"),
        ({"rope_scaling": {"type": ["linear"], "factor": 4}}, "its rotary positions are ['linear']"),
        ({"rope_scaling": "linear"}, "rope_scaling is"),
        ({"rope_scaling": LLAMA3 | {"low_freq_factor": 4.0}}, "low_freq_factor must be below high_freq_factor"),
        ({"rope_scaling": LLAMA3, "rope_parameters": LLAMA3 | {"factor": 2.0}}, "and rope_parameters disagree"),
        ({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5}}, "both rope_theta disagree, 10000.0, 500000.0"),
        ({"rope_parameters": {"full_attention": {"rope_type": "default"}}}, "'rope_scaling.full_attention'"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "rope_scaling.partial_rotary_factor is 0.5"),
        ({"partial_rotary_factor": 0.25}, "partial_rotary_factor is 0.25; computed is 1"),
        ({"hidden_act": "fatrelu"}, "hidden_act is 'fatrelu'; computed are silu"),
        ({"hidden_act": ["silu"]}, "hidden_act is ['silu']"),
        ({"sliding_window": 4096}, "has 'sliding_window', which may change what the model computes"),
        ({"final_logit_softcapping": 30.0}, "has 'final_logit_softcapping'"),
        ({"logits_scaling": 8.0}, "logits_scaling is 8.0; computed is 1"),
        ({"num_local_experts": 8}, "num_local_experts is 8"),
        ({"weight_bits": 1, "input_bits": 8}, "has 'weight_bits'"),  # huggingface's first BitNet, of type llama
        ({"auto_map": {"AutoModelForCausalLM": "modeling.My"}}, "has 'auto_map'"),
        ({"quantization_config": {"quant_method": "fp8"}}, "of 'fp8', which may round activations too"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "computed is ['LlamaForCausalLM']"),
        ({"attention_bias": True}, "it lacks 'model.layers.0.self_attn.k_proj.bias'"),
        ({"mlp_bias": "no"}, "mlp_bias is 'no', neither true nor false"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings is true, and lm_head.weight is not the embedding"),
        ({"vocab_size": 281}, "vocab_size is 281, and its tensors have 280"),
        ({"hidden_size": 64}, "hidden_size is 64, and its tensors have 32"),
        ({"x" * 10_000: 1}, "which may change"),
    ],
)
def test_a_key_that_is_not_computed_is_refused(tmp_path, weights, keys, says):
    """optimum-neuron#439, vllm#52977, BitNet#602 and others of their kind."""
    assert says in refusal(hub(tmp_path, weights, CONFIG | keys))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"rope.scaling.type": "yarn"}, "its rotary positions are 'yarn'; computed are none and linear"),
        ({"rope.scaling.factor": -2.0}, "its factor of positions -2 must be above 0"),
        ({"rope.scaling.attn_factor": 1.5}, "llama.rope.scaling.attn_factor is 1.5; computed is 1"),
        ({"rope.dimension_count": 4}, "rope.dimension_count is 4, and a head has 8 channels, all of which turn"),
        ({"attention.value_length": 16}, "attention.value_length is 16"),
        ({"expert_count": 8}, "llama.expert_count is 8; computed is 0"),
        ({"attention.sliding_window": 4096}, "llama.attention.sliding_window is 4096"),
        ({"final_logit_softcapping": 30.0}, "has 'llama.final_logit_softcapping', which may change"),
        ({"vocab_size": 281}, "llama.vocab_size is 281, and its tensors have 280"),
    ],
)
def test_a_key_of_gguf_that_is_not_computed_is_refused(tmp_path, weights, keys, says):
    """text-generation-webui#6111."""
    assert says in refusal(gguf_file(tmp_path / "a.gguf", weights, **keys))


def test_what_the_tensors_say_otherwise_is_refused(tmp_path, weights):
    alone = {place: weight for place, weight in weights.items() if place != (-1, "head")}
    untied = hub(tmp_path / "untied", alone, CONFIG | {"tie_word_embeddings": False})
    assert "it lacks 'lm_head.weight'" in refusal(untied)
    bias = {"model.layers.0.self_attn.q_proj.bias": torch.zeros(32)}
    assert "it has 'model.layers.0.self_attn.q_proj.bias'" in refusal(hub(tmp_path / "bias", weights, **bias))
    codes = weights | {(0, "up"): torch.ones(88, 32, dtype=torch.int8)}
    assert "mlp.up_proj.weight holds I8, which are no weights" in refusal(hub(tmp_path / "codes", codes))


def test_keys_that_change_nothing_are_no_reason(tmp_path, weights):
    plain = llama.load(hub(tmp_path / "plain", weights))
    keys = dict.fromkeys(HARMLESS, 7) | {"sliding_window": None, "partial_rotary_factor": 1.0, "pruned_heads": {}}
    keys |= {"rope_interleaved": False, "quantization_config": {"quant_method": "gptq"}, "rope_scaling": {}}
    same = llama.load(hub(tmp_path / "same", weights, CONFIG | keys))
    assert torch.equal(same.frequencies, plain.frequencies) and same.activation == plain.activation
    buffers = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.rand(4) for i in (0, 1)}
    old = llama.load(hub(tmp_path / "old", weights, **buffers | {"model.rotary_emb.inv_freq": torch.rand(4)}))
    assert old.weights.keys() == plain.weights.keys()


def test_all_that_transformers_writes_of_a_llama_is_known():
    transformers = pytest.importorskip("transformers")
    of_json(transformers.LlamaConfig(architectures=["LlamaForCausalLM"]).to_dict())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_is_named_with_its_place(tmp_path, value):
    """llama.cpp#6884, vllm#53537."""
    spoilt = trained()[1]
    spoilt[0, "up"][3, 5] = value
    says = refusal(hub(tmp_path / "hub", spoilt))
    assert "model.layers.0.mlp.up_proj.weight has" in says and "the first at [3, 5]" in says
    assert "blk.0.ffn_up.weight has" in refusal(gguf_file(tmp_path / "a.gguf", spoilt))
    spoilt = trained()[1]
    spoilt[1, "mlp norm"][7] = value
    assert "post_attention_layernorm.weight has" in refusal(hub(tmp_path / "norm", spoilt))


# ---- the tokenizer


def changed(folder, **parts):
    """tokenizer.json of a folder with other ``parts``."""
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | parts))
    return folder


def test_a_text_has_all_its_tokens_and_no_others(tmp_path, weights):
    """quackformers#83, model2vec#374."""
    cut = {"direction": "Right", "max_length": 512, "strategy": "LongestFirst", "stride": 0}
    pad = {"strategy": {"Fixed": 9000}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0}
    pad |= {"pad_type_id": 0, "pad_token": "x"}
    right = TOKENIZER.encode(TEXT * 10).ids
    random = json.loads(TOKENIZER.to_str())["model"] | {"dropout": 0.5}
    for parts in ({"truncation": cut}, {"padding": pad}, {"truncation": cut, "padding": pad}, {"model": random}):
        model = llama.load(changed(hub(tmp_path / "hub", weights), **parts))
        assert model.tokenizer.encode(TEXT * 10).ids == right


def test_a_token_without_a_row_is_refused_by_its_name(tmp_path, weights):
    """tokenizers#1609, lo-fit#1."""
    added = {"id": 280, "content": "capacity", "single_word": False, "lstrip": False, "rstrip": False}
    added |= {"normalized": True, "special": False}
    folder = changed(hub(tmp_path / "hub", weights), added_tokens=[added])
    assert "gives 'capacity' the number 280, and the embedding has 280 rows" in refusal(folder)
    begin = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    template = {"type": "TemplateProcessing", "single": [begin, {"Sequence": {"id": "A", "type_id": 0}}], "pair": []}
    template["special_tokens"] = {"<s>": {"id": "<s>", "ids": [99999], "tokens": ["<s>"]}}
    assert "gives 'a special token' the number 99999" in refusal(
        changed(hub(tmp_path / "hub", weights), post_processor=template)
    )
    template["special_tokens"] = {}  # which its package panics of
    assert "its tokenizer cannot be built: no entry" in refusal(
        changed(hub(tmp_path / "hub", weights), post_processor=template)
    )
    few = {place: w[:270].clone() if place[1] in ("embedding", "head") else w for place, w in weights.items()}
    assert "the number 270, and the embedding has 270 rows" in refusal(hub(tmp_path / "few", few))
    assert "the number 270, and the embedding has 270 rows" in refusal(gguf_file(tmp_path / "a.gguf", few))


def test_tokens_that_users_defined_are_never_split_in_a_gguf_file(tmp_path, weights):
    token = json.loads(TOKENIZER.to_str())["model"]["vocab"]
    word = max(token, key=len)
    model = llama.load(gguf_file(tmp_path / "a.gguf", weights, types={token[word]: 4}))
    assert model.tokenizer.encode(f"z{word}z").ids[1] == token[word]


def test_weights_in_the_codes_of_gptq_are_those_that_they_stand_for(tmp_path, weights):
    """Rounded weights leave activations as they are: the decoder computes what GPTQ's own kernels do, in float32."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 16, (32, 32), generator=generator)
    scales = torch.rand(1, 32, generator=generator).half() / 50
    stem, about = "model.layers.0.self_attn.q_proj", {"quant_method": "gptq", "bits": 4, "checkpoint_format": "gptq_v2"}
    coded = {"qweight": packed(codes.numpy(), 4).T.contiguous(), "scales": scales, "g_idx": torch.zeros(32).int()}
    coded["qzeros"] = packed([[8] * 32], 4)
    plain = weights | {(0, "query"): (codes - 8).float() * scales.float().T}
    same = llama.load(hub(tmp_path / "plain", plain))
    others = {place: weight for place, weight in weights.items() if place != (0, "query")}
    config = CONFIG | {"quantization_config": about}
    model = llama.load(hub(tmp_path / "coded", others, config, **{f"{stem}.{n}": one for n, one in coded.items()}))
    blocks = llama.blocks(same, TEXT, 4, 64)
    torch.testing.assert_close(model.losses(blocks), same.losses(blocks), atol=1e-5, rtol=0)


PACKED = {"quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed"}
PACKED |= {"config_groups": {"group_0": {"targets": ["Linear"], "format": "pack-quantized", "input_activations": None}}}
PACKED |= {"kv_cache_scheme": None, "sparsity_config": {}, "transform_config": {}, "ignore": ["lm_head"]}


def test_weights_that_llm_compressor_packed_are_those_that_they_stand_for(tmp_path, weights):
    codes = torch.randint(0, 16, (32, 32), generator=torch.Generator().manual_seed(0))
    scales = torch.rand(32, 1, generator=torch.Generator().manual_seed(1)).bfloat16() / 50
    coded = {"weight_packed": packed(codes.numpy(), 4), "weight_scale": scales, "weight_shape": torch.tensor([32, 32])}
    coded = {f"model.layers.0.self_attn.q_proj.{name}": tensor for name, tensor in coded.items()}
    others = {place: weight for place, weight in weights.items() if place != (0, "query")}
    model = llama.load(hub(tmp_path, others, CONFIG | {"quantization_config": PACKED}, **coded))
    stands_for = (codes - 8).float() * scales.float()
    assert torch.equal(model.weights["model.layers.0.self_attn.q_proj.weight"], stands_for)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "int-quantized"},
        {"format": "nvfp4-pack-quantized"},
        {"kv_cache_scheme": {"num_bits": 8, "type": "float"}},
        {"sparsity_config": {"format": "sparse-24-bitmask"}},
        {"config_groups": {"group_0": {"input_activations": {"num_bits": 8, "dynamic": True}}}},
        {"config_groups": {"group_0": {"output_activations": {"num_bits": 8}}}},
        {"config_groups": {"group_0": {}, "group_1": {"format": "float-quantized"}}},
        {"config_groups": None},
        {"config_groups": [1]},
        {"config_groups": {"group_0": "W4A16"}},
    ],
    ids=str,
)
def test_what_rounds_more_than_weights_is_refused(tmp_path, weights, change):
    config = CONFIG | {"quantization_config": PACKED | change}
    assert "which may round activations too" in refusal(hub(tmp_path, weights, config))


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (PACKED | {"transform_config": {"config_groups": {"u": {"type": "hadamard"}}}}, "has 'transform_config'"),
        ({"quant_method": "auto-round", "rotation_config": {"r3": True}}, "has 'rotation_config'"),
        ({"quant_method": "quark", "online_hadamard": True}, "has 'online_hadamard'"),
        ({"quant_method": "bitnet", "quantization_mode": "online"}, "it is a BitNet"),
    ],
)
def test_a_model_that_does_more_than_multiply_by_its_matrices_is_never_run(tmp_path, weights, about, said):
    """llm-compressor#2238, transformers#37503: nor with inputs that stay dense; a survey of its weights says it."""
    folder = hub(tmp_path / "model", weights, CONFIG | {"quantization_config": about})
    assert said in refusal(folder)
    with pytest.raises(ValueError, match=said):
        rl.evaluate(folder, "int4/g32", activations="dense", progress=False)
    with pytest.warns(UserWarning, match=said):
        table = rl.survey(folder, "int4/g32", rotation=0, progress=False)
    assert said in summing.doubt(table)


def test_a_training_layout_changes_nothing_and_squares_of_relu_are_computed(tmp_path, weights):
    sizes = CONFIG | {"hidden_size": 32, "intermediate_size": 88, "vocab_size": 280}
    losses = []
    for place, keys in enumerate(({}, {"pretraining_tp": 2}, {"hidden_act": "relu2"})):
        model = llama.load(hub(tmp_path / str(place), weights, sizes | keys))
        losses.append(model.losses(torch.arange(34).view(2, 17)))
    assert torch.equal(losses[0], losses[1]) and not torch.allclose(losses[0], losses[2])
    assert ACTIVATIONS["relu2"](torch.tensor([-2.0, 0.0, 3.0])).tolist() == [0.0, 0.0, 9.0]
