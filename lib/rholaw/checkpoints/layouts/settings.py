"""How a checkpoint says that it was quantised: quantization_config in config.json, or a file of its own beside it."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from ...checked import shown
from ...untrusted import json_object
from ..changes import BITNET, NONE, TURNED, Change
from ..config import beside

TABLES = ("quantization_config", "compression_config")  # in config.json; the second of older compressed-tensors
PACKED = "pack-quantized"  # compressed-tensors' whole numbers of a few bits, and no rounded activations by itself
WEIGHTS = re.compile(r"w\d+a16(_\w+)?|\w+_wo")  # of ModelOpt's quant_algo, those of weights alone
FILES = ("quantize_config.json", "quant_config.json", "hf_quant_config.json")  # of GPTQ, AWQ, ModelOpt
TURNS = re.compile(r"transform|rotation|hadamard|quarot|spinquant")  # in a key of compressed-tensors, AutoRound, Quark
ROTATES = re.compile(r"hadamard|quarot|spinquant|rotation|rotated|(^|_)rotate_|^online_had|^R[1-4]$")  # of config.json
LARGEST = 2**20  # of a block


@dataclass(frozen=True)
class Settings:
    """What the layouts of codes depend on, and what the shapes do not tell.

    method: what quantised it, "" where nothing says so.  gptq: its checkpoint_format, "auto_round" for its own, or "".
    block: (rows, columns) that share a scale, or ().  affine: MLX's table of group_size and bits, by modules too.
    divides: scales divide, as in CTranslate2.  bits: the most that a weight has by what is said, or 0.  ordered,
    symmetric: GPTQ's desc_act, groups are no neighbours, and its sym, zeros are the middle.  cache: what keys and
    values are rounded to, such as "fp8", or "".  changes: what else the model does than to multiply by its matrices as
    they lie.
    """

    method: str = ""
    gptq: str = ""
    block: tuple[int, ...] = ()
    affine: dict = field(default_factory=dict)
    divides: bool = False
    bits: int = 0
    ordered: bool = False
    symmetric: bool = False
    cache: str = ""
    changes: Change = NONE

    def mlx(self, stem: str) -> tuple[int | None, int | None, str]:
        """(group size, bits, mode) of a module in MLX, None where nothing is said."""
        table = self.affine | _table(self.affine, stem)
        size, bits = (_count(table, key) for key in ("group_size", "bits"))
        return size, bits, _text(table, "mode")


def read(folder: Path, said: dict) -> Settings:
    """The Settings of a checkpoint whose files lie in ``folder`` and say ``said``, with its "config" if there is one.

    Raises ValueError that names a key whose value cannot be.
    """
    config = said.get("config") if isinstance(said.get("config"), dict) else {}
    inner = _table(config, "text_config")
    about = _table(config, "quantization_config") or _table(inner, "quantization_config")
    about = about or _table(config, "compression_config")  # of older compressed-tensors
    about = about or _header(config) or _header(said)
    for file in FILES:
        if not about:
            about = beside(folder, file) or {}
            about = _table(about, "quantization") or about
    affine = _table(config, "quantization") or (about if "group_size" in about else {})
    block = about.get("weight_block_size")
    if block is not None and not (isinstance(block, list) and len(block) == 2):
        raise ValueError(f"weight_block_size is {shown(block)}, not two numbers")
    return Settings(
        _text(about, "quant_method")
        or _text(about, "quant_algo")
        or ("comfyui" if "_quantization_metadata" in said else "quantised" if about or affine else ""),
        _text(about, "checkpoint_format") or _auto_round(about),
        tuple(_count({"weight_block_size": size}, "weight_block_size") for size in block or ()),
        affine,
        "binary_version" in said,
        max(_bits(about), default=0),
        about.get("desc_act") is True,
        about.get("sym") is True,
        _text(about, "kv_cache_quant_algo") or _cache(_table(about, "kv_cache_scheme")),
        _changes(config, inner, about),
    )


def rounds_more(folder: Path, config: dict) -> str:
    """Where a checkpoint says that an engine may round more than its weights, and how: a sentence's beginning, or "".

    folder, config: of its files, and the object of its config.json.
    """
    said = [
        (f"config.json: {key}", part.get(key)) for part in (config, _table(config, "text_config")) for key in TABLES
    ]
    files = {file: values for file in FILES if (values := beside(folder, file))}
    for where, about in said + [(file, values.get("quantization", values)) for file, values in files.items()]:
        if about is not None and not _weights_only(about):
            method = (about.get("quant_method") or about.get("quant_algo")) if isinstance(about, dict) else about
            return f"{where} is of {shown(method)}, which may round activations too"
    return ""


def _weights_only(about: object) -> bool:
    """Whether a quantisation is of weights that are rounded, and nothing else: their values say it all."""
    if not isinstance(about, dict):
        return False
    method, algorithm, groups = (about.get(key) for key in ("quant_method", "quant_algo", "config_groups"))
    if method == "bitsandbytes":
        return about.get("load_in_4bit") is True  # 8 bits are LLM.int8(), which rounds inputs
    if method is None and algorithm is not None:
        alone = isinstance(algorithm, str) and WEIGHTS.fullmatch(algorithm.lower()) is not None
        return alone and about.get("kv_cache_quant_algo") is None
    if method != "compressed-tensors":
        return method in (None, "gptq", "awq", "mxfp4")
    return (
        about.get("format") == PACKED
        and not any(about.get(key) for key in ("kv_cache_scheme", "sparsity_config", "transform_config"))
        and isinstance(groups, dict)
        and all(isinstance(group, dict) and group.get("format") in (None, PACKED) for group in groups.values())
        and not any(group.get(f"{side}_activations") for group in groups.values() for side in ("input", "output"))
    )


def _changes(config: dict, inner: dict, about: dict) -> Change:
    """What a model does beside its matrices by its config or that of its quantisation: it rotates inputs, or rounds."""
    steps = about.get("algo_config")  # of Quark
    steps = [str(step.get("name")) for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    turning = [key for key in (*about, *steps) if TURNS.search(key) and about.get(key, True)]
    parts = (config, inner, _table(config, "quantization_args"))  # the last of Meta's SpinQuant
    turning += [key for part in parts for key in part if ROTATES.search(key) and part[key]]
    if turning:
        told = f"its config has {shown(turning[0])}: inputs may be rotated before its matrices, which are so too"
        return Change(TURNED, told, turning[0])
    return BITNET if _text(about, "quant_method") == "bitnet" else NONE


def _header(said: dict) -> dict:
    """The quantization_config that is a text, as in the header of a safetensors file: JSON, or the method; {}: none."""
    text = said.get(TABLES[0])
    if not isinstance(text, str) or not text.strip():
        return {}
    try:
        return json_object(text.encode(), TABLES[0])
    except ValueError:
        return {"quant_method": text}


def _auto_round(about: dict) -> str:
    """The format of AutoRound where it is its own, whose zeros lie as GPTQ's first or second version has them."""
    packing = _text(about, "packing_format") or _text(about, "backend")
    own = "auto-round" in _text(about, "quant_method") and "auto_gptq" not in packing
    return "auto_round" if own else ""


def _bits(about: dict) -> list[int]:
    """All bits of weights that a quantization_config states."""
    groups = _table(about, "config_groups").values()
    stated = [about.get("bits"), about.get("w_bit")]
    stated += [_table(group, "weights").get("num_bits") for group in groups if isinstance(group, dict)]
    return [bits for bits in stated if type(bits) is int]


def _cache(scheme: dict) -> str:
    """What compressed-tensors' kv_cache_scheme says, such as "float8"; "" for none."""
    return f"{_text(scheme, 'type')}{scheme.get('num_bits')}" if scheme else ""


def _table(values: dict, key: str) -> dict:
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def _text(values: dict, key: str) -> str:
    value = values.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key} of its quantisation is {shown(value)}, not a text")
    return (value or "").lower()


def _count(values: dict, key: str) -> int | None:
    value = values.get(key)
    if value is not None and not (type(value) is int and 0 < value <= LARGEST):
        raise ValueError(f"{key} of its quantisation is {shown(value)}, not a whole number from 1 to {LARGEST:,}")
    return value
