"""The laws of training: capacity curves, the unified law and its rivals, their fits, and what they predict."""
