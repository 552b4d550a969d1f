"""Where a run was trained, and what its speed compares with: commit, versions, device."""

import math
import platform
import subprocess
import time
from functools import lru_cache
from pathlib import Path

import torch


@lru_cache
def matmul_rate(device: torch.device, dtype: str) -> float:
    """FLOP/s of a large matrix product on this device, the best of some: what MFU is measured against."""
    size, kind = (8192, getattr(torch, dtype)) if device.type == "cuda" else (1024, torch.float32)
    a = torch.randn(size, size, device=device, dtype=kind)
    best = math.inf
    for _ in range(8):
        begun = time.perf_counter()
        (a @ a)[0, 0].item()
        best = min(best, time.perf_counter() - begun)
    return 2 * size**3 / best


def device_name(device: torch.device) -> str:
    """The model of a GPU, or of the processor as far as the system tells."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()


def environment() -> dict[str, str | int]:
    """What the numbers may depend on: torch, python, system, threads."""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
    }


@lru_cache
def revision() -> str:
    """The commit of this checkout, with "+" where files differ from it; "unknown" for an installed package."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():  # git would look further up, and find what is not ours
        return "unknown"
    command = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--exclude=*", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
