"""The keys of a config.json that say how large a model is, each checked as it is read, by its family's defaults."""

import re
from collections.abc import Container, Iterable, Mapping

from ...checked import listed, shortened, shown
from ..config import LAYERS, alike

LARGEST = 2**40  # of any size that a key gives
# What the name of a key looks like that may say how many parameters there are, and the names that look so and do not.
SIZES = re.compile(
    r"(^|[._])(n|num|d|dim)_|(^|[._])(layers?|heads?|experts?|moe|lora|rank|width|hidden|inner|bias|latent|indexer|ssm)"
    r"([._]|$)|_(dim|size|sizes|types|pattern|interval|period|offset|norm|layernorm|configs?|length|count)$"
    r"|^(tie|use|add|is|has)_"
)
HARMLESS = re.compile(
    r"dropout|_pdrop|_token|_id$|_ids$|init|rope|rotary|position|aux|loss|jitter|norm_topk|topk_(group|method)|n_group"
    r"|group_limited|expert_group|renormalize|scor(e|ing)|scal|multiplier|softcap|temperature|_act$|_eps$|epsilon|chunk"
    r"|residual|summary|beam"
    r"|return|output_|quantization|compression|generation|^id2label|label2id|use_(cache|kernel|mamba_kernels|mambapy"
    r"|bfloat16|flash|associative|bidirectional|logit)|time_step|is_(decoder|encoder|causal)|dtype|_swiglu|clip|limit|"
    r"pretrain|transformers|ep_size|attn_implementation|alibi|prefix|sink|no_repeat|softmax|overlap|sparse_pred"
    r"|num_logits|num_labels|diversity|max_(length|seq|window)|min_length|seq_len|sampl|top_|bad_words|cross|tp_degree"
    r"|num_nextn|mtp|vocab_size_multiple|eager|floor_|layernorm_before|query_pre_attn|classifier|attn_scale|type_vocab"
    r"|multi_query_group|apply_|^auto|^torch|vision|image|audio|video|chunk|qkv_packed|task|head_pooled|rescale|reorder"
    r"|index_topk|attention_multiplier|nope|mscale|activation|sliding_window_size|pooler|n_ctx|no_defaults|is_composition"
    r"|_chunk|interleave$|kernel_options|pad_|text_config|sub_configs|^_|float|routing_bias"
)


