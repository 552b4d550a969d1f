"""Small models in every layout of codes and scales, whole, with what training leaves beside them, or a companion other.

Decoders in floats as well, whose config.json or tensors are others than they should be.
"""

import json
import warnings
from types import SimpleNamespace

import numpy as np
import torch
from mutations import part_changed, refusal
from quantised_files import LAYOUTS, STEM
from safetensors.torch import save_file

import rholaw as rl
from rholaw.checkpoints import counting

PROMISE = "the same numbers whatever lies beside the weights; no number where a scale does not fit; never another count"
SECONDS = 8
MEGABYTES = 500
SLICE = 12
CONFIG = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
CONFIG |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 200}
SCALES = ("scal", "absmax", "SCB", "biases")  # what a name of a scale or an offset contains
SIZES = {"q": (64, 64), "k": (32, 64), "v": (32, 64), "o": (64, 64), "gate": (96, 64), "up": (96, 64), "down": (64, 96)}


def attempt(rng, folder):
    """One layout or a decoder, one change: the numbers of it before and after."""
    if rng.random() < 0.3:
        return _decoder(rng, folder)
    coded, files, _ = LAYOUTS[list(LAYOUTS)[rng.integers(len(LAYOUTS))]](rng)
    tensors = {name: tensor.clone() for name, tensor in (_floats(rng) | coded).items()}
    before, remarks = _seen(_written(folder / "a", tensors, files))
    mine = next(name for name in before if name.startswith(STEM.removesuffix(".up_proj")) or name.startswith("block"))
    assert before[mine][1] > 0 and not remarks
    way = [_beside, _packed, _misfit, _unknown, _not_finite][rng.integers(5)]
    spoils = way(rng, tensors, files, coded, folder / "b")
    try:
        after, _ = _seen(folder / "b")
    except ValueError as error:
        assert spoils, error
        return refusal(error)
    others = {name: row for name, row in before.items() if name != mine}
    assert {name: after[name] for name in others} == others
    assert after.keys() == before.keys() or spoils
    if not spoils:
        assert after[mine] == before[mine]
        return "the same"
    assert after.get(mine, (0, None))[1] is None, "a number of what cannot be read"
    return "not measured"


