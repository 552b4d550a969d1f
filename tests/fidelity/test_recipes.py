"""Recipes are read back by readers that share nothing with the writer: as llama-quantize and llm-compressor read."""

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rholaw.fidelity import allocation, parts, recipes

GGML = {"q4_0", "q5_0", "q8_0", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl", "iq4_xs", "f32", "f16", "bf16"}


def llama_quantize(content: str) -> list[tuple[str, str]]:
    """As parse_tensor_type_file of llama.cpp's tools/quantize: words between white space, split at the first =."""
    options = []
    for word in content.split():
        name, equals, kind = word.partition("=")
        assert equals and name and kind
        assert kind.lower() in GGML
        options.append((name.lower(), kind.lower()))
    return options


def override(options: list[tuple[str, str]], tensor: str) -> str:
    """As llama.cpp's llama-quant: every option is searched in the name; more than one that fits would be a doubt."""
    fits = [kind for pattern, kind in options if re.search(pattern, tensor)]
    assert len(fits) == 1, (tensor, fits)
    return fits[0]


def test_llama_quantize_reads_back_every_tensor_of_a_model():
    chosen = allocation.allocate(
        parts.tensor_sensitivities("Qwen3.5-2B"), ["q2_k", "q3_k", "iq4_xs", "q5_k", "q8_0"], 0.9e9
    )
    types = dict(zip(chosen.table["tensor"], chosen.table["type"], strict=True))
    options = llama_quantize(recipes.text(chosen))
    assert {tensor: override(options, tensor) for tensor in types} == types
    assert len(set(types.values())) > 3 and len(options) < len(types) / 3


def test_gguf_tool_suite_finds_its_spelling():
    content = recipes.text({"blk.0.ffn_up.weight": "q4_k", "blk.1.ffn_up.weight": "q4_k", "output.weight": "iq4_k"})
    assert content == "^blk\\.(0|1)\\.ffn_up\\.weight$=q4_K\n^output\\.weight$=iq4_k\n"


def test_its_own_recipes_are_read():
    content = "## Head\noutput\\.weight=q8_0\n\n# - remarks\nblk\\.([0-9]|1[0-2])\\.attn_k\\.weight=iq5_k_r4  # all\n"
    names = ["output.weight", "blk.12.attn_k.weight", "blk.13.attn_k.weight"]
    assert recipes.read(content, names) == {"output.weight": "q8_0", "blk.12.attn_k.weight": "iq5_k"}


layers = st.integers(0, 120)
tensors = st.builds("blk.{}.{}.weight".format, layers, st.sampled_from(["attn_q", "ffn_up", "ffn_up_exps"]))
types = st.dictionaries(tensors | st.just("output.weight"), st.sampled_from(sorted(GGML)), min_size=1, max_size=40)


@given(types)
def test_what_is_written_is_read(chosen):
    assert recipes.read(recipes.text(chosen), chosen) == chosen


def test_a_file_is_written_whole(tmp_path):
    recipes.write({"output.weight": "q6_k"}, tmp_path / "x.recipe")
    assert (tmp_path / "x.recipe").read_text() == "^output\\.weight$=q6_K\n"


@pytest.mark.parametrize(("line", "message"), [("a", "line 2: 'a' must be"), ("(=q4_k", "line 2: .* no regular")])
def test_a_wrong_line_is_named(line, message):
    with pytest.raises(ValueError, match=message):
        recipes.read(f"b=q4_k\n{line}", ["b"])


def test_what_stays_uncompressed_is_ignored_by_its_module():
    """compressed-tensors compares a module's name with each entry, after re: as a regular expression from its start."""
    frame = pd.DataFrame({
        "tensor": ["output.weight", "token_embd.weight", "output_norm.weight", "blk.0.ffn_down_exps.weight",
                   "blk.1.ffn_down_exps.weight", "blk.1.attn_q.weight"],
        "weights": 1024, "kappa": [9.0, 9.0, None, 9.0, 1e-3, 1e-3],
    })  # fmt: skip
    chosen = allocation.allocate(frame, ["nvfp4", "bf16"], 1024 * (16 * 3 + 32 + 4.5 * 2) / 8 + 9)
    entries = recipes.ignored(chosen)

    def ignored(module):
        return any(re.match(e[3:], module) if e.startswith("re:") else e == module for e in entries)

    assert ignored("lm_head") and ignored("model.layers.0.mlp.experts.17.down_proj")
    assert not any(map(ignored, ["model.layers.1.mlp.experts.0.down_proj", "model.layers.1.self_attn.q_proj"]))
    assert len(entries) == 2
