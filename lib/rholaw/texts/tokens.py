"""Token ids to train on: a corpus, its byte-level BPE, a token file, and the batches drawn from it.

A token file is one line of JSON (padded by spaces to a multiple of 64 bytes), then the ids of the training part and
those of the held-out part as little-endian uint16; the whole may be compressed by xz.
"""

import hashlib
import json
import lzma
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import tokenizers
import torch
from tqdm import tqdm

from ..checked import limited, listed, typed
from ..files import replacing
from ..untrusted import json_object, refusals
from . import cleaning
from . import corpora as texts

END = "<|end of document|>"  # token 0, after every document
LEAST, MOST = 257, 65_536  # the 256 bytes and END; what fits uint16
FORMAT = "rholaw tokens 1"
HEADER = 2**26  # bytes of the first line, at most
PACKED, MEMORY = 100, 2**27  # how many times its length an xz may unpack to, and the bytes its dictionary may take


@dataclass(frozen=True, eq=False)
class Corpus:
    """A tokenised text; losses per token become bits per byte by ``loss / log(2) / bytes_per_token``."""

    name: str  # as given to `load`; a token file remembers the name it was made from
    vocabulary: int
    train: np.memmap  # token ids, uint16
    held_out: np.memmap  # those of other documents
    bytes_per_token: float  # of the held-out part: UTF-8 bytes over tokens, ends of documents included
    sha256: str  # of the clean text
    tokenizer_sha256: str  # of the tokenizer as JSON
    train_documents: int
    held_out_documents: int
    version: str  # of the packages that the text came from
    source: str  # a sentence: what it is and under which licence
    tokenizer: str = field(repr=False)  # as JSON
    path: Path = field(repr=False)  # of the token file

    def decode(self, ids: Iterable[int]) -> str:
        """The text of a sequence of token ids; a cut character becomes U+FFFD. ValueError for a damaged tokenizer."""
        try:
            tokenizer = tokenizers.Tokenizer.from_str(self.tokenizer)
        except Exception as error:  # the package raises no kind of its own
            raise ValueError(f"token file {self.path}: its tokenizer cannot be used: {error!s:.200}") from None
        return tokenizer.decode([int(token) for token in ids], skip_special_tokens=False)


def load(name: str, vocabulary: int, folder: Path | str | None = None) -> Corpus:
    """A corpus by name ("shakespeare", "python", "python:80" for 80 MB, "file:PATH" for a token file), tokenised.

    The first call builds a token file in `folder` (``$RHOLAW_CACHE``, else ``~/.cache/rholaw``), later ones map it to
    memory; two processes may build at once. The tokenizer sees the training part only. Raises ValueError for an unknown
    or missing corpus, a vocabulary outside 257 to 65,536 or beyond what the text supports, and a damaged token file.
    """
    if not LEAST <= vocabulary <= MOST:
        raise ValueError(f"vocabulary {vocabulary}: must be from {LEAST} (bytes and an end) to {MOST:,} (uint16)")
    folder = Path(folder or os.environ.get("RHOLAW_CACHE") or Path.home() / ".cache" / "rholaw")
    if name.startswith("file:"):
        with refusals():
            corpus = _read(_unpacked(Path(os.path.expanduser(name.removeprefix("file:"))), folder))
        if corpus.vocabulary != vocabulary:
            raise ValueError(f"{name} was made with a vocabulary of {corpus.vocabulary:,}, not {vocabulary:,}")
        return corpus
    path = folder / f"{name.replace(':', '-')}-{vocabulary}-{_key(name, vocabulary)}.tokens"
    if not path.exists():
        documents, version, source = texts.read(name)
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as draft, draft.open("wb") as file:
            _build(file, documents, {"name": name, "vocabulary": vocabulary, "version": version, "source": source})
    return _read(path)