def _seen(folder):
    """({tensor: what a survey says of it}, remarks); nothing without a number or a note."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the remarks, which are in the table, too
        table = rl.survey(folder, "int4/g4", rotation=0, progress=False, fit=SimpleNamespace(families=()))
    assert (table.error.notna() | table.note.ne("")).all() and table.note.str.len().max() <= 500
    table["error"] = table.error.astype(object).where(table.error.notna(), None)
    rows = {row.name: (row.parameters, row.error, row.quantised) for row in table.itertuples()}
    return rows, [line for line in table.attrs["remarks"] if not line.startswith("scales of inputs")]


def _written(folder, tensors, files):
    folder.mkdir()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    for name, content in ({"config.json": {}} | dict(files)).items():
        content = {"model_type": "llama"} | content if name == "config.json" else content
        (folder / name).write_text(json.dumps(content))
    return folder


def _floats(rng):
    """Matrices beside the one in codes, and a norm."""
    shapes = {"model.layers.0.self_attn.q_proj.weight": (8, 64), "lm_head.weight": (9, 32), "model.norm.weight": (8,)}
    return {name: _random(rng, *shape) for name, shape in shapes.items()}


def _random(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape)).float()


# --- ways: (rng, tensors, files, codes, folder) → whether the matrix in codes is spoilt by it ------------------------


def _beside(rng, tensors, files, coded, folder):
    """What training, engines and tools leave beside the weights."""
    name = "model.layers.0.self_attn.q_proj"
    weight, stem = tensors[f"{name}.weight"], next(iter(coded)).rpartition(".")[0]
    more = {
        f"optimizer.state.{name}.weight.exp_avg": weight + 1,
        f"optimizer.state.{name}.weight.buf": weight + 1,
        f"{name}.weight.grad": weight + 1,
        f"master_params.{name}.weight": weight.double(),
        f"model_ema.{name}.weight": weight + 1,
        f"{name}.lora_A.weight": _random(rng, 4, 64),
        f"{name}.lora_B.weight": _random(rng, 8, 4),
    }
    more = {key: more[key] for key in more if rng.random() < 0.5}
    more |= {f"{stem}.input_scale": torch.ones(1)} if stem == STEM and rng.random() < 0.5 else {}
    order = rng.permutation(list(tensors | more))
    _written(folder, {key: (tensors | more)[key] for key in order}, files)
    for file in ("optimizer.pt", "README.md", "training_args.bin", "rng_state_0.pth", "model.onnx"):
        (folder / file).write_bytes(rng.bytes(9))
    return False


def _packed(rng, tensors, files, coded, folder):
    """The same in shards with an index or without, in files of torch.save, or by the names of a wrapper."""
    _written(folder, tensors, files)
    names = list(tensors)
    if rng.random() < 0.3:
        torch.save(tensors, folder / "pytorch_model.bin")
    else:
        cut = int(rng.integers(1, len(names)))
        parts, index = [names[:cut], names[cut:]], {}
        for i, part in enumerate(parts, 1):
            index |= dict.fromkeys(part, file := f"model-{i:05}-of-00002.safetensors")
            save_file({name: tensors[name].contiguous() for name in part}, folder / file)
        if rng.random() < 0.5:
            (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (folder / "model.safetensors").unlink()
    return False


def _misfit(rng, tensors, files, coded, folder):
    """A scale of more rows or columns, as no blocks of these matrices have them."""
    names = [name for name in coded if any(word in name for word in SCALES) and "input" not in name]
    name = names[rng.integers(len(names))]
    value = tensors[name] if tensors[name].dim() else tensors[name][None]
    axis = int(rng.integers(value.dim()))
    more = 10 if value.shape[axis] == 1 else 1
    _written(folder, tensors | {name: torch.cat([value] + [value.narrow(axis, 0, 1)] * more, axis)}, files)
    return True


def _unknown(rng, tensors, files, coded, folder):
    """A companion by a name that nobody knows, or codes of a type that no layout has."""
    names = [name for name in coded if any(word in name for word in SCALES) and "input" not in name]
    name = names[rng.integers(len(names))]
    _written(folder, {(f"{key}_of_mine" if key == name else key): tensor for key, tensor in tensors.items()}, files)
    return True


def _not_finite(rng, tensors, files, coded, folder):
    """A scale that is no number."""
    names = [name for name in coded if any(word in name for word in SCALES) and "input" not in name]
    names = [name for name in names if coded[name].is_floating_point()]
    changed = dict(tensors)
    if names:
        name = names[rng.integers(len(names))]
        changed[name] = tensors[name].float().reshape(-1).index_fill(0, torch.tensor([0]), np.nan)
        changed[name] = changed[name].reshape(tensors[name].shape).to(tensors[name].dtype)
    _written(folder, changed, files)
    return bool(names)


# --- decoders in floats -----------------------------------------------------------------------------------------------


def _decoder(rng, folder):
    """Its Geometry, after a change of config.json or of a tensor, counts what lies there, or there is none."""
    tensors = {"model.embed_tokens.weight": _random(rng, 200, 64), "model.norm.weight": torch.ones(64)}
    tensors |= {"lm_head.weight": _random(rng, 200, 64)} if rng.random() < 0.5 else {}
    for i, (part, shape) in ((i, item) for i in range(2) for item in SIZES.items()):
        block = "self_attn" if len(part) == 1 else "mlp"
        tensors[f"model.layers.{i}.{block}.{part}_proj.weight"] = torch.zeros(shape)
        tensors |= {f"model.layers.{i}.{norm}_layernorm.weight": torch.ones(64) for norm in ("input", "post_attention")}
    config, changed = CONFIG | {"tie_word_embeddings": bool(rng.integers(2))}, rng.random() < 0.8
    if changed:
        config = part_changed(rng, config)
        name = list(tensors)[rng.integers(len(tensors))]
        if rng.random() < 0.4:
            tensors[name] = torch.zeros([int(n) for n in rng.integers(1, 200, tensors[name].dim())])
    _written(folder / "a", tensors, {"config.json": config if isinstance(config, dict) else CONFIG})
    try:
        model = counting.geometry(folder / "a")
    except ValueError as error:
        assert changed, error
        return refusal(error)
    there = sum(tensor.numel() for tensor in tensors.values())
    assert abs(model.total / there - 1) <= counting.TOLERANCE
    return "counted"
