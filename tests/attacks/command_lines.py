"""Command lines: every command with right, wrong, missing and repeated arguments, in this process."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np

from rholaw.__main__ import main

PROMISE = "exit code 0, 1 or 2, and what is wrong in at most 500 characters on standard error"
SECONDS = 20
MEGABYTES = 500
SLICE = 8

FORMATS = ["int4", "nvfp4", "q4_k", "2:4+int4/g128", "dense", "s0.5", "int4+out0.01", "vq2_16", "NVFP4", "int3/row"]
LINES = [  # right ones: {f} is a format, {n} a number; {runs}, {scenario} and {wrong} are files
    *(
        "formats fp4",
        "formats",
        "formats int --json",
        "gmse {f} {f}",
        "gmse {f} --csv",
        "gmse int{bits} --source laplace",
    ),
    *("fit {runs} --law chinchilla", "fit quest2025 --law chinchilla --where weights=='dense' --json"),
    *("predict --params {n} --formats {f}", "predict --params 8e9 --tokens {n} --method gptq --json"),
    *("predict --measured q4_k=0.03 --formats {f}", "predict --measured {f}=0.1 --measured q3_k=0.{bits}"),
    *("plan {scenario}", "plan {scenario} --language ja", "plan {scenario} --json"),
    *("allocate Qwen3-4B-Instruct-2507 --bits {bits}", "allocate Qwen3-4B-Instruct-2507 --bytes 2e9 --types q4_k,q6_k"),
    *(
        "data update {wrong}",
        "data add-fidelity {wrong}",
        "train plan {wrong}",
        "survey {wrong} --formats {f}",
        "evaluate {wrong} --formats {f}",
        "nothing",
    ),
]
WILD = [
    "",
    " ",
    "x" * 5000,
    "int9",
    "int4,",
    ",",
    "+",
    "int4//g4",
    "-5",
    "--",
    "\n",
    "q4_k=0.1",
    "nan",
    "inf",
    "1e400",
    "0",
]
WILD += ["8 e9", "1_000", "0x10", "9" * 400, "--csv", "--json", "--help", "--nothing", "--csv=1", "--language"]
WILD += [
    "@file",
    "--params",
    "--bits=nan",
    "--bytes=-1",
    "--level",
    "--where=1/0",
    "--bootstrap=-3",
    "--law=x",
    "--source=student-t(2)",
]


def attempt(rng: np.random.Generator, folder: Path) -> str:
    """One command line: a right one, of which up to two words are left out, replaced, repeated or added."""
    known = {"f": FORMATS, "n": ["8e9", "1e9", "3e10", "70e9"], "bits": ["3", "4", "5"]}
    values = {name: str(rng.choice(some)) for name, some in known.items()} | _files(rng, folder)
    words = str(rng.choice(LINES)).split(" ")
    command, words = words[0], [word.format(**values) for word in words[1:]]
    for _ in range(rng.choice([0, 1, 2], p=[0.35, 0.45, 0.2])):
        place, wild = rng.integers(len(words) + 1), str(rng.choice(WILD))
        words[place : place + rng.integers(2)] = [[wild], [], words[place : place + 1] * 2][
            rng.choice(3, p=[0.6, 0.2, 0.2])
        ]
    out, wrong = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(wrong):
            code = main([command, *words])
    except SystemExit as end:  # --help
        assert end.code == 0 and out.getvalue()
        return "help"
    except BaseException as error:
        error.add_note(f"rholaw {command} {' '.join(words)}"[:600])
        raise
    said = wrong.getvalue()
    told = f"rholaw {command} {' '.join(words)}"[:600] + f"\n{code}: {said[:3000]}"
    assert code in (0, 1, 2), told
    if code == 2:
        assert said.startswith("rholaw: ") and len(said) <= 520, told
        assert not out.getvalue(), told
        return "refused"
    assert out.getvalue() or said, told
    if "--json" in words:
        json.loads(out.getvalue())
    return command


def _files(rng: np.random.Generator, folder: Path) -> dict[str, str]:
    """Paths of runs and of a scenario, and one of nothing or of something else."""
    rows = [f"{n}e7,{d}e9,{3 - n / 20 - d / 30}\n" for n in (1, 3, 9) for d in (1, 3, 9)]
    runs = "n_params,n_tokens,loss\n" + "".join(rows)
    scenario = "[model]\nparams = 8e9\n[[formats]]\nweights = 'int4'\n[run]\nsamples = 100\n"
    wrong = {"mine.yaml": "model: 3", "log.txt": "llama", "mine.gguf": "GGUF", "bad.csv": "a,b\n1", "empty.csv": ""}
    wrong |= {"run.toml": "[[runs]]\nsize = 3", "nan.csv": runs + "1e7,nan,3\n", "latin.toml": "# caf\xe9"}
    for name, content in {"mine.csv": runs, "mine.toml": scenario, **wrong}.items():
        (folder / name).write_text(content, encoding="latin-1")
    name = str(rng.choice([*wrong, "nowhere", ".", "a" * 300 + ".toml"]))
    return {"runs": str(folder / "mine.csv"), "scenario": str(folder / "mine.toml"), "wrong": str(folder / name)}
