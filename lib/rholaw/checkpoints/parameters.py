"""A model of the package transformers without weights, and which tensors of a checkpoint make its parameters.

transformers loads some families otherwise than their files are: experts fused, names changed.  Its own rules for that
are applied here to a parameter at a time.
"""

import re
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import nn

from ..checked import shown
from . import unheeded
from .config import absent
from .layered import Read
from .opening import Checkpoint
from .tensors import Tensor

# Tensors of a file that no language model computes with: buffers, other modalities, layers that only training has.
UNUSED = r"inv_freq$|masked_bias$|attn\.bias$|rotary_emb|(^|\.)((embed_)?(vision|audio)|visual|multi_modal|mtp|mm_)"

LARGEST = 2**28  # numbers in a buffer, at most


@dataclass
class Source:
    """What makes a parameter: one tensor, or some that ``converter`` takes by a ``patterns`` each."""

    converter: object
    tensors: list[Tensor]
    patterns: list[str]

    def values(self, name: str, read: Read, model: nn.Module) -> dict[str, torch.Tensor]:
        """{name: values} of the parameter of this name, and of others that the same tensors make."""
        if self.converter is None:
            return {name: read(self.tensors[0])}
        converter = deepcopy(self.converter)
        for tensor, pattern in zip(self.tensors, self.patterns, strict=True):
            converter.add_tensor(name, tensor.name, pattern, read(tensor))
        made = converter.convert(name, model=model, config=model.config)
        return {name: value[0] if isinstance(value, list) else value for name, value in made.items()}


def built(checkpoint: Checkpoint, device: torch.device) -> nn.Module:
    """The causal language model that a config.json describes: parameters without values, buffers with theirs.

    Raises ValueError where there is no config.json, or no such model in transformers.
    """
    from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM

    if not isinstance(about := checkpoint.metadata.get("config"), dict):
        raise ValueError(absent(checkpoint.files[0].parent))
    if (family := about.get("model_type")) not in CONFIG_MAPPING:
        raise ValueError(f"its model_type is {shown(family)}, which transformers does not have")
    options = {"local_files_only": True, "trust_remote_code": False}
    config = AutoConfig.from_pretrained(checkpoint.files[0].parent, **options).get_text_config()
    said = about.get("text_config") or about
    unheeded.refuse_ignored(said, config)
    unheeded.refuse_two_positions(said)
    unheeded.refuse_turns(config)
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise ValueError(f"its model_type is {shown(family)}, for which transformers has no causal language model")
    count = len(checkpoint.tensors)
    if not 0 < config.num_hidden_layers <= count:
        raise ValueError(f"it says that it has {config.num_hidden_layers} layers, and has {count} tensors")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, experts_implementation="eager").eval()
    _fill_buffers(model, device)
    unheeded.refuse_partial(model)
    return model


def _fill_buffers(model: nn.Module, device: torch.device) -> None:
    """Values for the buffers that no file holds; ValueError where the model does not say them."""
    kept = model.state_dict().keys()
    for path, module in model.named_modules():
        names = [name for name, buffer in module._buffers.items() if buffer is not None]
        names = [name for name in names if f"{path}.{name}".lstrip(".") not in kept]
        tries = []
        for value in (0, 1) if names else ():
            for name in names:
                old = module._buffers[name]
                if old.numel() > LARGEST:
                    raise ValueError(f"its config asks for a buffer {path}.{name} of {old.numel():,} numbers")
                module._buffers[name] = torch.full(old.shape, value, dtype=old.dtype, device=device)
            model._init_weights(module)
            tries.append([module._buffers[name] for name in names])
        for name, first, second in zip(names, *tries, strict=True) if names else ():
            if not torch.equal(first, second):
                raise ValueError(f"transformers does not say the values of its buffer {path}.{name}")


def sources(model: nn.Module, tensors: Iterable[Tensor], layers: str) -> dict[str, Source]:
    """{parameter, or the first of those made together: its Source}.

    layers: the name of the list of layers.  Raises ValueError for a tensor that the model has no place for, unless it
    is one that no language model computes with.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, dot_natural_key, rename_source_key

    rules, known = get_model_conversion_mapping(model), model.state_dict()
    renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
    converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
    by_pattern = {pattern: rule for rule in converters for pattern in rule.source_patterns}
    made = {}
    for tensor in sorted(tensors, key=lambda tensor: dot_natural_key(tensor.name)):
        plain = tensor.name.replace("language_model.", "", 1)  # of a model that sees as well
        name, pattern = rename_source_key(plain, renamings, converters, model.base_model_prefix, known)
        if name not in known:
            _refuse_unknown(tensor.name, model, layers)
            continue
        source = made.setdefault(name, Source(by_pattern.get(pattern), [], []))
        source.tensors.append(tensor)
        source.patterns.append(pattern)
    return made


def _refuse_unknown(name: str, model: nn.Module, layers: str) -> None:
    """ValueError for a tensor without a place, unless it is of no use for language."""
    ignored = [UNUSED, *(model._keys_to_ignore_on_load_unexpected or ())]
    place, count = re.search(rf"(^|\.){layers.rpartition('.')[2]}\.(\d+)\.", name), model.config.num_hidden_layers
    further = getattr(model.config, "num_nextn_predict_layers", None) or 0  # that predict further tokens, in training
    if place and count <= int(place[2]) < count + further:
        return
    if not any(re.search(pattern, name) for pattern in ignored):
        raise ValueError(f"it has {shown(name)}, for which transformers' {type(model).__name__} has no place")
