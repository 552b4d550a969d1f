"""What a tensor of a checkpoint is, by its name: a matrix that formats round, or what engines keep as it is."""

import math
import re
from collections.abc import Container, Mapping
from functools import lru_cache

LAYER = r"(^|[._/])(layers?|blk|blocks?|h|groups?)[._/]\d"
UNTOLD = ("attention", "mlp", "other")
"""The roles that a head may seem to have by a name of its own."""

KEPT = ("embedding", "head", "norm", "router", "state", "senses")
"""The roles that ``totals`` leaves in 16 bits, as engines do; a "buffer" stays as it is in the file."""

SENSES = re.compile(
    r"(^|\.)(vision\w*|high_res_vision\w*|visual|image_(newline|tower|encoder|to_text\w*)|video_tower|audio\w*|speech\w*|"
    r"embed_(vision|audio)|multi_modal_projector|mm_projector|mlp1|aligner|(patch_)?merger|projector|language_projection|"
    r"(\w+_)?connector|resampler\w*|qformer)(\.|$)|^(v|a|mm)\."
)
"""Names of what sees or hears, beside a decoder."""
TOKENS = r"(^|\.)(embed_tokens|wte|tok_embeddings|(?<!embeddings\.)word_embeddings|embed_in|token_embd)\.weight$"
"""What decoders call their embedding of tokens."""

SMOOTHING = r"(^|[._])(act\.scales|smooth(ing)?(_?quant)?_(scales?|factors?))$"
"""Names of what AutoAWQ and SmoothQuant divide the inputs of matrices by as they run."""

# A gate beside the experts chooses among them; a GLU's are called gate_proj or ffn_gate, or lie in an expert.
GATE = r"((mlp|ffn?|feed_?forward|mixer|moe\w{0,30})[./])gate[./](weight|bias|kernel)(_\d)?$"
ROLES = {
    "buffer": (
        r"(^|\.)(attn|attention)\.bias$|masked_bias|(^|[._/])(\w{1,30}_)?mask$|(^|[._/])(tril|pe|_float_tensor)$|"
        r"inv_(freq|timescale)|rotary_emb|rope_f|freqs(_cos|_sin|_cis)?$|(cos|sin)_cached|(position|token_type)_ids$|"
        r"relative_(position_index|coords)|e_score_correction|(^|[._/])expert_bias$|exp_probs_b|final_logits_bias|"
        r"running_(mean|var)|num_batches_tracked|alibi|slope_rate|(query|key|diagonal)_decay$|layer_scalar$|"
        rf"{SMOOTHING}|mel_(filters|basis)|_window$|cluster_(size|usage)|embed_avg|inited$|alphas_cumprod|(^|\.)betas$"
    ),
    "router": (
        r"router|gate_inp|expert_gate|(^|[._])hc_(attn|ffn|head)_(fn|base|scale)|(attn|ffn)_hc\.|"
        rf"indexer[._/]weights_proj|gate[._/]wg|gates[._]\d+[._]wg|{GATE}"
    ),
    "norm": (
        r"norm\w{0,30}([._/]\d+)?([._/](weight|bias|gamma|beta|scale|g|b))?$|(^|[._/])ln_?(\d|f|\w{0,30}[._/])|"
        r"weight_g$|parametrizations\.weight\.original0$"
    ),
    "state": (
        r"conv_?1d\.|shortconv\.conv|layers\.\d+\.conv\.conv\.|a_log|ssm_[ad]$|\.d$|dt_bias|ssm_dt\.bias|rg_lru|"
        r"time_(decay|first|faaaa|maa)|time_mix_(first|decay|lerp|[wvag]\d)|(^|[._])[if]gate"
    ),
    "head": (
        r"lm_head|unembed|embed_out|(shared|codec|codebooks?|v|value|score)_heads?\.|(^|[._])heads?\.(weight|bias)$|"
        r"^((\w{0,30}model|transformer|llm)\.){0,4}output(_layer)?\.(weight|bias)$|(^|decoder\.)output_projection|"
        r"transformer\.ff_out|^(proj_out|fc)\.|(^|/)projection/|predictions\.decoder|classifier|score\.|qa_outputs|"
        r"to_logits"
    ),
    "embedding": (
        r"emb(?!_proj)|wte|wpe|position|token_type|(^|model\.)shared\.weight|relative_attention_bias|attn_rel_b|"
        r"rel_pos|attention_biases|(cls|class|dist|mask|query|register)_tokens?$"
    ),
    "attention": r"att|[qkvo]_proj|qkv|query|[._]key|[._]value",
    "mlp": (
        r"mlp|ffn|feed_forward|intermediate|output\.dense|fc_?\d|(gate|up|down)_proj|expert|moe|\.w[io]|h_to_4h|"
        r"(^|[._])ff(_\w{1,30})?[._]"
    ),
}
"""Role → what the name of a tensor contains in the usual schemes; the first that matches counts, else "other".

buffer: what no training changes: masks, rotary frequencies, indices, running statistics, a balance of experts.
router: chooses among experts or tokens, or mixes streams of residuals.  state: what carries a recurrence along: decays,
step sizes, convolutions of some steps.  What sees or hears beside a decoder is "senses", by ``among``.
"""


