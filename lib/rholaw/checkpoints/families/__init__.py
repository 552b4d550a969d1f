"""The families of language models that are known: a config.json → the Geometry, with every parameter accounted for.

    families.geometry(config)       of a Config, from whatever file
    families.known()                the model_types

A family that is not known, and a key of a known one that would change the count and is not modelled, are errors that
name it.  Defaults are those of transformers, counts are held against it and against published totals (data/configs).
"""

from dataclasses import replace

from ...checked import shortened
from ..config import Config
from ..parts import Geometry
from . import gemma, hybrids, llamas, mixtures, newer, older
from .keys import Keys

ALIASES = {"qwen2_vl": "qwen2", "qwen2_5_vl": "qwen2", "qwen2_5_vl_text": "qwen2", "qwen2_vl_text": "qwen2"}
ALIASES |= {"qwen3_vl_text": "qwen3", "qwen3_vl_moe_text": "qwen3_moe", "qwen3_omni_moe_text": "qwen3_moe"}
ALIASES |= {"kimi_k25": "kimi_k2"}
"""Other names of a family, most of them of its text part in a model of several modalities."""


FAMILIES = llamas.FAMILIES | mixtures.FAMILIES | hybrids.FAMILIES | newer.FAMILIES | gemma.FAMILIES
FAMILIES |= older.FAMILIES

SIZES = {key for _, defaults in FAMILIES.values() for key in defaults}
SIZES -= {"max_position_embeddings", "n_positions", "no_rope_layer_interval"}
"""Keys that say how large a model of one family or another is."""

PERIODS = ("full_attention_interval", "interleave_moe_layer_step", "attention_chunk_size")
"""Which GGUF files of a family leave out where they are as usual."""


# Whether their head is the embedding where the config says so depends on the program: transformers 5.24 keeps two
# matrices (_tied_weights_keys is {}), and NVIDIA's modeling_nemotron_h.py, SGLang and Moonshot's modeling_kimi.py one.
# llama.cpp takes the embedding for a head that is missing in Nemotron-H, and refuses such a file of Kimi Linear.
EITHER = ("nemotron_h", "kimi_linear")


def known() -> list[str]:
    """The model_types whose decoder is modelled, in alphabetical order."""
    return sorted({*FAMILIES, *ALIASES})


def geometry(config: Config, weighs: bool = False) -> Geometry:
    """The Geometry of a model by its Config. Raises ValueError that names what is unknown, absent, or cannot be.

    weighs: its tensors are there, and will say whether its head is its embedding.
    """
    config.require("family")
    family = ALIASES.get(config.said["model_type"], config.said["model_type"])
    if family not in FAMILIES:
        raise ValueError(
            f"{config.source}: {config.keys['family']} is {shortened(config.family)}, a family that is not modelled "
            f"({len(known())} are, by families.known()); a survey of its tensors needs none"
        )
    build, defaults = FAMILIES[family]
    if config.spelled:  # GGUF says by every key that is there, and by those that are not
        config.require("layers", "width", "heads", "vocabulary")
        defaults = {key: defaults[key] for key in defaults if key not in config.spelled or key in PERIODS}
    keys = Keys(config.said, defaults, config.source, config.spelled)
    keys.read.update(("model_type", "vocab_size", "tie_word_embeddings"))
    if family in EITHER and not weighs:
        keys.same("tie_word_embeddings", False)
    if config.torn and not weighs:
        raise keys.refusal("tie_word_embeddings", "is true in one part and false in another: its weights would tell")
    geometry = build(keys)
    keys.rest(SIZES)
    heads = keys.maybe("num_attention_heads", "n_head")
    return replace(geometry, heads=heads, kv_heads=keys.maybe("num_key_value_heads") or heads)
