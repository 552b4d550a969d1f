"""A checkpoint on disk: its tensors whatever the container, what formats do to them, and what that does to its loss."""

from .opening import Checkpoint, open
from .packaged import installed

__all__ = ["Checkpoint", "installed", "open"]
