"""Vocabulary matrices that repeat one another, by content."""

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

import rholaw as rl
from rholaw.checkpoints import opening, ties

DRAW = torch.Generator().manual_seed(1)
E, H = torch.randn(50, 32, generator=DRAW), torch.randn(50, 32, generator=DRAW)


def among(folder, tensors):
    save_file({name: x.clone() for name, x in tensors.items()}, folder / "model.safetensors")
    with opening.open(folder) as checkpoint:
        return ties.among(checkpoint.tensors)


LAST = E.clone()
LAST[-1, -1] += 1e-6  # the value that only a look at all of them shows
MTP = {"model.embed_tokens.weight": E, "model.layers.61.embed_tokens.weight": E}
MTP |= {"lm_head.weight": H, "model.layers.61.shared_head.head.weight": H}


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        (MTP, dict(zip(list(MTP)[1::2], list(MTP)[::2], strict=True))),
        ({"lm_head.weight": E, "model.embed_tokens.weight": E}, {"lm_head.weight": "model.embed_tokens.weight"}),
        (
            {
                "shared.weight": E,
                "encoder.embed_tokens.weight": E,
                "decoder.embed_tokens.weight": E,
                "lm_head.weight": H,
            },
            dict.fromkeys(["encoder.embed_tokens.weight", "shared.weight"], "decoder.embed_tokens.weight"),
        ),
        ({"transformer.wte.weight": E, "lm_head.weight": LAST}, {}),
        ({"wte.weight": E, "lm_head.weight": E.half()}, {}),
        ({"wte.weight": E, "lm_head.weight": E.T.contiguous()}, {}),
        ({"wte.weight": E, "wpe.weight": E, "h.0.attn.c_attn.weight": E}, {}),
        ({"tok_embeddings.weight": E[:0], "output.weight": E[:0]}, {}),
        (
            {"embed_in.weight": E * torch.nan, "embed_out.weight": E * torch.nan},
            {"embed_out.weight": "embed_in.weight"},
        ),
    ],
)
def test_what_holds_the_same_values_is_tied(tmp_path, tensors, expected):
    assert among(tmp_path, tensors) == expected


def test_a_layer_that_repeats_embedding_and_head_counts_them_once(tmp_path):
    """vllm-ascend#2790, transformers#35688: DeepSeek-V3's layer 61."""
    save_file({name: x.clone() for name, x in MTP.items()}, tmp_path / "model.safetensors")
    table = rl.survey(tmp_path, "int4/g32", rotation=0, progress=False, fit=SimpleNamespace(families=()))
    assert table.set_index("name").parameters.to_dict() == dict.fromkeys(list(MTP)[::2], 1600) | dict.fromkeys(
        list(MTP)[1::2], 0
    )
    total = rl.totals(table).loc["int4/g32"]
    assert (total.parameters, total.compressed, total.bytes) == (3200, 0, 6400)
