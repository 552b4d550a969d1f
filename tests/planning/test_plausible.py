"""Values that make no sense together, or in their unit, are refused by name."""

import datetime

import pytest

import rholaw as rl

SHAPE = {"layers": 32, "d_model": 4096, "heads": 8, "kv_heads": 8, "head_dim": 128, "d_ff": 14336, "vocabulary": 128256}
H100 = "H100 80GB SXM"
RIGHT = {
    "model": {"geometry": "Llama-3.1-8B"},
    "formats": [{"weights": "fp8_row"}],
    "project": {"kind": "post-training"},
}


def refusal(**parts) -> str:
    with pytest.raises(rl.ScenarioError) as caught:
        rl.Scenario.of(RIGHT | parts)
    return str(caught.value)


def test_what_is_allowed_and_odd_is_told():
    slow = {"speedup_decode": 0.3, "measured_on": "it", "weights": "fp8_row"}
    parts = {"formats": [slow], "prices": {"server": 1.5}, "run": {"samples": 200, "today": "2026-11-24"}}
    told = " ".join(rl.plan(RIGHT | parts).warnings)
    assert "the speed-up given, 0.3, makes it slower than 16 bits" in told
    assert "prices.server: given, and counted nowhere, since no device is bought here" in told
    parts |= {"formats": [slow | {"speedup_decode": 1.3}], "prices": {"server": 1.5, "purchase_usd": {H100: 30_000}}}
    told = " ".join(rl.plan(RIGHT | parts).warnings)
    assert "slower than 16 bits" not in told and "counted nowhere" not in told
    near = {"currency": "EUR", "rate": 1.03}
    assert rl.Scenario.of(RIGHT | {"prices": near}).prices.rate == 1.03  # as in 2022


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"traffic": {"ttft_ms": 2}}, "2 ms to the first token is sooner than any engine; 2000 for 2 s"),
        ({"traffic": {"isl": 1000}}, "traffic.isl: there is no such key; here it is called traffic.tokens_in"),
        ({"prices": {"currency": "SGD", "rate": 0.75}}, "0.75 SGD a USD stands upside down: 1.333 if a SGD is 0.75"),
        (
            {"prices": {"currency": "JPY", "rate": 150, "electricity_kwh": 30, "electricity_usd_kwh": 0.2}},
            "electricity_kwh and electricity_usd_kwh say the same in two currencies: give one",
        ),
        (
            {"project": {"kind": "qat", "engineer_week": 3000, "engineer_week_usd": 4000}},
            "engineer_week and engineer_week_usd say the same in two currencies: give one",
        ),
        ({"formats": [{"weights": "nf4", "measured_on": "vLLM"}]}, "formats 1.measured_on: of no speed-up"),
        (
            {"formats": [{"weights": "nf4", "method": "imatrix"}]},
            "formats 1.method: imatrix does not make nf4: rtn, gptq",
        ),
        ({"formats": [{"weights": "q4_k", "method": "gptq"}]}, "gptq does not make q4_k: ggml or imatrix"),
        (
            {"formats": [{"weights": "mxfp4", "dloss": 0.1}, {"weights": "e2m1/g32:e8m0", "dloss": 0.2}]},
            "formats 2: e2m1/g32:e8m0 stands there already, as formats 1: a plan has each option once",
        ),
        (
            {"formats": [{"weights": "nf4"}, {"weights": "nf4", "speculation": 2, "measured_on": "x"}]},
            "formats 2: nf4 stands there already",
        ),
        (
            {"formats": [{"weights": "nf4", "dloss": 0.1}], "project": {"kind": "train"}},
            'formats 1.dloss: at equal loss it is none, of a larger model: project.compare = "equal-n", or rho',
        ),
        ({"model": RIGHT["model"] | {"active": 3e9}}, "model.active: a token passes through all of a llama"),
        (
            {"model": {"params": 3e10, "active": 3e9}, "project": {"kind": "qat"}},
            "the law of training stands on dense models, and model.active has experts",
        ),
        ({"hardware": {"devices": "GB300 NVL72"}}, "there is no such device; did you mean B300 SXM?"),
        ({"model": {"params": 8}}, "model.params: 8 is too few for a language model; write 8e9 for eight billion"),
        ({"model": {"params": 8e9, "tokens": 15}}, "model.tokens: 15 is too few"),
        ({"model": {"params": 8e9, "active": 3}}, "model.active: 3 is too few"),
        ({"model": {"params": 1e16}}, "model: 1e+16 parameters are more than 1e+15, beyond any machine"),
        ({"model": {"geometry": SHAPE | {"layers": 1e30}}}, "beyond any machine"),
        ({"model": {"geometry": SHAPE | {"kv_heads": 32}}}, "kv_heads, 32, are more than the 8 heads that share them"),
        (
            {"model": {"geometry": SHAPE | {"head_dim": 1280}}},
            "head_dim, 1280, is wider than any model's, at most 1024",
        ),
        (
            {"project": {"kind": "qat", "engineer_week": 3000, "engineer_week_usd": 5000}},
            "engineer_week and engineer_week_usd say the same in two currencies: give one",
        ),
        (
            {"prices": {"currency": "EUR", "rate": 1.08}},
            "1.08 EUR a USD stands upside down: 0.9259 if a EUR is",
        ),
        ({"prices": {"currency": "CAD", "rate": 0.73}}, "0.73 CAD a USD stands upside down: 1.37 if a CAD is 0.73 USD"),
        ({"model": {"geometry": SHAPE | {"layers": "32"}}}, "layers must be positive and finite, got '32'"),
        ({"formats": {"weights": "fp8_row"}}, "write [[formats]], not [formats]"),
        ({"formats": [{"weights": "nf4"}, {"weights": "nf4"}]}, "formats 2: nf4 stands there already, as formats 1"),
        ({"formats": [{"weights": "nf4", "rho": [0.5, 1.2, 1.4]}]}, "formats 1.rho: 1.2, the middle, is above 1"),
        ({"hardware": {"devices": "H100"}}, "H100: there is no such device; did you mean "),
        ({"hardware": {"devices": "\uff28100"}}, "did you mean "),
        ({"hardware": {"devices": "rtx"}}, "rtx: there is no such device; did you mean one of RTX "),
        ({"hardware": {"devices": ["L4", "L4"]}}, "hardware.devices: L4 stands there twice"),
        ({"hardware": {"batches": [1, 8, 1]}}, "hardware.batches: 1 stands there twice"),
        ({"hardware": {"batches": [*range(1, 40_000)]}}, "make 79,998 rows; a plan has at most 50,000"),
        ({"hardware": {"reserve_gb": 80}}, "hardware.reserve_gb: 80 GB leave nothing of the 80 GB of a device"),
        ({"hardware": {"overrides": "/nowhere.csv"}}, "overrides: there is no file /nowhere.csv to read: No such file"),
        (
            {"traffic": {"tokens_in": 8000, "tokens_out": 500, "context": 1000}},
            "1000 tokens do not hold a prompt of 8000",
        ),
        (
            {"hardware": {"gpus": [1_000_000]}},
            "1,000,000 devices serve no copy of a model; at most 1,024",
        ),
        (
            {"model": RIGHT["model"] | {"measured": [{"weights": "q4_k", "rise": r} for r in (0.03, 0.3)]}},
            "model.measured: 2 is of q4_k again, with another rise (0.03 and 0.3): give one",
        ),
        ({"traffic": {"tokens_in": datetime.date(2026, 11, 24)}}, "not 2026-11-24"),
        ({"hardware": {"engine": " "}}, "hardware.engine: it is empty; name one, as vLLM"),
        ({"model": {"geometry": SHAPE | {"layers": 10**400}}}, "layers must be positive and finite"),
        ({"model": {"params": 8e9, "tokens": 1e17}}, "model.tokens: 1e+17 are more than were ever written"),
        ({"prices": {"lifetime_months": 1e-9}}, "prices.lifetime_months: 1e-09 must be at least 1 and at most 600"),
        ({"run": {"today": "1066-10-14"}}, "run.today: 1066-10-14: no plan is made on that day; one from 2020 on"),
        ({"project": {"kind": "qat", "engineer_weeks": 1e308}}, "1e+308 must be at least 0 and at most 100000 (weeks)"),
        ({"prices": {"gpu_hour_usd": {H100: 1e300}}}, "1e+300 must be above 0 and at most 1e+15"),
        ({"traffic": {"latency_ms": 30_000}}, "30000 ms a token limits nothing; 30 for 30 ms"),
        ({"prices": {"rate": 150}}, "prices.rate: 150 USD a USD: give prices.currency too"),
        ({"prices": {"currency": "JPY", "rate": 0.0067}}, "no currency is worth so much; 149.3 if a JPY is 0.0067 USD"),
        ({"prices": {"electricity_usd_kwh": [8, 9, 10]}}, "electricity_usd_kwh: USD 9 a kWh is paid nowhere"),
        ({"prices": {"electricity_usd_kwh": 0.00012}}, "electricity_usd_kwh: USD 0.00012 a kWh is paid nowhere"),
        (
            {"prices": {"gpu_hour_usd": {H100: 1800}}},
            "USD 1,800 an hour: no device is rented for so much; 2.46 if that",
        ),
        ({"model": {"params": 8e9, "active": 9e9}}, "model.active: 9e+09 is more than the 8e+09 that the model has"),
        ({"model": {"geometry": SHAPE | {"layers": 4096, "d_model": 32}}}, "4,096 layers are more than any model has"),
        (
            {"model": RIGHT["model"] | {"measured": [{"weights": "q4_k", "rise": 3.0}]}},
            "a rise of 3 nats in q4_k is more than any model has shown; 0.03 if perplexity rose by 3 %",
        ),
        ({"formats": [{"weights": "dense"}]}, "formats 1: it compresses nothing, and 16 bits are always among"),
        ({"formats": [{"weights": "sint4/g1000000"}]}, "formats 1.weights: no row has blocks of 1,000,000 weights"),
        ({"formats": [{"weights": "W4A16"}]}, 'here it is weights = "sint4/g128"'),
        (
            {"hardware": {"engine": "vLLM==0.11"}},
            "hardware.engine: vLLM==0.11: there is no such engine; did you mean vLLM?",
        ),
        (
            {"prices": {"currency": "JPY", "rate": 1.5}},
            "prices.rate: 1.5 JPY a USD: it was 102.2 to 163.9 in ten years",
        ),
        ({"project": {"kind": "qat", "qat_tokens": 2}}, "project.qat_tokens: 2 train nothing; write 2e9"),
        ({"project": {"kind": "qat", "engineer_week_usd": 4}}, "engineer_week_usd: USD 4 is paid to nobody"),
        ({"prices": {"purchase_usd": {H100: 30}}}, "H100 80GB SXM for USD 30: no device costs so little"),
        ({"project": {"kind": "qat", "tolerance": 2}}, "2 nats per token breaks a model; 0.02 for 2 %"),
        (
            {"formats": [{"weights": "nf4", "speedup_decode": 30, "measured_on": "x"}]},
            "speedup_decode: 30 times 16 bits is more than any format can give; 1.3 for 30 % faster",
        ),
        ({"traffic": {"latency_ms": 0.05}}, "0.05 ms a token is faster than any engine; 50 for 0.05 s"),
        (
            {"prices": {"gpu_hour_usd": {H100: 2}, "purchase_usd": {H100: 30_000}}},
            "prices: H100 80GB SXM is rented and bought (gpu_hour_usd, purchase_usd): give one",
        ),
    ],
)
def test_what_makes_no_sense_is_named(parts, message):
    assert message in refusal(**parts)


def test_bytes_in_the_place_of_gigabytes(tmp_path):
    own = tmp_path / "own.csv"
    own.write_text(f"device,property,value\n{H100},memory,80e9\n")
    assert "memory: 8e+10 must be at least 0 and at most 1e+06 (GB)" in refusal(hardware={"overrides": str(own)})


@pytest.mark.parametrize(("engine", "count"), [("llama.cpp", 3), ("vLLM", 12)])
def test_layers_are_split_among_any_number_of_devices(engine, count):
    assert rl.Scenario.of(RIGHT | {"hardware": {"engine": engine, "gpus": count}}).hardware.gpus == (count,)
