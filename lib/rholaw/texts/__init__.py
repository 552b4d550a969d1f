"""Texts to train on and to evaluate with: where they come from, how they are cleaned, and their tokens."""