def role(name: str, names: Container[str] = ()) -> str:
    """What a tensor does, by its name: one of ROLES, or "other".

    names: of all tensors beside it, which tell the gate of a GLU ("mlp.gate" beside "mlp.up") from a router.
    """
    usual = _role(re.sub(r"(?<=[._/])\d+(?=[._/])", "0", name.lower()))  # of all layers and experts alike
    gate = re.search(GATE, name.lower()) if usual == "router" else None
    if gate and any(f"{name[: gate.end(1)]}{other}.weight" in names for other in ("up", "down")):
        return "mlp"
    return usual


def among(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """{name: role} of tensors by their ``shapes``, {name: shape}: by its name, and by where and what it is.

    Outside of all layers, what has the shape of the embedding of tokens is a head, whatever it is called; and an "fc"
    that joins two or three streams of a draft for speculation into one is none.  What sees or hears is "senses" beside
    a decoder, or where it is the lesser part of a model: engines keep it in 16 bits.
    """
    roles = {name: role(name, shapes) for name in shapes}
    roles |= {name: "mlp" for name in shapes if joins(name, shapes)}
    tables = {shape for name, shape in shapes.items() if roles[name] == "embedding" and is_vocabulary(name)}
    tables = {shape for shape in tables if len(shape) == 2 and shape[0] > shape[1]}
    for name, shape in shapes.items():
        if shape in tables and roles[name] in UNTOLD and not re.search(LAYER, name):
            roles[name] = "head"
    senses = [name for name in shapes if SENSES.search(name) and roles[name] != "buffer"]
    writes = any(re.search(TOKENS, name) and not SENSES.search(name) for name in shapes)
    if writes or 2 * sum(math.prod(shapes[name]) for name in senses) < sum(map(math.prod, shapes.values())):
        roles |= dict.fromkeys(senses, "senses")
    return roles


def joins(name: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether it joins two or three streams into one, before the layer of an EAGLE draft."""
    rows, *columns = shapes[name] or (0,)
    streams = columns in ([2 * rows], [3 * rows])
    return (
        streams
        and re.fullmatch(r"(model\.)?fc\.weight", name) is not None
        and any("self_attn." in one for one in shapes)
    )


@lru_cache(2**14)
def _role(name: str) -> str:
    if "expert" in name and re.search(GATE, name):
        return "mlp"
    return next((role for role, pattern in ROLES.items() if re.search(pattern, name)), "other")


def is_bias(name: str) -> bool:
    """Whether it is added, whatever its shape: experts keep theirs as one tensor, [experts, outputs]."""
    return re.search(r"(^|[._/])bias(_[uv])?$|_bias$", name.lower()) is not None


def is_matrix(name: str, shape: tuple[int, ...]) -> bool:
    """Whether formats can round it: neither a bias nor a vector, which may have dimensions of one about it."""
    sizes = [size for size in shape if size != 1]
    return len(shape) > 1 and not is_bias(name) and (len(shape) == 2 or len(sizes) > 1)


def is_vocabulary(name: str) -> bool:
    """Whether it has a row for each token: what an embedding looks up, or a head gives, which may be one matrix."""
    return role(name) in ("embedding", "head") and re.search("pos|wpe|type", name.lower()) is None
