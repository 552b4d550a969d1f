"""Signs as print has them: a minus before a number, none before a zero, no space before a per cent sign."""

import re

KEPT = re.compile(
    r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|\$[^$\n]*\$|\]\([^)\s]*\)|<(style|script|pre|code|svg)\b.*?</\1>|<[^>]*>",
    re.DOTALL,
)
"""What stays as it is: code, mathematics, the targets of links, tags and what is no prose between them."""
BEFORE = r"(?<![^\s(\[>*_|,;:=±])"
"""What a number may follow; a hyphen inside a word or a date is none of its signs."""
HYPHEN = "-|&#45;"
"""As it is typed, and as it is escaped in what programs say."""
ZERO = re.compile(BEFORE + rf"(?:{HYPHEN}|−)(?=0(?:\.0*)?(?![\d.]*\d|e))")
MINUS = re.compile(BEFORE + rf"(?:{HYPHEN})(?=\.?\d)")
PER_CENT = re.compile(r"(?<=\d) %(?![\w(])")


def typeset(text: str, language: str) -> str:
    """Prose or a table, in Markdown or HTML, with these signs; per cent signs as they stand where it is no English."""
    parts, end = [], 0
    for kept in KEPT.finditer(text):
        parts += [_signs(text[end : kept.start()], language), kept[0]]
        end = kept.end()
    return "".join([*parts, _signs(text[end:], language)])


def _signs(text: str, language: str) -> str:
    text = MINUS.sub("−", ZERO.sub("", text))
    return PER_CENT.sub("%", text) if language == "en" else text
