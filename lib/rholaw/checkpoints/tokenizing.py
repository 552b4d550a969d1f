"""The tokenizer of a checkpoint: in the keys of a GGUF file, or a tokenizer.json beside the weights."""

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from ..checked import shown
from .opening import Checkpoint

# GGUF's names of ways to split words, all as GPT-2 does but for digits → what comes before.
DIGITS = {"gpt-2": [], "smollm": [pre_tokenizers.Digits(individual_digits=True)]}
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
            raise ValueError("there is no tokenizer.json beside it")
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


def _of_gguf(about: dict) -> tokenizers.Tokenizer:
    """Byte-level BPE with the file's own tokens and merges."""
    needed = [f"tokenizer.ggml.{part}" for part in ("model", "tokens", "token_type", "merges")]
    if missing := [key for key in needed if key not in about]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    kind, split = about["tokenizer.ggml.model"], about.get("tokenizer.ggml.pre", "gpt-2")
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
    return tokenizer
