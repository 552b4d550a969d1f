"""What a checkpoint says of its decoder: the same from config.json and GGUF, and a named key where it cannot be."""

import json

import pytest
import torch
from safetensors.torch import save_file
from tiny_llama import TOKENIZER, gguf_file, hub, trained

from rholaw import checkpoints
from rholaw.checkpoints.config import KEYS, Config, from_gguf, from_json

PLAIN = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4}
PLAIN |= {"num_key_value_heads": 2, "head_dim": 16, "intermediate_size": 88, "vocab_size": 280, "rms_norm_eps": 1e-6}


def said(config: Config) -> dict:
    """The fields by the names of KEYS, and what is said beside them."""
    return {name: getattr(config, name) for name in ("family", "tied", *KEYS)}


def test_every_key_of_a_config_json_is_read():
    config = from_json(PLAIN | {"rope_theta": 5e5, "tie_word_embeddings": True, "attention_bias": True})
    expected = {"layers": 2, "width": 32, "heads": 4, "kv_heads": 2, "head_dim": 16, "feed_forward": 88}
    expected |= {"vocabulary": 280, "eps": 1e-6, "family": "llama"}
    assert said(config) == expected | {"tied": True}


def test_what_is_not_said_is_none_and_may_be_required():
    config = from_json({"model_type": "llama", "head_dim": None, "num_key_value_heads": None, "rope_theta": None})
    assert {name: getattr(config, name) for name in KEYS} == dict.fromkeys(KEYS)
    config.require("family")
    with pytest.raises(ValueError, match=r"^config\.json lacks num_hidden_layers, rms_norm_eps$"):
        config.require("layers", "eps")


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("num_hidden_layers", "2", 'is "2", not a positive whole number'),
        ("hidden_size", 32.5, "is 32.5, not a positive whole number"),
        ("num_attention_heads", 0, "is 0, not a positive whole number"),
        ("num_key_value_heads", -2, "is -2, not a positive whole number"),
        ("vocab_size", True, "is true, not a positive whole number"),
        ("intermediate_size", [88, 96], "differs from layer to layer"),
        ("vocab_size", 10**30, "is 10+, not a positive whole number"),
        ("rms_norm_eps", "tiny", 'is "tiny", not a positive number'),
        ("rms_norm_eps", float("nan"), "is NaN, not a positive number"),
        ("model_type", 3, "is 3, not a text"),
        ("tie_word_embeddings", "no", 'is "no", neither true nor false'),
    ],
)
def test_a_value_that_cannot_be_is_named_by_its_key(key, value, what):
    with pytest.raises(ValueError, match=f"config.json: {key} {what}"):
        from_json(PLAIN | {key: value})


def test_a_list_where_gguf_may_have_one_is_refused():
    keys = {"general.architecture": "openelm", "openelm.attention.head_count": [12, 16]}
    with pytest.raises(ValueError, match=r"a\.gguf: openelm\.attention\.head_count differs from layer to layer"):
        from_gguf(keys, {}, "a.gguf")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """One decoder in every layout that a checkpoint may have: {what: path}."""
    folder, weights = tmp_path_factory.mktemp("layouts"), trained()[1]
    config = PLAIN | {"head_dim": 8, "num_key_value_heads": 4}
    whole = hub(folder / "whole", weights, config)
    cache = folder / "cache"
    hub_folder = cache / "snapshots"
    hub_folder.mkdir(parents=True)
    hub(hub_folder / "abc", weights, config)
    (bare := folder / "bare").mkdir()
    (bare / "config.json").write_text(json.dumps(config))
    (sharded := folder / "sharded").mkdir()
    (sharded / "config.json").write_text(json.dumps(config))
    index = {}
    for number in (1, 2):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({f"tensor {number}": torch.ones(2)}, sharded / file)
        index[f"tensor {number}"] = file
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (alone := folder / "alone").mkdir()
    more = {"embedding_length": 32, "feed_forward_length": 88, "attention.head_count_kv": 4, "attention.key_length": 8}
    return {
        "folder": whole,
        "file": whole / "model.safetensors",
        "cache of the hub": cache,
        "folder without weights": bare,
        "folder of shards": sharded,
        "index": sharded / "model.safetensors.index.json",
        "shard": sharded / "model-00002-of-00002.safetensors",
        "GGUF": gguf_file(alone / "tiny.gguf", weights, **more),
        "folder of a GGUF": alone,
    }


LAYOUTS = ["folder", "file", "cache of the hub", "folder without weights", "folder of shards", "index", "shard"]
LAYOUTS += ["GGUF", "folder of a GGUF"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_decoder_is_described_alike_wherever_it_lies(places, layout):
    assert places.keys() == set(LAYOUTS)
    expected = {"family": "llama", "layers": 2, "width": 32, "heads": 4, "kv_heads": 4, "head_dim": 8}
    expected |= {"feed_forward": 88, "vocabulary": TOKENIZER.get_vocab_size(), "tied": False}
    described = said(checkpoints.described(places[layout]))
    assert described.pop("eps") == pytest.approx(1e-6)  # GGUF holds it in single precision
    assert described == expected


def test_gguf_tells_by_its_tensors_what_is_tied():
    config = from_gguf({"general.architecture": "qwen3"}, {"token_embd.weight": (100, 8)}, "a.gguf")
    assert (config.tied, config.vocabulary) == (True, 100)
    assert not from_gguf({"general.architecture": "llama"}, {"output.weight": (100, 8)}, "a.gguf").tied


def test_a_checkpoint_that_says_nothing_says_so(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors does not say what it holds, and no config\.json"):
        checkpoints.described(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"config\.json holds a JSON list, not an object"):
        checkpoints.described(tmp_path)
    with pytest.raises(ValueError, match="is a URL"):
        checkpoints.described("https://example.org/model")
