"""Token files, plain and in xz, with any value of the header other, other bytes, other tokens, sealed anew or not."""

import hashlib
import json
import lzma

import numpy as np
from mutations import as_json, bytes_changed, part_changed, refusal

from rholaw.texts import tokens

PROMISE = "the tokens and the words about them that were written, or a refusal in a short sentence"
SECONDS = 5
MEGABYTES = 500
SLICE = 30
TOKENIZER = json.dumps(
    {"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}, "decoder": None}
)


def attempt(rng, folder):
    """A file is written, and changed; where it opens, tokens and header are as they stand in it."""
    vocabulary, ids = int(rng.integers(257, 65_537)), rng.integers(0, 257, int(rng.integers(2, 200))).astype("<u2")
    header, way, path = _header(rng, vocabulary, ids), rng.integers(8), folder / "a.tokens"
    if way in (1, 2, 3):
        for _ in range(rng.integers(1, 3)):
            header = part_changed(rng, header)
    elif way == 4:
        ids = rng.integers(0, 65_536, len(ids)).astype("<u2")
        header |= {"tokens_sha256": hashlib.sha256(ids).hexdigest()}
    line = (as_json(rng, header) if way in (1, 2, 3) else json.dumps(header).encode()) + b"\n"
    content = line + ids.tobytes()
    if way == 5:
        content = bytes_changed(rng, content, len(line))
    if way in (6, 7):
        content = bytes_changed(rng, lzma.compress(content)) if way == 6 else _packed(rng, content)
    elif rng.random() < 0.3:
        content = lzma.compress(content, preset=int(rng.integers(7)))
    path.write_bytes(content)
    try:
        read = tokens.load(f"file:{path}", vocabulary, folder / "cache")
    except ValueError as error:
        assert way, error
        return refusal(error)
    both = np.concatenate([read.train, read.held_out])
    assert both.max() < read.vocabulary == vocabulary and float(read.bytes_per_token) < np.inf
    header = header if way in (5, 6) else json.loads(line)  # which may have another sign where it could not be written
    assert way in (5, 6) or (np.array_equal(both, ids) and len(read.train) == header["train"])
    assert way in (5, 6) or all(getattr(read, name) == header[name] for name in ("name", "version", "source", "sha256"))
    _decoded(read)
    return "agrees"


def _decoded(read):
    try:
        assert isinstance(read.decode([0, 1, 0, 999_999]), str)
    except ValueError as error:
        refusal(error)


def _header(rng, vocabulary, ids):
    train = int(rng.integers(1, len(ids)))
    model = [TOKENIZER, "{}", "", "[" * 10**4, TOKENIZER.replace("BPE", "WordPiece")][rng.integers(5)]
    return {
        "name": "made up",
        "vocabulary": vocabulary,
        "version": "1",
        "source": "é",
        "format": tokens.FORMAT,
        "train": train,
        "held_out": len(ids) - train,
        "train_documents": 2,
        "held_out_documents": 1,
        "bytes_per_token": float(rng.uniform(1, 4)),
        "sha256": "0" * 64,
        "tokenizer_sha256": hashlib.sha256(model.encode()).hexdigest(),
        "tokens_sha256": hashlib.sha256(ids).hexdigest(),
        "tokenizer": model,
    }


def _packed(rng, content):
    """In an xz, followed by nothing or by much of it, that asks for a dictionary of any size."""
    content += bytes(int(10 ** rng.uniform(3, 7.3))) if rng.random() < 0.3 else b""
    return lzma.compress(content, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 2 ** int(rng.integers(12, 25))}])
