"""What compressing a finished model costs: the atlas of measurements, and the law that follows from it."""

from .atlas import load, sources

__all__ = ["load", "sources"]
