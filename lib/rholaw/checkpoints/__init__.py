"""A checkpoint on disk: its tensors whatever the container, what formats do to them, and what that does to its loss."""

from .opening import Checkpoint, installed, open

__all__ = ["Checkpoint", "installed", "open"]
