"""Plans for models that are no dense Llama: their memory, what speed was assumed, and where the law ends."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import save_file
from small_folders import SIZES, tensors, written

import rholaw as rl
from rholaw import tables
from rholaw.hardware import geometry as shapes
from rholaw.planning import cases, verifying
from rholaw.planning.scenario import ScenarioError

RUNS = rl.runs.one_estimator(rl.runs.load("quest2025"))
FIT = rl.fit("unified", RUNS, fixed={"E": 1.0}, n_bootstrap=20)
PUBLIC = {row.model: row.config for row in tables.read("hardware/configs").itertuples()}
OF_FILES = {"senses", "senses_unknown", "rounded_before", "not_counted", "not_read"}
LIMITS = ({"latency_ms": 28}, {"latency_ms": 300}, {})
FP8 = {"weights": "fp8_row", "activations": "fp8_row"}


@pytest.fixture
def planned(tmp_path):
    """(model, its parts) → the plan for a folder with its config.json."""

    def plan(model, kind="post-training", gpus=(1, 2), batches=(1, 64), **traffic):
        (tmp_path / "config.json").write_text(PUBLIC[model])
        scenario = {"model": {"checkpoint": str(tmp_path), "tokens": 1e13}, "formats": [FP8], "traffic": traffic}
        scenario |= {"hardware": {"gpus": list(gpus), "batches": list(batches)}, "project": {"kind": kind}}
        return rl.plan(rl.Scenario.of(scenario | {"run": {"samples": 200, "today": "2026-06-01"}}), law=FIT)

    return plan


def row(plan, option="dense", gpus=1, batch=1):
    table = plan.table
    return table[(table.option == option) & (table.gpus == gpus) & (table.batch == batch)].iloc[0]


def test_a_mixture_is_held_whole_and_computed_in_part(planned):
    """vllm-fit#27: 93 GB in 16 bits, which one H100 does not hold."""
    plan = planned("mistralai/Mixtral-8x7B-v0.1")
    dense = row(plan)
    assert dense.memory_weights_gb + dense.memory_embeddings_gb == pytest.approx(2 * 46.702792704, rel=1e-6)
    assert not dense.fits and row(plan, gpus=2).fits and row(plan, "fp8_row x fp8_row").fits
    assert row(plan, batch=64, gpus=2).decode_tokens_s < 64 * row(plan, gpus=2).decode_tokens_s / 2  # more experts hit
    (told,) = (text for text in plan.warnings if text.startswith("A mixture of experts"))
    assert "all 46.7 billion" in told and "the 12.7 billion" in told and "With 1 in flight a step reads 27%" in told
    assert dense.decode_tokens_s > 0 and row(plan, "fp8_row x fp8_row").speed_source_decode == "fitted"


@pytest.mark.parametrize("values", [cases.VALUES, 200], ids=["in one case", "a case a batch"])
def test_a_limit_where_a_step_is_as_long_with_few_as_with_many_in_flight_is_told(planned, monkeypatch, values):
    """All experts are read by a few tokens already: 93 GB take 14 ms of two H100, and with what is launched some 28."""
    monkeypatch.setattr(cases, "VALUES", values)
    busy = {"requests_per_month": 5e6, "tokens_in": 1000, "tokens_out": 500}
    edge, loose, none = (
        [doubt.data for doubt in plan.doubts if doubt.code == "limit_decides"]
        for plan in (planned("mistralai/Mixtral-8x7B-v0.1", gpus=[2], **busy | limit) for limit in LIMITS)
    )
    assert not loose and not none
    (told,) = edge
    assert told["high"] >= 4 * told["low"] and told["free"] < told["high"] / 4 and told["latency"] > told["limit"] == 28


def test_a_model_that_was_published_in_a_format_loses_nothing_in_it(planned, tmp_path):
    """Nothing is rounded where the weights lie in MXFP4 already; FP8 of the same model is rounded."""
    (tmp_path / "config.json").write_text(PUBLIC["openai/gpt-oss-20b"])
    scenario = {"model": {"checkpoint": str(tmp_path)}, "formats": [{"weights": "mxfp4"}, FP8]}
    scenario |= {"project": {"kind": "post-training"}, "run": {"samples": 200, "today": "2026-06-01"}}
    plan = rl.plan(rl.Scenario.of(scenario), law=FIT)
    own, other = row(plan, "mxfp4"), row(plan, "fp8_row x fp8_row")
    assert own.dloss_p10 == own.dloss_p90 == 0 and own.dloss_source == "published so" and own.feasible
    assert other.dloss > 0 and other.unsettled
    assert sum("published in this format" in text for text in plan.warnings) == 1
    told = verifying.commands(plan.scenario, dataclasses.replace(plan.conclusion, inputs=("kernels",)))
    assert dict(told)["serve"].startswith("vllm serve MODEL ")
    deepseek = row(planned("deepseek-ai/DeepSeek-V3", gpus=[16]), "fp8_row x fp8_row", gpus=16)
    assert deepseek.dloss == 0 and row(planned("zai-org/GLM-4.5-Air"), "fp8_row x fp8_row").dloss > 0