def export(corpus: Corpus, path: Path | str) -> Path:
    """Writes a corpus as one xz file for a machine without network, where ``load("file:PATH", …)`` takes it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft, corpus.path.open("rb") as tokens, lzma.open(draft, "wb") as packed:
        shutil.copyfileobj(tokens, packed, 1 << 20)
    return path


def batches(tokens: np.ndarray, context: int, rows: int, seed: int, step: int) -> torch.Tensor:
    """The batch of one training step, (rows, context + 1) int64: position i + 1 is the target of position i.

    It depends on its arguments only; `starts` says where its rows begin, and what it refuses.
    """
    return _blocks(tokens, starts(tokens, context, rows, seed, step), context)


def starts(tokens: np.ndarray, context: int, rows: int, seed: int, step: int) -> np.ndarray:
    """(rows,) int64: where in the tokens the rows of a batch begin.

    An epoch takes every block of `context` tokens once, in an order and from an offset of its own, both drawn from the
    seed. Raises ValueError when the tokens hold less than two blocks.
    """
    # One block less than fits, so that an epoch has as many at every offset.
    count = len(tokens) // context - 1 if context > 0 else 0
    if count < 1 or rows < 1 or seed < 0 or step < 0:
        raise ValueError(
            f"context {context}, rows {rows}, seed {seed}, step {step}: no batch of {len(tokens):,} tokens; "
            "the first two must be positive, the others not negative, and the tokens at least twice the context"
        )
    epochs, places = np.divmod(step * rows + np.arange(rows), count)
    firsts = np.empty(rows, dtype=np.int64)
    for epoch in np.unique(epochs):
        offset, order = _epoch(count, context, seed, int(epoch))
        firsts[epochs == epoch] = offset + context * order[places[epochs == epoch]]
    return firsts


def held_out_blocks(tokens: np.ndarray, context: int, count: int) -> torch.Tensor:
    """Fixed blocks spread evenly over the tokens, (count, context + 1) int64; no token is predicted twice.

    Raises ValueError when there are fewer blocks than asked for.
    """
    most = (len(tokens) - 1) // context if context > 0 else 0
    if not 1 <= count <= most:
        holds = f"from 1 to {most:,} such blocks" if most > 0 else f"not one, which needs {context + 1}"
        asked = f"{count} blocks of {context} tokens are asked for: {len(tokens):,} tokens hold {holds}"
        raise ValueError(f"{asked}; give a longer text, or another count or length")
    return _blocks(tokens, context * (np.arange(count) * most // count), context)


def _blocks(tokens, starts, context):
    return torch.from_numpy(np.asarray(tokens[starts[:, None] + np.arange(context + 1)], dtype=np.int64))


@lru_cache(maxsize=64)
def _epoch(count, context, seed, epoch):
    random = np.random.default_rng([seed, epoch])
    return int(random.integers(context)), random.permutation(count)


def _key(name, vocabulary):
    """Changes with everything that the token file depends on; the recipe is the source of these three modules."""
    recipe = [Path(module).read_text() for module in (cleaning.__file__, texts.__file__, __file__)]
    version = texts.find(name)[0].version()
    parts = [name, vocabulary, version, tokenizers.__version__, recipe]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def learn(documents: list[str], vocabulary: int) -> tokenizers.Tokenizer:
    """Byte-level BPE of exactly this many tokens; ValueError when the text has too few pairs that occur twice."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[END],
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    if (size := tokenizer.get_vocab_size()) != vocabulary:
        raise ValueError(f"vocabulary {vocabulary:,}: the text is too short, it supports at most {size:,}")
    return tokenizer


def _build(file, documents, header):
    """Writes the token file of clean documents."""
    parts = texts.split(documents)
    tokenizer = learn([documents[name] for name in parts[0]], header["vocabulary"])
    with tqdm(total=len(documents), desc="tokenising", unit="document", disable=None, leave=False) as progress:
        ids = [_encode(tokenizer, [documents[name] for name in part], progress) for part in parts]
    data = b"".join(part.tobytes() for part in ids)
    model = tokenizer.to_str()
    header |= {
        "format": FORMAT,
        "train": len(ids[0]),
        "held_out": len(ids[1]),
        "train_documents": len(parts[0]),
        "held_out_documents": len(parts[1]),
        "bytes_per_token": sum(len(documents[name].encode()) for name in parts[1]) / len(ids[1]),
        "sha256": texts.sha256(documents),
        "tokenizer_sha256": hashlib.sha256(model.encode()).hexdigest(),
        "tokens_sha256": hashlib.sha256(data).hexdigest(),
        "tokenizer": model,
    }
    line = json.dumps(header).encode()
    file.write(line + b" " * (-(len(line) + 1) % 64) + b"\n" + data)


