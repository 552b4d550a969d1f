"""Nothing asks the network at run time: tests that would are refused, and no code of ours could."""

import ast
import json
import socket
from pathlib import Path

import offline
import pytest

ROOT = Path(__file__).resolve().parents[1]
ASKING = {
    "aiohttp",
    "asyncio",
    "ftplib",
    "http",
    "httpx",
    "huggingface_hub",
    "requests",
    "socket",
    "ssl",
    "urllib.request",
    "urllib3",
}


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.org"])
def test_another_machine_is_refused(host):
    with pytest.raises(ConnectionRefusedError, match="tests ask no network"):
        socket.create_connection((host, 80), timeout=1)
    assert offline.asked and all(host in line for line in offline.asked)
    offline.asked.clear()


def test_this_machine_is_not_refused():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        assert offline.asked == []


def imported(code: str) -> set[str]:
    """The packages that a text of Python imports."""
    nodes = list(ast.walk(ast.parse(code)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    names |= {name for node in froms for name in (node.module, *(f"{node.module}.{one.name}" for one in node.names))}
    return names | {name.split(".")[0] for name in names}


def test_no_module_and_no_chapter_imports_what_asks_the_network():
    codes = {path: path.read_text() for path in (ROOT / "lib").rglob("*.py")}
    for path in (ROOT / "chapters").rglob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        codes[path] = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert len(codes) > 100
    assert {path.name: imported(code) & ASKING for path, code in codes.items() if imported(code) & ASKING} == {}
