"""What AI Configurator prints is read as a speed that was reckoned, not measured."""

import pytest

from rholaw.hardware import benchmarks, simulated

PRINTED = """12:46:44 [aiconfigurator] [I] Resolved quant modes for LlamaForCausalLM
============================================================
  Performance Estimate (static_gen)
============================================================
  Model:            meta-llama/Meta-Llama-3.1-8B
  System:           h100_sxm
  Backend:          vllm (0.24.0)
------------------------------------------------------------
  ISL:              128
  OSL:              512
  Batch Size:       1
  TP Size:          2
  PP Size:          1
------------------------------------------------------------
  Generation lat.:  3143.155 ms
  TPOT:             6.151 ms
  Power (per GPU):  unavailable (0.0% coverage)
------------------------------------------------------------
  tokens/s:         1,162.58
  tokens/s/gpu:     581.29
  Concurrency:      1
============================================================
"""


def test_an_estimate_is_a_run_that_was_reckoned(tmp_path):
    file = tmp_path / "estimate.txt"
    file.write_text(PRINTED + PRINTED.replace("static_gen", "static_ctx"))
    one, two = benchmarks.read(file)
    assert (one.phase, two.phase, one.engine, one.version, one.gpus) == ("decode", "prefill", "vLLM", "0.24.0", 2)
    assert (one.concurrency, one.tokens_in, one.tokens_out, one.tokens_per_second) == (1, 128, 512, 1162.58)
    assert one.simulated and one.spread == simulated.ERROR and one.model.endswith("8B") and one.file == "estimate.txt"
    assert benchmarks.device(one.device, ["H100 PCIe", "H100 80GB SXM", "H200 SXM"]) == "H100 80GB SXM"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("static_gen", "disagg", "estimates of disagg are not read"),
        ("  ISL:              128\n", "", "has no 'ISL'"),
        ("1,162.58", "-3", "tokens/s: "),
        ("1,162.58", "fast", "tokens/s: "),
    ],
)
def test_what_is_not_as_printed_is_refused(tmp_path, old, new, message):
    file = tmp_path / "estimate.txt"
    file.write_text(PRINTED.replace(old, new))
    with pytest.raises(ValueError, match=f"estimate.txt: .*{message}"):
        benchmarks.read(file)
