"""How a checkpoint says that it was quantised: quantization_config in config.json, or a file of its own beside it."""

from dataclasses import dataclass, field
from pathlib import Path

from ...checked import shown
from ..config import json_object

FILES = ("quantize_config.json", "quant_config.json", "hf_quant_config.json")  # of GPTQ, AWQ, ModelOpt
LARGEST = 2**20  # of a block


@dataclass(frozen=True)
class Settings:
    """What the layouts of codes depend on, and what the shapes do not tell.

    method: what quantised it, "" where nothing says so.  gptq: its checkpoint_format, or "".  block: (rows, columns)
    that share a scale, or ().  affine: MLX's table of group_size and bits, by modules too.  divides: scales divide, as
    in CTranslate2.  bits: the most that a weight has by what is said, or 0.  ordered: GPTQ's desc_act, groups are no
    neighbours.  cache: what keys and values are rounded to, such as "fp8", or "".
    """

    method: str = ""
    gptq: str = ""
    block: tuple[int, ...] = ()
    affine: dict = field(default_factory=dict)
    divides: bool = False
    bits: int = 0
    ordered: bool = False
    cache: str = ""

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
    for file in FILES:
        if not about and (folder / file).is_file():
            about = json_object(folder / file)
            about = _table(about, "quantization") or about
    affine = _table(config, "quantization") or (about if "group_size" in about else {})
    block = about.get("weight_block_size")
    if block is not None and not (isinstance(block, list) and len(block) == 2):
        raise ValueError(f"weight_block_size is {shown(block)}, not two numbers")
    return Settings(
        _text(about, "quant_method") or _text(about, "quant_algo") or ("quantised" if about or affine else ""),
        _text(about, "checkpoint_format"),
        tuple(_count({"weight_block_size": size}, "weight_block_size") for size in block or ()),
        affine,
        "binary_version" in said,
        max(_bits(about), default=0),
        about.get("desc_act") is True,
        _text(about, "kv_cache_quant_algo") or _cache(_table(about, "kv_cache_scheme")),
    )


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
