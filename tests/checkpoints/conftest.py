"""A tiny decoder that was trained, as a checkpoint on disk, and a text for it.

Conftests import in their fixtures: pytest-xdist loads them before it starts a worker, and torch takes seconds.
"""

import pytest


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """It, loaded."""
    from tiny_llama import hub, trained

    from rholaw.checkpoints import llama

    return llama.load(hub(tmp_path_factory.mktemp("model"), trained()[1]))


@pytest.fixture(scope="module")
def blocks(model):
    """Four blocks of held-out text, of 16 tokens each."""
    from tiny_llama import TEXT

    from rholaw.checkpoints import llama

    return llama.blocks(model, TEXT, 4, 16)
