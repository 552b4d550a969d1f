"""bench/gpu.sh from end to end, on the CPU and tiny: half a minute of a core, so with --full only."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from fake_training import token_file
from safetensors import safe_open
from sampling import FULL

from rholaw import runs

SCRIPT = Path(__file__).parents[2] / "bench" / "gpu.sh"
SWEEP = """
[defaults]
corpus = "invented"
vocabulary = 300
context = 32
batch_tokens = 64
tokens = 640
lr = 0.01
layers = 1
heads = 2
width = 32
hidden = 96
[[runs]]
weights = ["dense", "int4"]
seed = [0, 1]
"""


@pytest.mark.skipif(not FULL, reason="half a minute of a core")
def test_a_short_stay_leaves_records_weights_and_rounded_losses(tmp_path):
    out, sweep = tmp_path / "out", tmp_path / "sweep.toml"
    sweep.write_text(SWEEP)
    given = [out, "--text", token_file(tmp_path / "text"), "--sweep", sweep, "--tiny", "--mode", "plain"]
    subprocess.run([SCRIPT, "600", *map(str, given)], check=True, env=os.environ | {"PYTHON": sys.executable})
    names = {"log.txt", "provenance.json", "rounded.csv", "runs.jsonl", "speed.csv", "weights.safetensors"}
    assert {path.name for path in out.iterdir()} == names
    table = runs.load(out)
    assert table.groupby("weights")["seed"].apply(set).to_dict() == {"dense": {0, 1}, "int4": {0, 1}}
    rounded = pd.read_csv(out / "rounded.csv")
    assert rounded["format"].nunique() >= 20 and rounded["failed"].isna().all()
    dense = table[(table.weights == "dense") & (table.seed == 0)].iloc[0]
    assert set(rounded["id"]) == {dense.id}  # the kept weights, in bfloat16, are those of the record
    assert rounded["dense_loss"].iloc[0] == pytest.approx(dense.loss, abs=0.01)
    with safe_open(out / "weights.safetensors", "pt") as file:
        kept = file.keys()
        assert set(file.metadata()) == {dense.id} and all(name.startswith(f"{dense.id}/") for name in kept)
