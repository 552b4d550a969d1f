"""Fits rooflines to the timed experts of AI Configurator's tables, rows of data/hardware/roofline_fits:

    python bench/experts.py FOLDER     the systems/data of an unpacked aiconfigurator_core wheel; needs pyarrow

Timed is what the experts of a layer take together: both products, what is between them, and the sorting of tokens;
split over ranks by width, never by experts.  Bytes are those of the experts that tokens hit, if each chose at random.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from rholaw import files, tables
from rholaw.hardware.devices import Device, devices
from rholaw.hardware.kernels import EXPERTS

DEVICES = {
    "a100_sxm": "A100 80GB SXM",
    "b200_sxm": "B200 SXM",
    "b300_sxm": "B300 SXM",
    "h100_sxm": "H100 80GB SXM",
    "h200_sxm": "H200 SXM",
    "l40s": "L40S",
    "rtx_pro_6000_server": "RTX PRO 6000 Server",
}
ENGINES = {"sglang": "SGLang", "trtllm": "TensorRT-LLM", "vllm": "vLLM"}
KERNELS = {  # their name: ours, the field of Device that computes, bits of a weight and of an activation
    "bfloat16": ("bf16", "bf16", 16, 16),
    "fp8": ("fp8 x fp8", "fp8", 8, 8),
    "fp8_block": ("fp8 block x fp8", "fp8", 8, 8),
    "int4_wo": ("int4 x bf16", "bf16", 4.125, 16),
    "nvfp4": ("nvfp4 x nvfp4", "fp4", 4.5, 4.5),
    "w4a16_mxfp4": ("mxfp4 x bf16", "bf16", 4.25, 16),
    "w4a8_mxfp4_mxfp8": ("mxfp4 x mxfp8", "fp8", 4.25, 8.25),
}
SPREAD = "power_law_1.01"
"""Of tokens over experts: the one of theirs that is the least even but one; balanced ones hit more experts."""
FALLBACK = "vllm_modeloptfp8moe_flashinfer_cutlass_flashinferexperts"
"""A kernel of vLLM's that on Hopper is five times slower than that of any other engine: left out there."""
FEWEST = 150
"""Timed points of a kernel, of fewer than which none is fitted."""


def terms(rows: pd.DataFrame, device: Device, kernel: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of arithmetic and of bytes at the peaks."""
    _, compute, weight, activation = kernel
    tokens, used, experts, hidden = (rows[name] for name in ("num_tokens", "topk", "num_experts", "hidden_size"))
    inner = rows.inter_size / rows.moe_tp_size
    hit = experts * (1 - (1 - used / experts) ** tokens)
    moved = hit * 3 * hidden * inner * weight / 8
    moved += tokens * used * ((hidden + inner) * activation / 8 + (2 * inner + hidden) * 2)
    operations = 6 * tokens * used * hidden * inner
    return (operations / getattr(device, compute)).to_numpy(), (moved / device.bandwidth).to_numpy()


def fit(compute: np.ndarray, bandwidth: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(efficiency of compute, of bandwidth, overhead in µs), and the logarithms of predicted over timed."""

    def logs(x: np.ndarray) -> np.ndarray:
        share = 1 / (1 + np.exp(-x[:2]))
        return np.log(np.maximum(compute / share[0], bandwidth / share[1]) + np.exp(x[2])) - np.log(seconds)

    starts = ([0, 1, -10], [1, 2, -9.5], [-1, 0, -11])
    found = [minimize(lambda x: np.abs(logs(x)).mean(), x, method="Nelder-Mead") for x in starts]
    best = min(found, key=lambda one: one.fun).x
    return np.array([*(1 / (1 + np.exp(-best[:2]))), 1e6 * np.exp(best[2])]), logs(best)


def main() -> None:
    """The table with the rows of experts made anew, and its manifest."""
    known, made = devices(), []
    for path in sorted(Path(sys.argv[1]).glob("*/moe/*/*/moe_perf.parquet")):
        system, _, engine, version, _ = path.parts[-5:]
        if system not in DEVICES:
            continue
        rows = pd.read_parquet(path).query("moe_ep_size == 1 and distribution == @SPREAD and latency > 0")
        rows = rows[(rows.kernel_source != FALLBACK) | (known[DEVICES[system]].capability != 9.0)]
        shape = ["num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size"]
        rows = rows.groupby(["moe_dtype", *shape], as_index=False).latency.min()
        for name, own in rows.groupby("moe_dtype"):
            if name not in KERNELS or len(own) < FEWEST:
                continue
            device, kernel = known[DEVICES[system]], KERNELS[name]
            (compute, bandwidth, overhead), off = fit(*terms(own, device, kernel), own.latency.to_numpy() / 1000)
            errors = np.quantile(np.abs(off), [0.5, 0.9])
            values = [compute, bandwidth, overhead, *errors, getattr(device, kernel[1]) / 1e12, device.bandwidth / 1e9]
            made.append([device.name, ENGINES[engine], version, EXPERTS + kernel[0], len(own), *np.round(values, 4)])
    table = tables.read("hardware/roofline_fits")
    made = pd.DataFrame(made, columns=table.columns)
    order = made.version.map(lambda text: [int(n) for n in re.findall(r"\d+", text)])
    made = made.loc[order.sort_values().index].groupby(["device", "engine", "kernel"], sort=False).tail(1)
    table = pd.concat([table[~table.kernel.str.startswith(EXPERTS)], made])
    table = table.sort_values(["device", "engine"], kind="stable")
    table = table.assign(**{name: table[name].map("{:g}".format) for name in ("peak_tflops", "bandwidth_gbs")})
    files.write(tables.DATA / "hardware/roofline_fits.csv", table.to_csv(index=False, lineterminator="\n"))
    tables.update("hardware/roofline_fits")


if __name__ == "__main__":
    main()
