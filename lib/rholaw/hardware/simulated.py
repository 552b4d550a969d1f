"""What AI Configurator expects of an engine, from its own tables of timed kernels: its printed estimates, as Runs.

    aiconfigurator cli estimate --model-path M --system h100_sxm --backend vllm --estimate-mode static_gen >estimate.txt

It is no part of this project and need not be installed where a plan is made: its output is read, by its labels in
version 0.12, as a file of ``hardware.measured``, and a speed of it is called so.  It does not print the formats: say
them in the scenario, ``{ file = "estimate.txt", weights = "dense" }``.
"""

import re
from collections.abc import Iterator

from ..checked import limited, line
from .reports import ENGINES, MOST, Run

TITLE = re.compile(r"Performance Estimate \((\w+)\)")
PHASES = {"static_gen": "decode", "static_ctx": "prefill", "static": "mixed", "agg": "mixed"}
"""Modes of an estimate of one replica, and what its tokens a second count."""
ERROR = 0.3
"""Of the logarithm of its speeds: on 47 public reports its ratio to the report was 0.5 to 1.4."""
BACKENDS = ENGINES | {"trtllm": "TensorRT-LLM"}
LABELS = {
    "concurrency": "Batch Size",
    "tokens_in": "ISL",
    "tokens_out": "OSL",
    "tokens_per_second": "tokens/s",
}


def runs(text: str) -> Iterator[Run]:
    """The Runs of all estimates in a text. Raises ValueError for a mode, a label or a number that is not as printed."""
    parts = TITLE.split(text)[1:]
    for mode, body in zip(parts[::2], parts[1::2], strict=True):
        if mode not in PHASES:
            raise ValueError(f"estimates of {line(mode)} are not read; of {', '.join(PHASES)} they are")
        said = dict(re.findall(r"^ +([A-Za-z/]+(?: [A-Za-z]+)*): +(.+?)(?: ms)?$", body, flags=re.MULTILINE))
        backend, _, version = said.get("Backend", "").partition(" ")
        yield Run(
            phase=PHASES[mode],
            **{name: _number(said, label) for name, label in LABELS.items()},
            engine=BACKENDS.get(backend, ""),
            version=line(version.strip("()")),
            model=line(said.get("Model", "")),
            device=line(said.get("System", "").replace("_", " ")),
            gpus=int(_number(said, "TP Size") * _number(said, "PP Size")),
            spread=ERROR,
            simulated=True,
        )


def _number(said: dict[str, str], label: str) -> float:
    try:
        return float(limited(float(said[label].replace(",", "")), "as the tool prints it", 0.0, MOST, above=True))
    except KeyError:
        raise ValueError(f"an estimate of AI Configurator has no {label!r}") from None
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from None