@pytest.mark.parametrize(
    ("model", "says_so", "lossless"),
    [
        ("deepseek-ai/DeepSeek-V3", True, True),
        ("moonshotai/Kimi-K2-Instruct", True, True),
        ("moonshotai/Kimi-K2-Instruct", False, False),  # made wider, or of those published in INT4
        ("MiniMaxAI/MiniMax-M2", True, True),
        ("zai-org/GLM-4.5-Air", True, False),  # published in 16 bits too
    ],
)
def test_whether_a_model_was_published_so_follows_from_its_family_and_its_config(
    planned, monkeypatch, model, says_so, lossless
):
    said = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
    monkeypatch.setitem(PUBLIC, model, json.dumps(json.loads(PUBLIC[model]) | (said if says_so else {})))
    plan = planned(model, gpus=[16])
    assert (row(plan, "fp8_row x fp8_row", gpus=16).dloss == 0) == lossless
    before = [text for text in plan.warnings if text.startswith("The checkpoint was rounded before")]
    assert len(before) == (says_so and not lossless)


def test_layers_that_look_ahead_are_counted_where_an_option_speculates(planned):
    """GLM-4.5-Air's published FP8 file is larger than what is counted: its MTP layer lies in it."""
    silent = planned("zai-org/GLM-4.5-Air", gpus=[8])
    told = [text for text in silent.warnings if "(MTP)" in text]
    assert len(told) == 1 and "hold 2.3 billion" in told[0] and "no memory shown holds them" in told[0]
    own = {"weights": "fp8_row", "speculation": 1.5, "measured_on": "vLLM"}
    parts = {"formats": [own], "model": {"checkpoint": silent.scenario.model.checkpoint}}
    speaks = rl.plan(silent.scenario.replace(**parts), law=FIT)
    speaking, mute = row(speaks, "fp8_row", gpus=8), row(silent, "fp8_row x fp8_row", gpus=8)
    more = speaking.memory_weights_gb / mute.memory_weights_gb
    assert more == pytest.approx(1 + 1 / 46, rel=1e-3)  # one layer beside 46
    assert any("options with speculation hold them" in text for text in speaks.warnings)
    assert not any("(MTP)" in text for text in planned("openai/gpt-oss-20b").warnings)


def test_sequences_that_are_longer_than_the_model_takes_are_told(planned, monkeypatch):
    config = json.loads(PUBLIC["Qwen/Qwen3-0.6B"]) | {"max_position_embeddings": 40_960}
    monkeypatch.setitem(PUBLIC, "Qwen/Qwen3-0.6B", json.dumps(config))
    told = [text for text in planned("Qwen/Qwen3-0.6B", context=50_000).warnings if "max_position_embeddings" in text]
    assert len(told) == 1 and "50,000 tokens is longer than the 40,960" in told[0]
    short = planned("Qwen/Qwen3-0.6B", context=40_960)
    assert not any("max_position_embeddings" in text for text in short.warnings)


def test_a_plan_counts_attention_beside_experts_in_mxfp4_at_16_bits(tmp_path):
    (tmp_path / "config.json").write_text(PUBLIC["openai/gpt-oss-20b"])
    scenario = {"model": {"checkpoint": str(tmp_path)}, "formats": [{"weights": "mxfp4"}]}
    scenario |= {"project": {"kind": "post-training"}, "run": {"samples": 200, "today": "2026-06-01"}}
    own = row(rl.plan(rl.Scenario.of(scenario), law=FIT), "mxfp4")
    assert own.memory_weights_gb + own.memory_embeddings_gb == pytest.approx(13.761, rel=1e-3)


