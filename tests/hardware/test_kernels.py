"""Which kernel an engine has for a pair of formats, and which measurement of it counts."""

import pytest

import rholaw as rl
from rholaw import tables
from rholaw.hardware import kernels
from rholaw.hardware.devices import PLATFORMS, devices

DEVICES = devices()


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        ("dense", "bf16"),
        ("sint4/g128", "int4"),
        ("uint4/g128:zero", "int4"),
        ("fp8_row", "fp8"),
        ("mxfp8_e4m3", "mxfp8"),
        ("nvfp4", "nvfp4"),
        ("mxfp4", "mxfp4"),
        ("nf4_dq", "nf4"),
        ("higgs_2", "lut"),
        ("trellis2", "trellis"),
        ("q4_k", "ggml"),
        ("2:4", "2:4"),
        ("2:4+fp8_row", "2:4+fp8"),
        ("int4+out0.01", "int4+out"),
    ],
)
def test_what_a_kernel_sees_of_a_format(format, kind):
    assert kernels.numbers(format) == kind


@pytest.mark.parametrize(
    ("weights", "activations", "device", "engine", "name", "status", "compute"),
    [
        ("dense", "dense", "Apple M4 Max", "vLLM", "bf16 x bf16", "native", "bf16"),
        ("fp8_row", "fp8_row", "H100 80GB SXM", "vLLM", "fp8 x fp8", "native", "fp8"),
        ("fp8_row", "fp8_row", "A100 80GB SXM", "vLLM", "fp8 x fp8", "dequantising", "bf16"),  # by Marlin
        (
            "fp8_row",
            "fp8_row",
            "A100 80GB SXM",
            "SGLang",
            "fp8 x fp8",
            "none",
            "bf16",
        ),  # from compute capability 8.9 on
        ("fp8_row", "fp8_row", "MI300X", "vLLM", "fp8 x fp8", "native", "fp8"),
        ("fp8_row", "dense", "H100 80GB SXM", "vLLM", "fp8 x bf16", "dequantising", "bf16"),
        ("mxfp4", "dense", "H100 80GB SXM", "vLLM", "mxfp4 x bf16", "dequantising", "bf16"),
        ("nf4", "dense", "H100 80GB SXM", "vLLM", "nf4 x bf16", "dequantising", "bf16"),
        ("q4_k", "dense", "RTX 4090", "vLLM", "ggml x bf16", "dequantising", "bf16"),
        ("sint4/g128", "dense", "H100 80GB SXM", "TensorRT-LLM", "int4 x bf16", "dequantising", "bf16"),
        ("sint4/g128", "dense", "B200 SXM", "TensorRT-LLM", "int4 x bf16", "none", "bf16"),
        ("sint4/g128", "dense", "H100 80GB SXM", "SGLang", "int4 x bf16", "dequantising", "bf16"),
        ("sint4/g128", "dense", "MI300X", "SGLang", "int4 x bf16", "dequantising", "bf16"),
        ("sint4/g128", "dense", "MI300X", "vLLM", "int4 x bf16", "dequantising", "bf16"),
        ("sint4/g128", "dense", "Ryzen AI Max+ 395", "vLLM", "int4 x bf16", "unknown", "bf16"),
        ("q4_k", "dense", "Ryzen AI Max+ 395", "llama.cpp", "ggml x bf16", "dequantising", "bf16"),
        ("nvfp4", "nvfp4", "DGX Spark", "vLLM", "nvfp4 x nvfp4", "native", "fp4"),
        ("mxfp4", "dense", "B200 SXM", "vLLM", "mxfp4 x bf16", "dequantising", "bf16"),
        ("mxfp4", "dense", "MI300X", "SGLang", "mxfp4 x bf16", "dequantising", "bf16"),
        ("mxfp4", "dense", "A100 80GB SXM", "TensorRT-LLM", "mxfp4 x bf16", "none", "bf16"),
        ("nf4", "dense", "B200 SXM", "vLLM", "nf4 x bf16", "unknown", "bf16"),
        ("sint3/g64", "dense", "Apple M4 Max", "MLX", "int3 x bf16", "dequantising", "bf16"),
        ("mxfp4", "dense", "Xeon 6 6980P", "llama.cpp", "mxfp4 x bf16", "dequantising", "bf16"),
        ("fp8_row", "dense", "A100 80GB SXM", "vLLM", "fp8 x bf16", "dequantising", "bf16"),
        ("sint4/g128", "dense", "L40S", "vLLM", "int4 x bf16", "dequantising", "bf16"),
        ("nvfp4", "nvfp4", "B200 SXM", "vLLM", "nvfp4 x nvfp4", "native", "fp4"),
        ("nvfp4", "nvfp4", "H200 SXM", "vLLM", "nvfp4 x nvfp4", "dequantising", "bf16"),
        ("2:4+fp8_row", "fp8_row", "H100 80GB SXM", "vLLM", "2:4+fp8 x fp8", "removed", "bf16"),
        ("2:4", "dense", "H100 80GB SXM", "vLLM", "2:4 x bf16", "removed", "bf16"),
        ("2:4+sint4/g128", "dense", "RTX 4090", "Sparse-Marlin", "2:4+int4 x bf16", "dequantising", "bf16"),
        ("2:4+sint4/g128", "dense", "H100 80GB SXM", "Sparse-Marlin", "2:4+int4 x bf16", "none", "bf16"),
        ("higgs_2", "dense", "H100 80GB SXM", "torchao", "lut x bf16", "emulated", "bf16"),
        ("q4_k", "dense", "Snapdragon 8 Gen 3", "llama.cpp", "ggml x bf16", "dequantising", "bf16"),
        ("int4+out0.01", "dense", "L40S", "vLLM", "int4+out x bf16", "unknown", "bf16"),
    ],
)
def test_which_kernel_an_engine_has(weights, activations, device, engine, name, status, compute):
    kernel = kernels.kernel(weights, activations, DEVICES[device], engine)
    assert (kernel.name, kernel.status, kernel.compute) == (name, status, compute)


