"""The smallest scenario that a plan is made of, which tests take with parts of their own."""

FP8 = {"weights": "fp8_row", "activations": "fp8_row"}
SCENARIO = {
    "model": {"params": 8e9},
    "formats": [FP8],
    "hardware": {"devices": ["H100 80GB SXM"], "batches": [64]},
    "traffic": {"requests_per_month": 1e6},
    "project": {"kind": "qat", "tolerance": 0.05},
    "run": {"samples": 100},
}