def test_the_law_of_training_is_not_used_for_mixtures(planned):
    for kind in ("train", "qat"):
        with pytest.raises(ScenarioError, match=r"stands on dense models, and gpt_oss has experts.*post-training"):
            planned("openai/gpt-oss-20b", kind)
    own, dense = planned("openai/gpt-oss-20b"), planned("google/gemma-3-1b-it")
    assert own.table.loss.isna().all() and own.table.dloss.notna().all() and not own.alternatives
    assert dense.table.loss.notna().all() and dense.alternatives
    assert not any("law of training" in text for text in own.warnings)
    assert "parameters active for a token" in set(own.assumptions.item) - set(dense.assumptions.item)


def test_an_encoder_writes_no_tokens(planned):
    with pytest.raises(ScenarioError, match="it is a bert that writes no tokens"):
        planned("google-bert/bert-base-uncased")


@pytest.mark.slow
def test_caches_of_the_kinds_that_there_are(planned):
    def gigabytes(model, tokens):
        return row(planned(model, batches=[10], context=tokens, tokens_in=1, gpus=[8]), gpus=8, batch=10).memory_kv_gb

    assert gigabytes("deepseek-ai/DeepSeek-V3", 1000) == pytest.approx(10 * 1000 * 70272 / 1e9)
    window = 10 * 2 * 2 * 16 * 128 * (10 * 100_000 + 52 * 1024) / 1e9
    assert gigabytes("google/gemma-3-27b-it", 100_000) == pytest.approx(window)
    assert gigabytes("mistralai/Mamba-Codestral-7B-v0.1", 10) == gigabytes("mistralai/Mamba-Codestral-7B-v0.1", 1e6)


@pytest.mark.slow
def test_windows_and_states_are_told(planned):
    words = planned("google/gemma-3-27b-it", context=50_000).warnings
    assert any("52 layers look back 1024 tokens at most" in text for text in words)
    assert not any("look back" in text for text in planned("google/gemma-3-27b-it", context=1000).warnings)
    assert any("80.2 MB a sequence in float32" in text for text in planned("Qwen/Qwen3-Next-80B-A3B-Instruct").warnings)
    assert not any("sequence in float32" in text for text in planned("Qwen/Qwen3-0.6B").warnings)


@pytest.mark.slow
def test_what_lies_beside_the_decoder_and_what_was_rounded_before_is_told(tmp_path):
    """Gemma 3's eyes take memory that no option compresses; of a config alone nobody knows how much."""
    weights = {"language_model." + name: tensor for name, tensor in tensors().items()}
    eyes = {f"vision_tower.layers.{i}.fc1.weight": torch.zeros(500, 1000) for i in range(2)}
    config = {"model_type": "llava", "text_config": {"model_type": "llama", **SIZES}, "vision_config": {"depth": 2}}
    written(tmp_path / "model", config, weights | eyes)
    written(tmp_path / "blind", config, weights)
    (tmp_path / "said").mkdir()
    config |= {"quantization_config": {"quant_method": "fp8"}}
    (tmp_path / "said" / "config.json").write_text(json.dumps(config))
    plans, rest = {}, {"formats": [FP8], "run": {"samples": 200, "today": "2026-06-01"}}
    for name in ("model", "blind", "said"):
        scenario = rest | {"model": {"checkpoint": str(tmp_path / name), "kappa": 1.0}}
        scenario |= {"project": {"kind": "post-training"}}
        plans[name] = rl.plan(rl.Scenario.of(scenario), law=FIT)
    save_file(tensors(), tmp_path / "model" / "other.safetensors")
    scenario["model"] = {"checkpoint": str(tmp_path / "model"), "kappa": 1.0}
    plans["two"] = rl.plan(rl.Scenario.of(scenario), law=FIT)
    coded = {name.replace("proj.weight", "proj.codes"): tensor for name, tensor in tensors().items()}
    coded |= {name: coded[name].char() for name in coded if name.endswith("codes")}
    written(tmp_path / "coded", {"model_type": "llama", **SIZES}, coded)
    scenario["model"] = {"checkpoint": str(tmp_path / "coded"), "kappa": 1.0}
    plans["coded"] = rl.plan(rl.Scenario.of(scenario), law=FIT)
    more = row(plans["model"]).memory_embeddings_gb - row(plans["blind"]).memory_embeddings_gb
    assert more == pytest.approx(2 * 2 * 500 * 1000 / 1e9)
    codes = {name: {doubt.code for doubt in plan.doubts} for name, plan in plans.items()}
    own = {name: said & OF_FILES for name, said in codes.items()}
    expected = {
        "model": {"senses"},
        "two": {"senses", "not_read"},
        "blind": set(),
        "said": {"senses_unknown", "rounded_before"},
    }
    assert own == expected | {"coded": {"rounded_before", "not_counted"}}
    assert any("beside the decoder takes 0.002 GB" in text for text in plans["model"].warnings)
    assert any("that was read lie others: other.safetensors." in text for text in plans["two"].warnings)


