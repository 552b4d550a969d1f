"""The answer of a chapter is a function of its parameters: with others it names them, and is silent of the defaults."""

import ast
import os
import re
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from IPython.display import Markdown
from sampling import some

from rholaw import tables

ROOT = Path(__file__).resolve().parents[2]
ODD = {
    "01_numbers": (
        {"formats": "int3, e3m2, ternary, lm3", "source": "laplace", "max_bits": 5},
        r"On Laplace weights",
        r"On Gaussian|0\.0115|0\.0127",
    ),
    "02_blocks": (
        {"elements": "int3, lm3", "sizes": "16, 64", "rates": "0.02", "source": "student-t(4)"},
        r"On Student-t\(4\) weights",
        r"On Gaussian weights, in|0\.0115|0\.0082",
    ),
    "03_sparsity": (
        {"patterns": "1:8, 2:8", "shares": "0.8, 0.9", "element": "e2m1", "source": "laplace"},
        r"smallest 80% of Laplace weights.* 2:8 sparsity.*3-bit integers take.*survivors in FP4",
        r"Gaussian|7\.1%|13\.2%|half|2:4|[48]-bit",
    ),
    "04_vectors": (
        {"codes": "lm3, vq2_64", "source": "laplace"},
        r"`lm3`, `vq2_64`.*On Laplace weights",
        r"[Ss]tudent",
    ),
    "05_catalogue": (
        {"own": "e3m2/g64:bf16", "levels": "-1, 0, 1"},
        r"`e3m2/g64:bf16`.*3 levels",
        r"out0\.005|7 levels",
    ),
    "06_capacity": ({"figure": "7", "n_bootstrap": 40}, r"In Figure 7 ", r"all figures"),
    "07_unified_law": ({"max_params": 1.1e8, "irreducible": 1.3, "n_bootstrap": 40}, r"110M", r"210M|7 larger"),
    "08_composition": ({"threshold": 0.03}, r"more than 0\.03 above", r"0\.005|57 lie"),
    "09_bounds": (
        {"asked": 1},
        r"No 1-bit format .* 1-bit integers keep .* vector codes .* 1-bit ones reach \d+%",
        r"2-bit|of 2 bits|two|0\.41",
    ),
    "10_theory": ({"seeds": 3, "steps": 1200}, r"\[", r"nan"),
    "11_train_it_yourself": (
        {"format": "nvfp4", "width": 48, "seed": 1},
        r"model of 55,\d+ weights loses .* in NVFP4",
        r"in 2-bit integers\.",
    ),
    "12_training_sparse": (
        {"share": 0.6, "area": 0.25, "tokens": 20_000},
        r"with 50% pruned, the nearest on record to 60%.*Live, with 60% pruned for 4,000 tokens.*a = 0\.25",
        r"8,000|75 ?%|other rules",
    ),
    "13_recorded_runs": ({"level": 0.9}, r"intervals of 90 %", r"95 %"),
    "14_law_after_training": ({"formats": "q4_k, q2_k", "model": "GLM-4.7"}, r"Q4_K and Q2_K", r"Q5_0|Q3_K|Qwen"),
    "15_which_tensors": (
        {"model": "GLM-4.5", "bits": 5.0, "types": "q4_k, q6_k"},
        r"GLM-4\.5 in .* (5\.0|4\.9)\d bits",
        r"Qwen3\.6|4\.00 bits",
    ),
    "16_your_model": (
        {"formats": "int4/g64, fp8_row", "tolerance": 0.5},
        r"For `shakespeare-1m`, the smallest format asked for .* 0\.5 nats a token is 4-bit integers, blocks of 64",
        r"fp8_row|2:4|0\.1 nats",
    ),
    "17_hardware": (
        {"engine": "TensorRT-LLM", "model": "Llama-3.1-70B"},
        r"In TensorRT-LLM.*Llama-3\.1-70B",
        r"vLLM|8B",
    ),
    "18_plan": ({"scenario": "edge"}, r"^For Llama-3\.1-8B and .* requests a month.*Jetson", r"Cloud|H100|Training"),
    "19_explorer": ({"engine": "TensorRT-LLM", "devices": "H100 80GB SXM, B200 SXM"}, r"TensorRT-LLM", r"vLLM|L40S"),
    "index": (
        {"formats": "int2, ternary, lm2", "n_params": 3e9, "n_tokens": 2e12},
        r"3 billion parameters and 2 trillion.*(best 2-bit levels|ternary|2-bit integers) hold",
        r"8 billion|3-bit",
    ),
    "forecasts": ({"series": "few"}, r"series few has 6 forecasts for 3 models in 2 formats", r"2026-11 has|51"),
    "four_bits": ({"level": 0.6}, r"60% of further", r"80%"),
    "how_far_to_trust": ({"series": "few"}, r"on 91 runs of 30M to 203M", r"104|822M"),
    "ja/01_summary": ({"scenario": "edge"}, r"Llama-3\.1-8B、月6,000件.*Jetson.*Q6_K", r"70B|2,000万|H100|B200"),
    "ja/02_rollout": ({"scenario": "edge"}, r"Llama-3\.1-8Bの例", r"70B"),
    "ja/03_dialogue": (
        {"scenario": "edge", "n_params": 3e9, "n_tokens": 2e12},
        r"30億.*2兆",
        r"80億|15兆",
    ),
    "ja/04_law": ({"n_params": 3e9, "n_tokens": 2e12}, r"30億パラメータ", r"80億"),
    "ja/index": ({"formats": "int2, nf4", "n_params": 3e9}, r"30億パラメータ.*NF4にすると同じ", r"80億|3ビット整数"),
    "ja/05_start": ({"q4_k": 0.02, "q3_k": 0.09}, r"0\.02 nats.*0\.09 nats", r"0\.03 nats|0\.15"),
    "training_length": ({"most_tokens": 210.0, "n_bootstrap": 30}, r"up to 210 tokens", r"up to 110"),
    "unseen_runs": ({"level": 0.6}, r"intervals of 60%", r"of 95%"),
}
"""{chapter: (other parameters, what its answer has to say then, what it must not)}."""
PROSE = {
    "06_capacity": (
        {"figure": "6", "n_bootstrap": 40},
        r"Here F is .*one family here.*logistic is best here.*All order the formats alike",
        r"families one|tanh is best|order them best",
    ),
    "07_unified_law": (
        {"max_params": 4.5e8, "irreducible": 1.2, "n_bootstrap": 20},
        r"Both fits converge.*3 runs do not decide.*E is held at 1\.20",
        r"7 runs|bound of its range|falls to its bound",
    ),
    "08_composition": ({"threshold": 0.2, "n_bootstrap": 20}, r"0 lie as far below it", r"Of the few below|only 6"),
}
"""The same of all that a chapter tells, in the order in which it does."""


