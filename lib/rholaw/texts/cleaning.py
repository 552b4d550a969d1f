"""Plain text out of the files that carry it: Markdown plays, paged RFCs, R data, web pages.

Every text comes out as Unicode NFC with "\\n" line ends, no trailing spaces and at most one blank line in a row.
"""

import gzip
import re
import struct
import unicodedata
import zlib
from collections.abc import Iterator


def tidy(text: str) -> str:
    """The text in one spelling: NFC, "\\n", no control characters but tabs, no trailing spaces, single blank lines."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]", "", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = unicodedata.normalize("NFC", text)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[^\S\n]+\n", "\n", text + "\n")).strip("\n") + "\n"


def play(raw: bytes) -> str:
    """A play without its Markdown: titles, speakers and stage directions stay as plain lines."""
    return tidy(re.sub(r"[*_\\]", "", re.sub(r"(?m)^#+ ", "", raw.decode())))


def rfc(raw: bytes) -> str:
    """The prose of an RFC: paragraphs of eight words or more that are four fifths letters, their lines not indented.

    Page breaks, tables of contents, diagrams, code and addresses go; the notices that all RFCs share stay.
    """
    text = (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw).decode()
    text = re.sub(r"(?m)^.*\[Page \w+\][^\S\n]*$|^RFC +\d+ .*\d{4}$", "\f", text)
    # A page that ends within a sentence goes on with its next line.
    text = re.sub(r"([.:;?!]?)\s*\f\s*", lambda end: end[1] + ("\n\n" if end[1] else "\n"), text)
    paragraphs = [paragraph.split("\n") for paragraph in re.split(r"\n\s*\n", tidy(text))]
    return tidy("\n\n".join("\n".join(map(str.strip, lines)) for lines in paragraphs if _is_prose(" ".join(lines))))


def _is_prose(paragraph):
    signs = "".join(paragraph.split())
    return len(paragraph.split()) >= 8 and sum(map(str.isalpha, signs)) >= 0.8 * len(signs)


def r_strings(raw: bytes) -> Iterator[list[str]]:
    """The character vectors of an R lazy-load database: length and zlib stream of each, serialised as XDR version 3.

    Source: "R Internals", section 1.8. Raises ValueError where an object is no plain character vector.
    """
    while raw:
        stream = zlib.decompressobj()
        data, raw = stream.decompress(raw[4:]), stream.unused_data
        version, _, _, encoding = struct.unpack_from(">4i", data, 2)
        kind, count = struct.unpack_from(">2i", data, 18 + encoding)
        if (data[:2], version, kind) != (b"X\n", 3, 16):
            raise ValueError("the R data file holds something other than character vectors; install the package again")
        place, strings = 26 + encoding, []
        for _ in range(count):
            length = struct.unpack_from(">i", data, place + 4)[0]
            strings.append(data[place + 8 : place + 8 + length].decode())
            place += 8 + length
        yield strings
