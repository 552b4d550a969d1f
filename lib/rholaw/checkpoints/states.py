"""What ``torch.save`` was given → the weights by name; optimizers and other states of training are told from them.

A trainer saves {"model": …, "optimizer": …, "epoch": 3}. An optimizer is known by its form, whatever its name: a
dictionary with "state" and "param_groups", as ``torch.optim`` makes it.
"""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations, islice

from ..checked import listed, shown
from .tensors import LENGTH, TENSORS
from .views import View

WEIGHTS = ("state_dict", "model_state_dict", "model", "module")  # where trainers keep the weights, beside the rest
TRAINING = r"(.*_)?(optim(izers?)?|schedulers?|scaler|rng|amp|callbacks|loops)(_(states?|dict|[gd]|\d+))*"
AVERAGE = r"(.*_)?ema(_.*)?|swa_(model|state_dict)"
DEPTH = 64  # dictionaries within one another


def named(loaded: object) -> tuple[dict[str, View], list[str]]:
    """({name: tensor}, remarks on what is left out of it or there twice); names are keys joined by dots.

    Raises ValueError where two tensors have one name, for more of them and of dictionaries than TENSORS, and where
    none is a weight.
    """
    chosen, remarks = _weights(loaded)
    weights = {}
    for count, (name, value) in enumerate(_entries(chosen)):
        if count >= TENSORS:
            raise ValueError(f"it holds more than {TENSORS:,} dictionaries and tensors")
        if isinstance(value, View):
            if name in weights:
                raise ValueError(f"two tensors in it are called {shown(name)}")
            weights[name] = value
        elif _is_optimizer(value):
            remarks.append(f"left out: {shown(name) if name else 'all of it'}, the state of an optimizer")
    if not weights:
        raise ValueError(f"it holds no model; {listed(remarks)}" if remarks else "it holds no tensors by name")
    return weights, remarks


def _weights(loaded: object, depth: int = 0) -> tuple[object, list[str]]:
    """(the part of it that is the model, remarks on the other parts that hold tensors)."""
    if not isinstance(loaded, dict) or _is_optimizer(loaded):
        return loaded, []
    shapes, left = _shapes(loaded), {}
    parts = [key for key in shapes if isinstance(loaded[key], dict)]
    for key in parts:
        if _is_optimizer(loaded[key]):
            left[key] = "the state of an optimizer"
        elif re.fullmatch(TRAINING, key.lower()):
            left[key] = "the state of training"
    for key in parts:
        others = [other for other in parts if other != key and other not in left]
        if re.fullmatch(AVERAGE, key.lower()) and any(shapes[key] <= shapes[other] for other in others):
            left[key] = "a running average of the same weights; to see it instead, save it alone"
    models = [key for key in parts if key not in left]
    if main := next((key for key in WEIGHTS if key in models), None):
        left |= {key: "which may be a model too; to see it, save it alone" for key in models if key != main}
        return loaded[main], _remarks(left)
    if len(models) == 1 and len(parts) == len(shapes) and depth < 3:
        inner = loaded[models[0]]
        if any(isinstance(inner.get(key), dict) for key in WEIGHTS):
            part, remarks = _weights(inner, depth + 1)
            return part, _remarks(left) + remarks
    twins = [pair for pair in combinations(models[:10], 2) if shapes[pair[0]] == shapes[pair[1]]]
    twins = [f"{shown(a)} and {shown(b)} hold tensors of the same shapes: both are counted" for a, b in twins]
    return {key: value for key, value in loaded.items() if key not in left}, _remarks(left) + twins


def _remarks(left: dict[str, str]) -> list[str]:
    return [f"left out: {shown(key)}, {text}" for key, text in left.items()]


def _is_optimizer(value: object) -> bool:
    return isinstance(value, dict) and "state" in value and isinstance(value.get("param_groups"), list)


def _shapes(loaded: dict) -> dict[str, Counter[tuple[int, ...]]]:
    """{key: how often the shapes occur} of the parts that hold tensors, an optimizer's or the model's."""
    shapes, room = {}, TENSORS
    for key, value in loaded.items():
        inside = list(islice(_entries(value, key, 1, True), room))
        room -= len(inside)
        if views := [part for _, part in inside if isinstance(part, View)]:
            shapes[key] = Counter(view.shape for view in views)
    return shapes


def _entries(value: object, name: str = "", depth: int = 0, within: bool = False) -> Iterator[tuple[str, object]]:
    """(name, it) for each tensor and dictionary in nested dictionaries, in order; ``within`` optimizers if asked."""
    if not isinstance(value, (View, dict)):
        return
    if len(name) > LENGTH or depth > DEPTH:
        raise ValueError(f"{shown(name)} has over {LENGTH} characters, or lies over {DEPTH} dictionaries deep")
    name.encode()  # refuses halves of characters, which no output could hold
    yield name, value
    for key, inner in value.items() if isinstance(value, dict) and (within or not _is_optimizer(value)) else ():
        yield from _entries(inner, f"{name}.{key}" if name else key, depth + 1, within)