class Keys:
    """The keys of one config: ``values`` over the ``defaults`` of its family.

    An explicit null is as if the key were not there, but where it stands for none: ``maybe``.  names: {key: as messages
    call it}.  Raises ValueError that names the key wherever a value cannot be.
    """

    def __init__(self, values: Mapping, defaults: Mapping, source: str, names: Mapping[str, str]) -> None:
        self.values, self.defaults, self.source, self.names = values, defaults, source, names
        self.read: set[str] = set()

    def refusal(self, key: str, what: str) -> ValueError:
        """A ValueError about a key."""
        return ValueError(f"{self.source}: {shortened(self.names.get(key, key), 100)} {what}")

    def size(self, *keys: str, zero: bool = False) -> int:
        """A positive whole number, or 0 where ``zero``, of the first of these spellings that is there."""
        if (value := self._first(keys)) is None:
            raise self.refusal(keys[0], f"is not there, and {self.family} has no default for it")
        value = alike(value)
        if type(value) is not int or not (0 if zero else 1) <= value <= LARGEST:
            raise self.refusal(keys[0], f"is {shown(value)}, not a positive whole number up to 2^40")
        return value

    def maybe(self, *keys: str) -> int:
        """``size``, or 0 where it is null, or not there by the family's default."""
        self.read.update(keys)
        if any(key in self.values and self.values[key] is None for key in keys) or self._first(keys) is None:
            return 0
        return self.size(*keys, zero=True)

    def flag(self, key: str) -> bool:
        """True or false; false where neither the config nor the family says more."""
        value = self._first([key])
        if value is not None and not isinstance(value, bool):
            raise self.refusal(key, f"is {shown(value)}, neither true nor false")
        return bool(value)

    def number(self, key: str) -> float:
        """A finite number above 0."""
        value = self._first([key])
        if type(value) not in (int, float) or not 0 < value < LARGEST:
            raise self.refusal(key, f"is {shown(value)}, not a positive number")
        return value

    def several(self, key: str, kind: type = str) -> list | None:
        """A list of texts, or of whole numbers, or None where there is none."""
        value = self._first([key])
        if value is not None and not (
            isinstance(value, list) and all(type(item) is kind for item in value[: LAYERS + 1])
        ):
            raise self.refusal(key, f"is {shown(value)}, not a list of {'texts' if kind is str else 'whole numbers'}")
        if value is not None and len(value) > LAYERS:
            raise self.refusal(key, f"has {len(value):,} items: no model has more than {LAYERS:,} layers")
        return value

    def text(self, key: str) -> str | None:
        """A text, or None."""
        value = self._first([key])
        if value is not None and not isinstance(value, str):
            raise self.refusal(key, f"is {shown(value)}, not a text")
        return value

    def heads(self) -> tuple[int, int, int]:
        """(query heads, key and value heads, width of a head)."""
        heads = self.size("num_attention_heads")
        head = self.maybe("head_dim")
        if not head and (width := self.size("hidden_size")) % heads:
            more = "more than" if heads > width else "which does not divide"
            raise self.refusal("num_attention_heads", f"is {heads:,}, {more} hidden_size, {width:,}")
        head = head or width // heads
        if heads % (kv_heads := self.maybe("num_key_value_heads") or heads):
            raise self.refusal("num_key_value_heads", f"is {kv_heads}, which does not divide the {heads} heads")
        return heads, kv_heads, head

    @property
    def family(self) -> str:
        """The model_type."""
        return self.values["model_type"]

    @property
    def layers(self) -> int:
        """How many layers there are."""
        layers = self.size("num_hidden_layers", "n_layer")
        if layers > LAYERS:
            raise self.refusal("num_hidden_layers", f"is {layers:,}: no model has more than {LAYERS:,} layers")
        return layers

    def kinds(self, usual: Iterable[str], known: Iterable[str], key: str = "layer_types") -> list[str]:
        """The kind of each layer: ``usual``, unless the key lists them."""
        kinds, known = self.several(key), set(known)
        kinds = list(usual) if kinds is None else kinds
        if strange := sorted(set(kinds) - known):
            raise self.refusal(key, f"names {shown(strange[0])}, which is none of {listed(sorted(known))}")
        if len(kinds) != self.layers:
            raise self.refusal(key, f"has {len(kinds)} layers, and num_hidden_layers is {self.layers}")
        return kinds

    def same(self, key: str, *values: object) -> None:
        """Refuse whatever else than one of ``values``, null or nothing the key says: that is not modelled."""
        if (value := self._first([key])) is not None and value not in values:
            raise self.refusal(key, f"is {shown(value)}, which is not modelled: {listed(map(str, values))} is")

    def rest(self, known: Container[str]) -> None:
        """Refuse a key that nobody has read and that looks as if it changed how many parameters there are.

        So do those of other families, ``known``.  Of a GGUF file, flags come from its tensors, and one key may have
        several spellings here.
        """
        read = {self.names.get(key, key) for key in self.read}
        for key, value in self.values.items():
            says = isinstance(value, int | list | dict | str) and bool(value) and not (self.names and value is True)
            name = self.names.get(key, key)
            if says and name not in read and (key in known or (SIZES.search(key) and not HARMLESS.search(key))):
                raise self.refusal(key, f"is not modelled for {self.family}, and may change how many parameters it has")

    def _first(self, keys: Iterable[str]) -> object:
        self.read.update(keys)
        for place in (self.values, self.defaults):
            for key in keys:
                if place.get(key) is not None:
                    return place[key]
        return None
