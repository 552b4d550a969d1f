"""A checkpoint on disk: its tensors whatever the container, what formats do to them, and what that does to its loss."""

from .config import Config
from .opening import Checkpoint, described, open, size
from .packaged import carried, installed

__all__ = ["Checkpoint", "Config", "carried", "described", "installed", "open", "size"]
