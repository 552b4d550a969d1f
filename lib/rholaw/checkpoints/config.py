"""What a checkpoint says of its decoder: a config.json of the Hugging Face hub, or the keys of a GGUF file → Config."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import untrusted
from ..checked import listed, shown
from . import foreign
from .gguf_keys import as_json
from .tensors import File

KEYS = {  # field of Config → its key in config.json, and in GGUF behind the name of the architecture
    "layers": ("num_hidden_layers", "block_count"),
    "width": ("hidden_size", "embedding_length"),
    "heads": ("num_attention_heads", "attention.head_count"),
    "kv_heads": ("num_key_value_heads", "attention.head_count_kv"),
    "head_dim": ("head_dim", "attention.key_length"),
    "feed_forward": ("intermediate_size", "feed_forward_length"),
    "vocabulary": ("vocab_size", "vocab_size"),
    "eps": ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
}
REAL = {"eps"}  # all others are whole numbers
LAYERS = 1000  # of a model, at most
WORD = 100  # characters of a name of a family
NESTED = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where the decoder stands in the config of a model of several modalities."""
SENSES = r"(vision|visual|image|video|audio|speech|sound)\w*_config"
"""What such a config calls its other parts."""
HEADED = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")
ROUNDED = ("quantization_config", "compression_config", "quantization")
NO_WRITER = (
    r"For(\w*Classification|QuestionAnswering|MultipleChoice|MaskedLM|\w*Retrieval|\w*Embedding|\w*RewardModel)$|"
    r"(?<!LMHead)(?<!Chat)Model$|Diffusion|LLaDA|Dream|dLLM|SDAR"
)
"""Among ``architectures``: a part of a model, as for embeddings, or one with another head than for tokens.

And models of diffusion, which write many at once.
"""


@dataclass(frozen=True)
class Config:
    """A decoder as its checkpoint describes it; None where nothing is said.

    source: the file that says it; keys: {field: key there}.  family: "llama", "qwen2", …  width: of the residual
    stream; eps: of its norms.  tied: the head shares the embedding's matrix.  said: all that is said of the decoder, by
    the keys of config.json; spelled: {such a key: the key in the source}, where it is another.  writes: not said to be
    a model that writes no tokens; senses, rounded: parts that see or hear are named, or how it was quantised.
    torn: its parts say otherwise of ``tied`` than the whole; headed: its class has a head for tokens.
    """

    source: str
    keys: dict[str, str]
    family: str | None
    layers: int | None
    width: int | None
    heads: int | None
    kv_heads: int | None
    head_dim: int | None
    feed_forward: int | None
    vocabulary: int | None
    eps: float | None
    tied: bool
    said: dict = field(default_factory=dict, repr=False)
    spelled: dict[str, str] = field(default_factory=dict, repr=False)
    writes: bool = True
    senses: bool = False
    rounded: bool = False
    torn: bool = False
    headed: bool = False

    def require(self, *names: str) -> None:
        """ValueError that lists which of these fields the source says nothing of, by its own keys."""
        if missing := [self.keys[name] for name in names if getattr(self, name) is None]:
            raise ValueError(f"{self.source} lacks {listed(missing)}")


def json_object(path: Path) -> dict:
    """The object in a JSON file; ValueError as ``untrusted.json_object``."""
    with File(path) as file:
        if file.size > untrusted.LARGEST:
            raise ValueError(f"{path.name} has {file.size:,} bytes, at most {untrusted.LARGEST:,} are read")
        return untrusted.json_object(file.part(0, file.size).numpy().tobytes(), path.name)


def beside(folder: Path, name: str = "config.json") -> dict | None:
    """The object in a JSON file of a folder; None where there is none. Raises ValueError as ``json_object``."""
    path = folder / name
    if path.is_symlink() and not path.exists():  # as in the hub's cache, and what it says is not known
        raise ValueError(f"{path} is a link to a file that is not there: download it again")
    return json_object(path) if path.is_file() else None


def absent(folder: Path) -> str:
    """What to do where a folder has no config.json, as part of a sentence."""
    other = f"; params.json is {foreign.PARAMS}" if (folder / "params.json").is_file() else ""
    return f"no config.json lies beside it{other}"


