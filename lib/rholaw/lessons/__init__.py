"""Toy problems that chapters teach with: descent with rounded parameters, and an associative memory."""