@pytest.mark.parametrize("weighs", [True, False])
def test_rotations_and_what_is_not_applied_are_told(tmp_path, weighs):
    """QuaRot's and SpinQuant's matrices are not those that the law after training was seen on; DoRA's are not whole."""
    config = {"model_type": "llama", **SIZES}
    turned = config | {"quantization_config": {"quant_method": "quark", "algo_config": [{"name": "quarot"}]}}
    beside = {"model.layers.0.mlp.up_proj.weight_m": torch.ones(96, 1)} if weighs else {}
    made = {"plain": (config, {}), "turned": (turned, {}), "online": (config | {"online_hadamard": True}, {})}
    made |= {"R1": (config, {"R1": torch.eye(64)}), "DoRA": (config, beside)} if weighs else {}
    told = {}
    for name, (said, more) in made.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(said))
        if weighs:
            written(tmp_path / name, said, tensors() | more)
        scenario = {"model": {"checkpoint": str(tmp_path / name), "kappa": 1.0}, "formats": [FP8]}
        scenario |= {"project": {"kind": "post-training"}, "run": {"samples": 100, "today": "2026-06-01"}}
        plan = rl.plan(rl.Scenario.of(scenario), law=FIT)
        told[name] = [doubt.data["what"] for doubt in plan.doubts if doubt.code in ("turned", "unapplied")]
    expected = {"plain": [], "turned": ["quarot"], "online": ["online_hadamard"]}
    assert told == expected | ({"R1": ["R1"], "DoRA": ["model.layers.0.mlp.up_proj.weight_m"]} if weighs else {})


def test_what_is_ternary_or_helps_another_model_has_no_plan(tmp_path):
    """Rounding a BitNet to FP8 makes it five times as large; a draft writes nothing."""
    config = {"model_type": "llama", **SIZES}
    trits = {name: torch.randint(-1, 2, x.shape).float() if "proj" in name else x for name, x in tensors().items()}
    written(tmp_path / "values", config, trits)
    written(tmp_path / "said", config | {"quantization_config": {"quant_method": "bitnet"}}, tensors())
    written(tmp_path / "draft", config | {"architectures": ["EagleLlamaForCausalLM"]}, tensors())
    written(tmp_path / "blank", config, {name: torch.zeros(x.shape) for name, x in tensors().items()})
    for name, message in (
        ("blank", "each of its matrices holds one number throughout.*by its shape, a folder with its config.json"),
        ("values", "its matrices hold 0 and one magnitude.*saves nothing"),
        ("said", "it is a BitNet.*there is none of it"),
        ("draft", "it drafts tokens for another model.*models that write by themselves"),
    ):
        scenario = {"model": {"checkpoint": str(tmp_path / name)}, "formats": [FP8]}
        with pytest.raises(ScenarioError, match=message):
            rl.Scenario.of(scenario | {"project": {"kind": "post-training"}})


def test_what_rounding_costs_follows_the_active_parameters_of_a_mixture(tmp_path):
    (tmp_path / "config.json").write_text(PUBLIC["Qwen/Qwen3-30B-A3B"])
    scenario = {"model": {"checkpoint": str(tmp_path)}, "formats": [FP8], "project": {"kind": "post-training"}}
    model = rl.Scenario.of(scenario).model
    assert model.n_active == model.shape.active == pytest.approx(3.3e9, rel=0.1)
    given = scenario | {"model": {"checkpoint": str(tmp_path), "active": 2e9}}
    assert rl.Scenario.of(given).model.n_active == 2e9
    (tmp_path / "config.json").write_text(PUBLIC["Qwen/Qwen3-8B"])
    assert rl.Scenario.of(scenario).model.n_active is None


def test_a_null_is_no_type_error(tmp_path):
    """llm-d-benchmark#426, modular#6665."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "num_key_value_heads": None}))
    scenario = rl.Scenario.of(
        {"model": {"checkpoint": str(tmp_path)}, "formats": [FP8], "project": {"kind": "post-training"}}
    )
    assert scenario.model.shape == shapes.llama(32, 4096, 32, 32, 128, 11008, 32000)