def from_json(values: dict) -> Config:
    """The Config in the object of a config.json. Raises ValueError that names a key whose value cannot be."""
    source, keys = "config.json", {name: key for name, (key, _) in KEYS.items()} | {"family": "model_type"}
    parts = _parts(values)
    ties = {part["tie_word_embeddings"] for part in parts if isinstance(part.get("tie_word_embeddings"), bool)}
    classes = next(filter(None, (part.get("architectures") for part in parts)), None)
    classes = [name for name in classes if isinstance(name, str)] if isinstance(classes, list) else []
    values = _decoder(values)
    family = _text(values, "model_type", source)
    return Config(
        source,
        keys,
        family,
        **_numbers(values, keys, source),
        tied=_flag(values, "tie_word_embeddings", source),
        said=values,
        writes=not classes or any(re.search(NO_WRITER, name) is None for name in classes),
        senses=any(bool(part[key]) and re.fullmatch(SENSES, key) is not None for part in parts for key in part),
        rounded=any(bool(part.get(key)) for part in parts for key in ROUNDED),
        torn=len(ties) > 1,
        headed=any(name.endswith(HEADED) for name in classes),
    )


def _parts(values: dict) -> list[dict]:
    """The config, and what stands in it of the decoder, from the outside to the inside."""
    inner = next((part for name in NESTED if (part := _part(values, name))), None)
    return [values, *(_parts(inner) if inner else ())]


def _decoder(values: dict) -> dict:
    """What is said of the decoder, of a model of several modalities its own part, and whether it is tied from above."""
    for name in NESTED:
        if inner := _part(values, name):
            above = {key: values[key] for key in ("tie_word_embeddings",) if values.get(key) is not None}
            family = _text(values, "model_type", "config.json")
            return _decoder(above | {"model_type": f"{family}_text"} | inner)
    return values


def from_gguf(values: dict, shapes: dict[str, tuple[int, ...]], source: str) -> Config:
    """The Config in the keys of a GGUF file and its tensors ({name: shape}). Raises ValueError as ``from_json``."""
    family = _text(values, "general.architecture", source)
    own = (f"{family}.", "general.architecture")
    values = {key: _layered(value, key, source) for key, value in values.items() if key.startswith(own)}
    keys = {name: f"{family}.{key}" for name, (_, key) in KEYS.items()} | {"family": "general.architecture"}
    embedding = shapes.get("token_embd.weight", ())[:1]
    said, spelled = as_json(values, shapes, family or "")
    return Config(
        source,
        keys,
        family,
        **_numbers(dict(zip([keys["vocabulary"]], embedding, strict=False)) | values, keys, source),
        tied="output.weight" not in shapes,
        said=said,
        spelled=spelled,
        writes=not values.get(f"{family}.pooling_type") and values.get(f"{family}.attention.causal") is not False,
    )


def _layered(value: object, key: str, source: str) -> object:
    """A value of a GGUF file; an array, which says something of each layer, as a list."""
    if not isinstance(value, np.ndarray):
        return value
    if len(value) > LAYERS:
        raise ValueError(f"{source}: {shown(key)} has {len(value):,} items: no model has more than {LAYERS:,} layers")
    return value.tolist()


def _numbers(values: dict, keys: dict[str, str], source: str) -> dict[str, float | None]:
    """{field: its number}, None where the key is not there, or null."""
    numbers = dict.fromkeys(KEYS)
    for name in KEYS:
        if values.get(keys[name]) is None:
            continue
        value, kinds = alike(values[keys[name]]), (int, float) if name in REAL else (int,)
        if isinstance(value, list) and value and all(type(one) in kinds for one in value):
            raise ValueError(f"{source}: {keys[name]} differs from layer to layer, which is not modelled")
        if type(value) not in kinds or not 0 < value < 2**63:
            whole = "" if name in REAL else "whole "
            raise ValueError(f"{source}: {keys[name]} is {_shown(value)}, not a positive {whole}number")
        numbers[name] = value
    return numbers


def alike(value: object) -> object:
    """What all items of a list are, as where one number is said of each layer; anything else as it is."""
    return value[0] if isinstance(value, list) and value and value.count(value[0]) == len(value) else value


def _text(values: dict, key: str, source: str) -> str | None:
    value = values.get(key)
    if value is not None and not (isinstance(value, str) and value.isprintable() and len(value) <= WORD):
        raise ValueError(f"{source}: {key} is {_shown(value)}, not a text of at most {WORD} characters")
    return value


def _flag(values: dict, key: str, source: str) -> bool:
    value = values.get(key)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{source}: {key} is {_shown(value)}, neither true nor false")
    return bool(value)


def _part(values: dict, key: str) -> dict:
    value = values.get(key)
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"config.json: {key} is {_shown(value)}, not an object")
    return value or {}


def _shown(value: object) -> str:
    """A value as JSON writes it, some characters of it."""
    plain = value is None or isinstance(value, bool | int | float | str)
    return f"{json.dumps(value, ensure_ascii=False):.80}" if plain else shown(value)
