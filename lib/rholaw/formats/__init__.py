"""Formats: grids, blocks and their scales, sparsity, codebooks, the grammar of their names, and the catalogue."""

from . import named as _named  # noqa: F401  (fills the catalogue)
