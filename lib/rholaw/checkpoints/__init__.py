"""A checkpoint on disk: its tensors whatever the container, what formats do to them, and what that does to its loss."""

from .config import Config
from .opening import Checkpoint, described, open, size
from .packaged import installed

__all__ = ["Checkpoint", "Config", "described", "installed", "open", "size"]
