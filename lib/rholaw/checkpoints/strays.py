"""Tensors that are no weights of a model, by their names: adapters, moments of an optimizer, copies of the weights.

The names have to be whole words, as their writers have them: a module called "optimizer_head" or "w_lora" is a weight.
"""

import re
from itertools import combinations

from ..checked import shown
from .changes import BITNET, DRAFTS, NONE, SEES, TURNED, UNAPPLIED, Change
from .roles import SMOOTHING, UNTOLD, among, is_matrix, joins, role
from .tensors import Tensor

LORA = re.compile(
    r"(^|[._])(lora(_linear_layer)?[._](a|b|up|down|mid|embedding_a|embedding_b|magnitude_vector)|hada_w[12]_[ab]|"
    r"lokr_w[12](_[ab])?|ia3_l|vera_(a|b|lambda_[bd])|oft_(r|s|blocks|diag))([._]|$)|"
    r"^lora_(unet|te\d?|transformer|prior)_",
    re.IGNORECASE,
)
BESIDE_LORA = r".*\.(alpha|dora_scale|scale|rank|diff(_b)?)"
ADAPTER = r"(adapter_model|pytorch_adapter|pytorch_lora_weights)\..*"  # files of PEFT, adapters, diffusers
INVERSION = r"string_to_(param|token)\..*|emb_params|clip_[lg]|<.*>"  # vectors for words of a prompt
MOMENT = re.compile(r"(^|[./])((max_)?exp_avg(_sq)?(_row|_col)?|exp_inf|momentum_buffer)([./]|$)")
COPY = re.compile(
    r"(^|\.)(optim(izers?)?|((fp32|float32)_)?(master|main)_(params?|weights?|copy|grads?)|master|(fp32|float32)_master|"
    r"(fp32|float32)(_(params?|weights?|copy|from_(fp|float|bf)16(_params?|_groups?)?))?|shadow(_(params?|weights?))?|"
    r"grads?|swa|polyak|teacher|(ref|reference|averaged?)_model|original_module)(\.|$)"
)
BEHIND = re.compile(
    r"[._](fp32_|float32_)?(master|ema|swa|avg|average|shadow|teacher|old|prev|backup|bak|copy)(_copy)?$"
)
PAIRED = "_reverse"  # torch's recurrent layers that read in both directions
MOST = 0.9  # of the numbers in matrices, which a copy of the whole model repeats
AVERAGE = re.compile(r"(.+_)?ema(_.+)?|swa_model")
QUANTISER = re.compile(r"(^|[._])((weight|input|output|activation)_)?(fake_quant|quantizer|activation_post_process)\.")
FLAT = re.compile(r"(^|\.)_?flat_param(_\d+)?$")
DELTA = r"(.*\.)(delta|diff|weight_(delta|diff)|(delta|diff)_weight)"
CAPITALS = r"(.*[._/])?[A-Z_]*(WEIGHT|SCALE|ZEROS|ABSMAX)[A-Z_]*"
WITHIN = re.compile(r"(?:^|\.)(?:layers|blk)\.(\d+)\.|^mtp\.")
SPECULATES = re.compile(r"eagle(?!.*(vl|chat|conditional))|medusa|speculator|nextn|mtp", re.IGNORECASE)
"""Among what a model is called; NVIDIA's Eagle, which sees, is none."""
TURNS = re.compile(  # of QuaRot, SpinQuant and FlatQuant
    r"(^|\.)(had_K|R[1-4]|\w*hadamard\w*|rotation(_matrix)?|\w*trans\.(matrix_(left|right)|linear_?\w*))(\.weight)?$"
)
GGUF = {"adapter": "a LoRA adapter", "imatrix": "an importance matrix", "controlvector": "a control vector"}