def _encode(tokenizer, documents, progress):
    end, ids = tokenizer.token_to_id(END), []
    for first in range(0, len(documents), 64):
        # Without offsets, which take most of the time and of the memory.
        for encoding in tokenizer.encode_batch_fast(documents[first : first + 64]):
            ids.append(np.array([*encoding.ids, end], dtype="<u2"))
            progress.update()
    return np.concatenate(ids)


def _unpacked(path, folder):
    """The token file itself, or what its xz holds, unpacked once under the hash of the packed bytes."""
    if not path.is_file():
        raise ValueError(f"there is no token file {path}")
    with path.open("rb") as file:
        if file.read(6) != b"\xfd7zXZ\x00":
            return path
        file.seek(0)
        target = folder / f"file-{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}.tokens"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with replacing(target) as draft, draft.open("wb") as file, path.open("rb") as packed:
                _unpack(packed, file, HEADER + PACKED * path.stat().st_size)
        except (lzma.LZMAError, EOFError) as error:
            raise ValueError(f"token file {path}: its xz is damaged or cut short ({error}); copy it again") from None
    return target


def _unpack(packed, file, most):
    """Writes what an xz holds; ValueError where that is more than ``most`` bytes."""
    stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, MEMORY)
    while not stream.eof:
        part = packed.read(1 << 20) if stream.needs_input else b""
        if stream.needs_input and not part:
            raise EOFError("it ends early")
        file.write(stream.decompress(part, 1 << 20))
        if file.tell() > most:
            raise ValueError(f"{packed.name} unpacks to more than {most:,} bytes: no text is packed so tightly")


def _read(path):
    """Maps a token file; ValueError says what is wrong with a damaged one."""
    with path.open("rb") as file:
        line = file.readline(HEADER)
    with refusals(f"token file {path}"):
        header = _header(line)
        train, held_out = header.pop("train"), header.pop("held_out")
        have, want = path.stat().st_size - len(line), 2 * (train + held_out)
        again = "delete it, then copy or build it again"
        if have != want:
            odd = "an odd number, so cut within a token; " if have % 2 else ""
            raise ValueError(f"{have:,} bytes of tokens, {odd}its header says {want:,}; {again}")
        tokens = np.memmap(path, dtype="<u2", mode="r", offset=len(line))
        if hashlib.sha256(tokens).hexdigest() != header.pop("tokens_sha256"):
            raise ValueError(f"its tokens do not have the recorded sha256; {again}")
        if (most := int(tokens.max())) >= header["vocabulary"]:
            raise ValueError(f"it holds token {most:,} of a vocabulary of {header['vocabulary']:,}; {again}")
    return Corpus(train=tokens[:train], held_out=tokens[train:], path=path, **header)


def _header(line):
    """The values in the first line of a token file, each of its type; ValueError where it is no such line."""
    try:
        header = json_object(line, "its first line")
    except ValueError:
        header = {}
    if header.pop("format", None) != FORMAT:
        raise ValueError("it is no token file, for it does not begin with a header; make it by corpus.export")
    kinds = {item.name: item.type for item in fields(Corpus) if item.name != "path"}
    kinds |= {"train": int, "held_out": int, "tokens_sha256": str}
    if odd := sorted(kinds.keys() ^ header.keys()):
        raise ValueError(f"its header has, or lacks, {listed(odd)}")
    for name, kind in kinds.items():
        try:
            typed(header[name], kind)
            if name == "vocabulary":
                limited(header[name], "tokens", LEAST, MOST)
            elif kind is not str:
                limited(header[name], name, above=True)
        except ValueError as error:
            raise ValueError(f"its header's {name}: {error}") from None
    if hashlib.sha256(header["tokenizer"].encode()).hexdigest() != header["tokenizer_sha256"]:
        raise ValueError("its tokenizer does not have the recorded sha256; copy it again")
    return header
