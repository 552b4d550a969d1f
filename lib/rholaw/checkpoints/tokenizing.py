"""The tokenizer of a checkpoint: in the keys of a GGUF file, or a tokenizer.json beside the weights."""

import numpy as np
import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors

from ..checked import shown
from .opening import Checkpoint

# GGUF's names of ways to split words, all as GPT-2 does but for digits → what comes before.
DIGITS = {"gpt-2": [], "smollm": [pre_tokenizers.Digits(individual_digits=True)]}
UNKNOWN = 0.01  # of a text, at most, has no tokens
LOOKED = 20_000  # characters of it that are looked at for what is left out
CONTROL, USER_DEFINED = 3, 4  # types that GGUF gives to tokens: no text contains the one, the other is never split


def built(checkpoint: Checkpoint, rows: int) -> tokenizers.Tokenizer:
    """Its tokenizer, of which any text has all its tokens, the same ones every time.

    ValueError where it has none, or one of another kind, or damaged, or with a token beyond the ``rows`` of the
    embedding.
    """
    about, file = checkpoint.metadata, checkpoint.files[0].parent / "tokenizer.json"
    try:
        if "general.architecture" in about:
            tokenizer = _of_gguf(about)
        elif file.is_file():
            tokenizer = tokenizers.Tokenizer.from_file(str(file))
        else:
            raise ValueError(
                "there is no tokenizer.json beside it, which transformers' AutoTokenizer writes of older files: "
                "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
            )
        tokenizer.no_truncation()  # what was good for training would leave out the rest of a text,
        tokenizer.no_padding()  # or add to it,
        if getattr(tokenizer.model, "dropout", None):
            tokenizer.model.dropout = None  # or split words at random
        around = tokenizer.encode("").ids
    except (ValueError, KeyboardInterrupt):
        raise
    except BaseException as error:  # the package raises no kind of its own, and panics, which are no Exception
        raise ValueError(f"its tokenizer cannot be built: {error}") from None
    known = {place: token for token, place in tokenizer.get_vocab().items()}
    if beyond := sorted(place for place in {*known, *around} if place >= rows):
        raise ValueError(
            f"its tokenizer gives {shown(known.get(beyond[0], 'a special token'))} the number {beyond[0]}, and the "
            f"embedding has {rows} rows; take that token away, or give the model that has it"
        )
    return tokenizer


def refuse_unknown(tokenizer: tokenizers.Tokenizer, text: str, ids: np.ndarray) -> None:
    """ValueError where over UNKNOWN of a ``text``, whose tokens are ``ids``, is one token for what is not known.

    Or is left out, as by a tokenizer that has no such token either.
    """
    name = getattr(tokenizer.model, "unk_token", None) or "<unk>"
    unknown = tokenizer.token_to_id(name)
    count = (ids == unknown).sum() - text.count(name) if unknown is not None else 0  # some texts say it themselves
    share = count / max(len(ids), 1)
    first = text[:LOOKED]
    covered = np.zeros(len(first) + 1)
    for start, stop in tokenizer.encode(first, add_special_tokens=False).offsets:
        covered[start] += 1
        covered[stop] -= 1
    seen = np.array([not character.isspace() for character in first], bool)
    left = (covered.cumsum()[:-1] < 1)[seen].mean() if seen.any() else 0.0
    if max(share, left) > UNKNOWN:
        raise ValueError(
            f"its tokenizer knows no tokens for {max(share, left):.0%} of this text: give a text in a language that "
            "the model was made for"
        )


def _of_gguf(about: dict) -> tokenizers.Tokenizer:
    """Byte-level BPE with the file's own tokens and merges."""
    needed = [f"tokenizer.ggml.{part}" for part in ("model", "pre", "tokens", "token_type", "merges")]
    if missing := [key for key in needed if key not in about]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    kind, split = about["tokenizer.ggml.model"], about["tokenizer.ggml.pre"]
    if kind != "gpt2" or split not in DIGITS:
        raise ValueError(
            f"its tokenizer is {shown(kind)} with words split as {shown(split)}; only 'gpt2' with {', '.join(DIGITS)}"
        )
    tokens, merges = about["tokenizer.ggml.tokens"], about["tokenizer.ggml.merges"]
    places = {token: place for place, token in enumerate(tokens)}
    if len(places) < len(tokens):
        raise ValueError("two of its tokens are the same text")
    tokenizer = tokenizers.Tokenizer(models.BPE(places, [tuple(merge.split(" ")) for merge in merges]))
    kinds = list(zip(tokens, about["tokenizer.ggml.token_type"], strict=True))
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token, kind in kinds if kind == CONTROL])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token, kind in kinds if kind == USER_DEFINED])
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*DIGITS[split], words])
    tokenizer.decoder = decoders.ByteLevel()
    if about.get("tokenizer.ggml.add_bos_token"):
        if not 0 <= (place := about.get("tokenizer.ggml.bos_token_id", -1)) < len(tokens):
            raise ValueError("it says that texts begin with a token, and tokenizer.ggml.bos_token_id names none")
        begin = [("begin", place)]
        tokenizer.post_processor = processors.TemplateProcessing(single="begin $A", special_tokens=begin)
    return tokenizer