def kept(tensors: list[Tensor], metadata: dict, file: str) -> tuple[list[Tensor], list[str]]:
    """(the weights of a model among the tensors, remarks on what is left out).

    metadata, file: of the checkpoint, and its name.  ValueError where it holds no model but an adapter, the state of an
    optimizer, the vectors of a textual inversion, or another thing that says that it is none.
    """
    says = {str(metadata.get(key)) for key in ("general.type", "general.architecture")}
    if kind := next((GGUF[word] for word in GGUF if word in says), ""):
        raise ValueError(f"{file} is {kind}, not a model: give the model it was made for")
    names = [tensor.name for tensor in tensors]
    if names and all(re.fullmatch(INVERSION, name) for name in names):
        raise ValueError(f"{file} is a textual inversion, vectors for words of a prompt, not a model")
    if flat := next(filter(FLAT.search, names), None):
        raise ValueError(
            f"{file} holds FSDP's flat parameters, as {shown(flat)}: save the model with StateDictType.FULL_STATE_DICT"
        )
    if capitals := next((name for name in names if re.fullmatch(CAPITALS, name)), None):
        raise ValueError(
            f"{file} names its tensors in capitals, as {shown(capitals)}: which are scales, and how weights lie, is "
            "known by names in small letters: rename them"
        )
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    if delta := next((tensor for tensor in tensors if shapes.get(_changed(tensor.name)) == tensor.shape), None):
        raise ValueError(
            f"{file} holds what is to be added to weights, as {shown(delta.name)}: add it first, and save the result"
        )
    remarks = []
    lora = [name for name in names if LORA.search(name)]
    if re.fullmatch(ADAPTER, file) or (lora and not _targets(lora, names)):
        raise ValueError(
            f"{file} is a LoRA adapter, not a model: merge it first, as by PEFT's merge_and_unload, and save the result"
            if lora
            else f"{file} is an adapter, not a model: give the model that it was trained for"
        )
    moments = {name for name in names if MOMENT.search(name)}
    parents = {_parent(name) for name in moments}
    moments |= {name for name in names if _parent(name) in parents and name.endswith("step")}
    if names and moments.issuperset(names):
        raise ValueError(f"{file} holds the state of an optimizer, not a model")
    averages, copies = _averages(tensors), _copies(tensors) - moments
    parts = {"LoRA adapters": lora, "an optimizer": moments, "a running average": averages, "training": copies}
    outside = {*lora, *moments, *averages, *copies}
    parts["a copy"] = _repeated([tensor for tensor in tensors if tensor.name not in outside])
    for what, left in parts.items():
        if left:
            remarks.append(f"left out: {len(left)} tensors of {what}, as {shown(min(left))}")
    if rounding := [name for name in names if QUANTISER.search(name)]:
        remarks.append(
            f"{len(rounding)} tensors are of quantisers that round as the model runs, as {shown(rounding[0])}: what "
            "weights they leave dense here is not rounded yet"
        )
    weights = [tensor for tensor in tensors if tensor.name not in outside | parts["a copy"]]
    return weights, remarks + _twins(weights)


def changes(tensors: list[Tensor], metadata: dict) -> Change:
    """Why rounding costs a model something else than its matrices tell; nothing for most.

    It helps another model, or turns the inputs of its matrices by others, or what lies beside these is not applied.
    metadata: of the checkpoint, with its "config".  A draft for speculation is known by what it is called, and by
    layers that all predict further tokens; a projector by GGUF, which says what it is.
    """
    config = metadata["config"] if isinstance(metadata.get("config"), dict) else {}
    called = [config.get("model_type"), metadata.get("general.architecture")]
    called += names if isinstance(names := config.get("architectures"), list) else []
    shapes = {tensor.name: tensor.shape for tensor in tensors}
    layers = {match[0] for name in shapes if (match := WITHIN.search(name))}
    further = {match[0] for name in shapes if re.search("eh_proj", name) and (match := WITHIN.search(name))}
    further |= layers & {"mtp."}
    drafts = any(SPECULATES.search(word) for word in called if isinstance(word, str)) or "speculators_config" in config
    drafts |= (bool(further) and further == layers) or any(joins(name, shapes) for name in shapes)
    if drafts:
        told = "it drafts tokens for another model, which checks them: rounding costs it time, and the text nothing"
        return Change(DRAFTS, told)
    if any(isinstance(word, str) and word.lower().startswith("bitnet") for word in called):
        return BITNET
    if "clip" in called or metadata.get("general.type") == "mmproj":
        return Change(SEES, "it is what sees or hears for a language model, and writes nothing itself")
    turning = next((name for name in shapes if TURNS.search(name)), None)
    if turning:
        told = f"its inputs may be turned as it runs, by {shown(turning)}, and its matrices are so"
        return Change(TURNED, told, turning)
    return _unapplied(tensors)


def _unapplied(tensors: list[Tensor]) -> Change:
    """That small tensors beside matrices change what these compute, or NONE."""
    does = among({tensor.name: tensor.shape for tensor in tensors})
    altered = [tensor for tensor in tensors if tensor.unapplied and does[tensor.name] in UNTOLD]
    alone = [tensor.name for tensor in tensors if re.search(SMOOTHING, tensor.name)]
    if not (altered or alone):
        return NONE
    stems = [re.sub(r"\.weight$", ".", tensor.name) for tensor in altered]
    names = [f"{stem}{'' if stem[-1] == '.' else '_'}{x.unapplied[0]}" for stem, x in zip(stems, altered, strict=True)]
    names += alone
    more = f", nor {len(names) - 1} more such" * (len(names) > 1)
    told = f"{shown(names[0])} may change what a matrix computes, and is not applied{more}"
    return Change(UNAPPLIED, told, names[0])


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _changed(name: str) -> str | None:
    """The name of the weight that lies beside a difference of this name; None of others."""
    match = re.fullmatch(DELTA, name)
    return f"{match[1]}weight" if match else None


