"""Hypothesis without deadlines (machines are shared) and with few enough examples for a quick suite."""

from hypothesis import settings

settings.register_profile("rholaw", deadline=None, max_examples=12, derandomize=True)
settings.load_profile("rholaw")
