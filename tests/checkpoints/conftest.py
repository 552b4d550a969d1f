"""A tiny decoder that was trained, as a checkpoint on disk, and a text for it."""

import pytest
from tiny_llama import TEXT, hub, trained

from rholaw.checkpoints import llama


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """It, loaded."""
    return llama.load(hub(tmp_path_factory.mktemp("model"), trained()[1]))


@pytest.fixture(scope="module")
def blocks(model):
    """Four blocks of held-out text, of 16 tokens each."""
    return llama.blocks(model, TEXT, 4, 16)