@pytest.fixture
def few(tmp_path, monkeypatch):
    """Series `few` beside the only ones of their kind: QuEST's runs below 210M parameters, and six forecasts."""
    data = shutil.copytree(tables.DATA, tmp_path / "data", copy_function=os.symlink)
    parts = {
        "runs/quest2025": lambda rows: rows[rows.n_params.astype(float) < 2.1e8],
        "forecasts/2026-11": lambda rows: rows[:6],
    }
    monkeypatch.setattr(tables, "DATA", data)
    for name, part in parts.items():
        place = (data / name).with_name("few")
        part(pd.read_csv(data / f"{name}.csv", dtype=str)).to_csv(place.with_suffix(".csv"), index=False)
        shutil.copy(data / f"{name}.toml", place.with_suffix(".toml"))
        tables.update(f"{Path(name).parent}/few")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # as a kernel does
@pytest.mark.parametrize("chapter", some(ODD, 1))
def test_an_answer_follows_its_parameters(chapter, few, executed):
    parameters, said, silent = ODD[chapter]
    answer = next(result for tags, result in executed(chapter, parameters) if "answer" in tags)
    text = " ".join(answer.data.split())
    assert re.search(said, text), text
    assert not re.search(silent, text), text


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("chapter", some(PROSE, 1))
def test_prose_follows_its_parameters(chapter, executed):
    parameters, said, silent = PROSE[chapter]
    told = " ".join(result.data for _, result in executed(chapter, parameters) if isinstance(result, Markdown))
    assert re.search(said, told, re.DOTALL), told
    assert not re.search(silent, told), told


def test_the_other_parameters_are_parameters_and_other():
    for chapter, (parameters, *_) in (*ODD.items(), *PROSE.items()):
        cells = nbformat.read(ROOT / "chapters" / f"{chapter}.ipynb", 4).cells
        [source] = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", ())]
        defaults = {node.target.id: ast.literal_eval(node.value) for node in ast.parse(source).body}
        assert parameters.keys() < defaults.keys() and all(
            defaults[name] != value for name, value in parameters.items()
        )