def test_what_cannot_be_served_says_why_and_where_that_is_known_from():
    h100 = DEVICES["H100 80GB SXM"]
    gone = kernels.kernel("2:4", "dense", h100, "vLLM")
    assert not gone.runs and gone.note == "removed from vLLM 0.19.1" and "vllm#36799" in gone.source
    never = kernels.kernel("2:4+sint4/g128", "dense", h100, "Sparse-Marlin")
    assert not never.runs and never.known and never.note == "not on Hopper" and never.source
    early = kernels.kernel("mxfp8_e4m3", "mxfp8_e4m3", h100, "vLLM")
    assert not early.runs and early.known and early.source
    assert early.note == "vLLM has mxfp8 x mxfp8 from compute capability 10 on; H100 80GB SXM has 9"
    unknown = kernels.kernel("trellis3", "dense", h100, "QTIP")
    assert not unknown.runs and not unknown.known and unknown.source == ""
    assert unknown.note == "whether QTIP runs trellis x bf16 on H100 80GB SXM is not known"
    for weights, activations, engine in (("fp8_row", "fp8_row", "vLLM"), ("higgs_2", "dense", "torchao")):
        kernel = kernels.kernel(weights, activations, h100, engine)  # native or emulated, it runs, with a source
        assert kernel.runs and kernel.source and kernel.as_of >= "2026"


def test_a_kernel_given_by_hand_needs_the_arithmetic():
    refused = kernels.kernel("fp8_row", "fp8_row", DEVICES["A100 80GB SXM"], "vLLM", "native")
    assert not refused.runs and "no fp8 arithmetic" in refused.note
    unknown = kernels.kernel("int4", "int4", DEVICES["B200 SXM"], "vLLM", "native")
    assert unknown.runs and unknown.compute == "bf16"  # the rate of INT4 is not known there


def test_the_table_of_kernels_says_what_the_library_reads():
    rows = tables.read("hardware/kernels")
    assert set(rows.status) <= set(kernels.STATUSES)
    known = {kernels.numbers(f) for f in rl.catalogue().values()}
    for name in rows.kernel:
        assert set(name.split(" x ")) <= known | {"bf16"}, name
    assert set(rows.status) <= set(kernels.STATUSES) - {"unknown"} and rows.source.notna().all()
    assert set(rows.platform) <= {"any", "cuda", *PLATFORMS.values()}


def test_every_listed_device_has_a_platform():
    assert {name for name, device in DEVICES.items() if device.platform == "other"} == set()


def test_the_largest_version_of_an_engine_is_taken():
    assert kernels.fitted_roofline("L40S", "vLLM", "bf16 x bf16").version == "0.24.0"
    assert kernels.measured_speedups("L40S", "TensorRT-LLM", "fp8 x fp8").source == "TensorRT-LLM 1.3.0rc20"


def test_a_row_without_a_note_has_an_empty_one():
    rows = tables.read("hardware/kernels")
    assert rows.note.isna().any()
    for row in rows.itertuples():
        assert all(isinstance(other.note, str) for other in kernels._rows(row.engine))