def _targets(lora: list[str], names: list[str]) -> bool:
    """Whether a weight is there that one of the adapters adapts: then they were not split off the model."""
    adapted = {name[: LORA.search(name).start()].rstrip("._") for name in lora} - {""}
    others = [name for name in names if not LORA.search(name) and not re.fullmatch(BESIDE_LORA, name)]
    return any({name, _parent(name), _parent(_parent(name))} & adapted for name in others)


def _averages(tensors: list[Tensor]) -> set[str]:
    """The names of tensors that say they are an average, where there is another of the same name and shape otherwise.

    Some writers leave the dots out of the names of the averages.
    """
    averages, others = {}, set()
    if not any("ema" in tensor.name or "swa" in tensor.name for tensor in tensors):  # most have none
        return set()
    for tensor in tensors:
        words = tensor.name.split(".")
        if place := next((i + 1 for i, word in enumerate(words[:2]) if AVERAGE.fullmatch(word)), 0):
            place += words[place : place + 1] in (["module"], ["model"])
            averages[tensor.name] = _plain(words[place:]), tensor.shape
        else:
            others |= {(_plain(words[i:]), tensor.shape) for i in range(min(len(words), 3))}
    return {name for name, about in averages.items() if about in others}


def _copies(tensors: list[Tensor]) -> set[str]:
    """The names of tensors that say they belong to training, around the name of a weight of the same shape.

    So are gradients, copies in float32, and what an optimizer calls in its own way; and of PEFT the module that
    another took the place of.
    """
    suspects = [tensor for tensor in tensors if COPY.search(tensor.name)]
    others = {(tensor.name, tensor.shape) for tensor in tensors} if suspects else set()
    copies = set()
    for tensor in suspects:
        words = tensor.name.split(".")
        replaced = tensor.name.replace(".original_module.", ".modules_to_save.default.")
        inside = {".".join(words[i : len(words) - j]) for i in range(4) for j in range(3)} | {replaced}
        if any((name, tensor.shape) in others for name in inside - {tensor.name}):
            copies.add(tensor.name)
    return copies


def _repeated(tensors: list[Tensor]) -> set[str]:
    """The names of tensors that are those of others, of the same shape, and a mark before or behind.

    The mark says that it is a copy, as "_ema", or stands at copies of nearly all, whatever it says: whoever loads the
    model asks for the names without it.
    """
    shapes = {(tensor.name, tensor.shape) for tensor in tensors}
    repeats, plain = {}, 0
    for tensor in tensors:
        name, cuts = tensor.name, [match.start() for match in re.finditer(r"[._]", tensor.name)]
        others = {name[: cut + 1]: name[cut + 1 :] for cut in cuts if name[cut] == "."}
        others = dict(list(others.items())[:3]) | {name[cut:]: name[:cut] for cut in cuts[-3:]}
        marks = [mark for mark, other in others.items() if (other, tensor.shape) in shapes and mark != PAIRED]
        marks = marks if marks and role(name) != "buffer" else []
        for mark in marks:
            repeats.setdefault(mark, []).append(tensor)
        plain += 0 if marks else _numbers([tensor])
    copies = [part for mark, part in repeats.items() if BEHIND.fullmatch(mark) or _numbers(part) >= MOST * plain > 0]
    return {tensor.name for part in copies for tensor in part}


def _numbers(tensors: list[Tensor]) -> int:
    """How many numbers the matrices among them have."""
    return sum(tensor.count for tensor in tensors if is_matrix("", tensor.shape))


def _twins(tensors: list[Tensor]) -> list[str]:
    """Remarks on parts, with layers by number, whose tensors are called alike and have the same shapes."""
    words = [tensor.name.split(".") for tensor in tensors]
    depth = next((i for i, level in enumerate(zip(*words, strict=False)) if len(set(level)) > 1), 0)  # alike before it
    parts: dict[str, set] = {}
    for tensor, name in zip(tensors, words, strict=True):
        parts.setdefault(name[depth], set()).add((".".join(name[depth + 1 :]), tensor.shape))
    models = [part for part, inside in parts.items() if any(re.search(r"(^|\.)\d+\.", rest) for rest, _ in inside)]
    models = [part for part in models if not part.isdigit()][:10]
    twins = [pair for pair in combinations(models, 2) if parts[pair[0]] == parts[pair[1]]]
    return [f"{shown(a)} and {shown(b)} hold tensors of the same shapes: both are counted" for a, b in twins]


def _plain(words: list[str]) -> str:
    return "".join(words).replace("_", "")
