"""YAML without its traps: numbers as TOML writes them, every key once, nothing by reference and nothing tagged.

YAML 1.1, which PyYAML reads, takes ``0100`` for 64, ``1:30`` for 90, ``no`` for false and ``8e9`` for text, keeps the
last of two equal keys, and lets nine lines of references stand for a billion values.
"""

import re
from typing import Any, ClassVar

import yaml

NUMBER = r"[-+]?(\.[0-9]+|(0|[1-9][0-9_]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?"


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: ClassVar = {}  # none of YAML 1.1: those below stand in

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        """The next node, unless it is a reference, may be referred to, or brings a type of its own."""
        event = self.peek_event()
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise yaml.MarkedYAMLError(
                problem="&, * and ! are not read: write the value", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """The dict of a mapping in which no key stands twice."""
        keys = set()
        for key, _ in node.value:
            if str(key.value) in keys:
                raise yaml.MarkedYAMLError(problem=f"{key.value} stands there twice", problem_mark=key.start_mark)
            keys.add(str(key.value))
        return super().construct_mapping(node, deep)


for kind, pattern, first in (
    ("null", "~|null|", ["~", "n", ""]),
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", NUMBER + r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(f"(?:{pattern})$"), list(first))


def load(text: str) -> Any:
    """What a document says. Raises ValueError, with the line."""
    try:
        return yaml.load(text, _Loader)  # a SafeLoader: nothing in the text is run
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ValueError(f"{error.problem}{line}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None
