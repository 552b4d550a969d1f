#!/bin/sh
# A short stay on a lent GPU: its speed, then the runs of a sweep, the most telling first, then rounding after training.
#
#   bench/gpu.sh SECONDS OUT --text FILE [--sweep sweeps/gpu.toml] [--earlier runs.jsonl] [--side 3] [--members 18] [--measure] [--tiny]
#
# It ends itself within SECONDS and leaves at most eight files in OUT, each below 16 MiB.  A GPU machine may have no
# network: the tokens travel as one file, which is made where the text is at hand by
#
#   python -c "from rholaw.texts import tokens; tokens.export(tokens.load('python:100', 1024), 'FILE')"
#
# Nothing is installed there: torch 2.11 or later with the packages that pyproject.toml names runs the source tree.
# --earlier goes on from the runs.jsonl of a stay before.  Without a GPU all goes the same way, slowly: --tiny shrinks it.
# From OUT, or a folder with its runs.jsonl: python -m rholaw.train export OUT data/runs/NAME.csv
export BEGUN="$(date +%s)"
cd "$(dirname "$0")/.." || exit
export PYTHONPATH="$PWD/lib${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
exec "${PYTHON:-python3}" bench/gpu.py "$@"
