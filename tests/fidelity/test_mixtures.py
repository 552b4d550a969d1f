"""Mixes of types: their names, their bits, and what bits say of their error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rholaw as rl
from rholaw.fidelity import mixtures

BITS = {  # tools/quantize/README.md of llama.cpp, Llama 3.1 8B; q4_0 to q5_1: sizes of tools/perplexity/README.md
    **{"q2_k_s": 2.9697, "q2_k": 3.1593, "q3_k_s": 3.6429, "q3_k_m": 3.9960, "q3_k_l": 4.2979, "q4_k_s": 4.6672},
    **{"q4_k_m": 4.8944, "q5_k_s": 5.5704, "q5_k_m": 5.7036, "q6_k": 6.5633, "q8_0": 8.5008},
    **{"q4_0": 4.64, "q4_1": 5.11, "q5_0": 5.57, "q5_1": 6.04, "iq4_nl": 4.65, "iq4_xs": 4.43},
}


@pytest.mark.parametrize("name", mixtures.MIXES)
def test_the_bits_of_a_mix_are_those_of_llama_cpp(name):
    assert sum(mixtures.MIXES[name].values()) == pytest.approx(1, abs=2e-4)
    assert mixtures.weighted(mixtures.MIXES[name])[0] == pytest.approx(BITS[name], abs=0.01)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("models/Llama-3-8B-Q4_K_M.gguf", "q4_k_m"),
        (r"C:\models\mistral-7b.q5_0.gguf", "q5_0"),
        ("Qwen3.5-2B-UD-Q4_K_XL-00001-of-00002.gguf", "ud-q4_k_xl"),
        ("ggml-model-fp16.gguf", "f16"),
        ("gpt-oss-20b-MXFP4.gguf", "mxfp4"),
        ("m-IQ3_XXS.gguf", "iq3_xxs"),
        ("q4_k", "q4_k_m"),
        ("q8_0/model.gguf", None),
        ("Qwen2-7B.gguf", None),
    ],
)
def test_the_name_of_a_file_tells_its_type(file, name):
    assert mixtures.named(file) == name


def test_between_two_types_the_bits_fix_the_error():
    low, high = mixtures.bounds(["q4_k", "q6_k"], 0.8 * 4.5 + 0.2 * 6.5625)
    exact = 0.8 * rl.gmse("q4_k").value + 0.2 * rl.gmse("q6_k").value
    assert low == pytest.approx(exact) and high == pytest.approx(exact)
    assert mixtures.bounds(["q6_k"]) == (rl.gmse("q6_k").value,) * 2
    assert mixtures.bounds(["f16", "q8_0"], 8.5)[0] == pytest.approx(rl.gmse("q8_0").value)


@given(st.lists(st.floats(0.01, 1), min_size=4, max_size=4))
def test_every_file_lies_within_the_bounds(parts):
    names = ["q2_k", "q3_k", "q5_k", "q6_k"]
    shares = dict(zip(names, [part / sum(parts) for part in parts], strict=True))
    bits, error = mixtures.weighted(shares)
    low, high = mixtures.bounds(names, bits)
    assert low * (1 - 1e-9) <= error <= high * (1 + 1e-9)


@pytest.mark.parametrize(
    ("names", "bits", "message"),
    [
        (["q4_k", "q6_k"], None, "q4_k, q6_k in unknown shares: the bits per weight are missing"),
        (["q4_k", "q6_k"], 3.2, "3.2 bits per weight cannot come of q4_k, q6_k"),
        (["q4_k", "iq4_ks"], 4.5, "iq4_ks beside other types: the bits per weight of such types are not known"),
        (["q4_k", "q7_k"], 5.0, r"its weights is not known: q7_k: there is no such type; did you mean q\d_k"),
    ],
)
def test_what_cannot_be_known_is_said(names, bits, message):
    with pytest.raises(ValueError, match=message):
        mixtures.bounds(names, bits)


def test_what_clever_mixes_spare_follows_from_the_atlas():
    """Rises of mixes over those of plain types in the same source, by what the shares of their types say of both."""
    rows = rl.fidelity.load(usable=True, metric=["kl", "ppl"], method="ggml")
    rows = rows[rows.purity.isin(["mixed", "mostly"]) & (rows.rise > 0.004)]
    rows = rows.assign(name=[mixtures.named(f"x-{given}") for given in rows.given])
    rows = rows[rows.name.isin(mixtures.MIXES) & ~rows.name.isin(["q6_k", "q8_0"])]
    worth = [mixtures.weighted(mixtures.MIXES[name])[1] for name in rows.name]
    rows = rows.assign(ratio=np.log(rows.rise / worth), clever=rows.name.isin(mixtures.CLEVER))
    spared = []
    for _, part in rows.groupby(["source", "model", "metric"]):
        if (~part.clever).sum() >= 2:
            spared += list(part.ratio[part.clever] - part.ratio[~part.clever].median())
    assert len(spared) >= 20
    assert np.exp(np.median(spared)) == pytest.approx(mixtures.SPARED, rel=0.05)
    assert np.std(spared) == pytest.approx(mixtures.SPREAD, abs=0.05)
