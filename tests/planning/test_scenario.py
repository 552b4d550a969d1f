"""Scenarios: the template is valid and complete, and whatever is wrong is named."""

import datetime
import math
import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import rholaw as rl
from rholaw.checked import shortened
from rholaw.hardware import geometry as shapes
from rholaw.planning import inputs
from rholaw.planning.scenario import PARTS, Scenario, ScenarioError

TEMPLATE = Path(__file__).parents[2] / "chapters" / "scenario.toml"
PLAIN = {"layers": 2, "d_model": 64, "heads": 4, "kv_heads": 2, "head_dim": 16, "d_ff": 256, "vocabulary": 1000}
SMALL = {"model": {"geometry": "Llama-3.1-8B"}, "formats": [{"weights": "fp8_row"}], "project": {"kind": "train"}}


def refused(data):
    with pytest.raises(ScenarioError) as caught:
        Scenario.of(data)
    return str(caught.value)


# --- the template -------------------------------------------------------------------------------------------------


def test_the_template_is_a_scenario():
    scenario = Scenario.read(TEMPLATE)
    assert scenario.model.shape == shapes.named()["Llama-3.1-8B"]
    assert scenario.options[0].name == "dense" and len(scenario.options) == 4


def test_the_template_shows_every_key():
    text = TEMPLATE.read_text(encoding="utf-8")
    parts = dict(re.findall(r"^\[+(\w+)\]+(.*?)(?=^\[|\Z)", text, flags=re.M | re.S))
    first = text[text.index("[[formats]]") :]
    for name, kind in PARTS.items() | {("formats", inputs.Option)}:
        shown = first if name == "formats" else parts[name]
        missing = [item.name for item in fields(kind) if not re.search(rf"^(# )?{item.name} = ", shown, flags=re.M)]
        assert not missing, f"[{name}] lacks {missing}"


def test_each_line_of_the_template_is_explained():
    lines = TEMPLATE.read_text(encoding="utf-8").splitlines()
    settings = [line for line in lines if re.match(r"(# )?\w+ = ", line)]
    assert len(settings) > 40 and all(re.search(r" # ..", line[4:]) for line in settings)


def test_commented_keys_of_the_template_are_right_too():
    text = TEMPLATE.read_text(encoding="utf-8")
    files = r"^# (checkpoint|params|overrides) = .*$|^# measured = ..bench.*$"
    text = re.sub(files, "", text, flags=re.M)  # one of three, and files
    text = re.sub(r'^# compare = "equal-n"', 'compare = "equal-n"', text, flags=re.M)
    text = re.sub(
        r"^# (kappa|active|electricity_kwh|engineer_week|evaluation) = .*$", "", text, flags=re.M
    )  # or another
    opened = re.sub(r"^# (\w+ = )", r"\1", text, flags=re.M)
    assert opened != text
    assert Scenario.of(tomllib.loads(opened)).project.target_loss == 2.1


def test_yaml_says_the_same_as_toml(tmp_path):
    data = tomllib.loads(TEMPLATE.read_text(encoding="utf-8"))
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(data))
    assert Scenario.read(path) == Scenario.read(TEMPLATE)


# --- what is wrong ------------------------------------------------------------------------------------------------


def test_everything_wrong_is_named_at_once():
    told = refused(
        {
            "model": {"geometry": "Llama-3.1-8B", "tokns": 3},
            "traffic": {"latency_s": 2, "utilisation": 70, "tokens_in": "1k", "requests_per_month": -1},
            "prices": {"gpu_hour_usd": {"L4": [3, 2, 1]}, "rate": 0},
            "project": {"kind": "distil", "mfu": [0.1, 0.2], "slowdown": [1, 5, 2], "horizon_months": True},
            "hardware": {"devices": [], "gpus": 1.5, "batches": [0], "reserve_gb": float("nan")},
            "formts": [],
            "formats": [{"weights": "fp8_row", "rho": [1, 2]}, "int4"],
            "run": {"samples": 200.5, "seed": 1.5},
        }
    )
    for text in (
        "formts: there is no such part; did you mean formats?",
        "model.tokns: there is no such key; did you mean tokens, in training tokens?",
        "traffic.latency_s: there is no such key; did you mean latency_ms, in milliseconds a token of output?",
        "traffic.utilisation: 70 must be above 0 and at most 1 (share of the hours paid); 0.7 for 70 %",
        "traffic.tokens_in: must be a number (tokens a request), not '1k'; write the number alone, 1000",
        "traffic.requests_per_month: -1 must be at least 0",
        "prices.gpu_hour_usd: low, middle and high must rise, not [3, 2, 1]",
        "prices.rate: 0 must be at least 1e-09 and at most 1e+09",
        "project.kind: 'distil' is not one of 'post-training', 'qat', 'train'",
        "project.mfu: must be one number or [low, middle, high]",
        "project.slowdown: low, middle and high must rise, not [1, 5, 2]",
        "project.horizon_months: must be a number (months), not True",
        "hardware.devices: must be a list of names of devices",
        "hardware.gpus: 1.5 is no whole number (devices a replica)",
        "hardware.batches: 0 must be at least 1",
        "run.samples: 200.5 is no whole number (draws)",
        "run.seed: 1.5 is no whole number (of the draws)",
        "hardware.reserve_gb: must be a finite number (GB a device), not nan",
        "formats 1.rho: must be one number or [low, middle, high]",
        "formats 2: must be a table of keys, not 'int4'",
    ):
        assert text in told


def test_contradictions_are_named_beside_wrong_keys_and_units():
    told = refused(
        {
            "model": {"geometry": "Llama-3.1-9B", "params": 1e9, "tokens": 5},
            "formats": [{"weights": "fp9"}, {"weights": "int4", "speedup_decode": 2}, {"kernel": "nativ"}],
            "hardware": {"devices": ["H100"], "gpus": 0},
            "traffic": {"utilisation": 70},
            "project": {"kind": "qat", "compare": "equal-loss"},
            "run": {"today": "yesterday"},
        }
    )
    for text in (
        "model: give one of geometry, checkpoint and params, not geometry and params",
        "formats 1.weights: format 'fp9'",
        "formats 2: a speed-up of yours needs measured_on",
        "formats 3.kernel: 'nativ' is not one of",
        "hardware.devices: H100: there is no such device",
        "hardware.gpus: 0 must be at least 1",
        "traffic.utilisation: 70 must be above 0",
        "project.compare: equal-loss trains a larger model anew",
        "run.today: 'yesterday' is no date",
    ):
        assert text in told
    with pytest.raises(ScenarioError, match=r"(?s)tokens_in.*run\.today"):
        Scenario.of(SMALL).replace(traffic={"tokens_in": 0}, run={"today": "yesterday"})


def test_another_currency_needs_a_rate():
    told = "prices.rate: say how many JPY a USD is"
    assert told in refused(SMALL | {"prices": {"currency": "JPY"}})
    assert told not in refused(SMALL | {"prices": {"currency": "JPY", "rate": "155"}})
    assert Scenario.of(SMALL | {"prices": {"currency": "JPY", "rate": 155}}).prices.rate == 155


def test_a_scenario_says_what_it_plans():
    without = {part: value for part, value in SMALL.items() if part != "project"}
    told = 'project.kind: say what is planned: "post-training" rounds the finished model, "qat" trains'
    assert told in refused(without) and "'' is not one of" in refused(without | {"project": {"kind": ""}})
    assert "say what is planned" not in refused(without | {"project": {"kind": "distil"}})
    with pytest.raises(ScenarioError, match="say what is planned"):
        Scenario(model=Scenario.of(SMALL).model, formats=Scenario.of(SMALL).formats)


def test_what_a_default_stands_in_for_is_no_contradiction():
    assert "give one of" not in refused(SMALL | {"model": {"geometri": "Llama-3.1-8B"}})
    assert "no such device" not in refused(SMALL | {"hardware": {"overrides": 3, "devices": ["Mine"]}})
    credited = {"weights": "int4", "speedup_decode": 2, "measured_on": 3}
    assert "needs measured_on" not in refused(SMALL | {"formats": [credited]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {}}, "give one of geometry, checkpoint and params, not none"),
        ({"model": {"geometry": "Llama-3.1-8B", "params": 1e9}}, "not geometry and params"),
        ({"model": {"geometry": "Llama-3.1-9B"}}, "did you mean Llama-3.1-8B?"),
        ({"model": {"geometry": {"layers": 2}}}, "model.geometry: lacks d_model"),
        ({"model": {"geometry": {"layrs": 2}}}, "did you mean layers?"),
        ({"model": {"geometry": PLAIN | {"layers": 2.5}}}, "model.geometry: layers, 2.5, is no whole number"),
        ({"model": {"geometry": 8}}, "must be a name or a table"),
        (
            {"model": {"params": 1e9, "kappa": 5, "measured": [{"weights": "q4_0", "rise": 0.1}]}},
            "not both: kappa follows",
        ),
        ({"model": {"params": 1e9, "kappa": 0}}, r"model.kappa: 0 must be above 0 and at most 1000 \(nats per unit"),
        (
            {"model": {"params": 1e9, "measured": {"q4_0": 0.1}}},
            r'measured: must be a list, as in \[\{ weights = "q4_k"',
        ),
        ({"model": {"params": 1e9, "measured": [0.1]}}, "measured: 1: must be a table of keys, not 0.1"),
        ({"model": {"params": 1e9, "measured": [{"weights": "q4_0"}]}}, "measured: 1 lacks rise"),
        (
            {"model": {"params": 1e9, "measured": [{"weigths": "q4_0", "rise": 1}]}},
            "1.weigths: .* did you mean weights",
        ),
        (
            {"model": {"params": 1e9, "measured": [{"weights": "q4_0", "rise": 0}]}},
            "1.rise: 0 must be above 0 .* mean KL",
        ),
        ({"model": {"params": 1e9, "measured": [{"weights": "q4_0", "rise": -0.1}]}}, "rise: -0.1 must be above 0"),
        ({"model": {"params": 1e9, "measured": [{"weights": "q4_0", "rise": 21}]}}, "rise: 21 must be .* at most 20"),
        (
            {"model": {"params": 1e9, "measured": [{"weights": "q4_9", "rise": 0.1}]}},
            "measured: 1 has no such weights: .*q4_9",
        ),
        ({"model": {"params": 1e9, "measured": [{"weights": "dense", "rise": 0.1}]}}, "1 rounds nothing in dense"),
        ({"model": {"params": 1e9, "active": 2e9}}, "model.active: 2e.09 is more than the .* that the model has"),
        ({"model": {"checkpoint": "nowhere"}}, "model.checkpoint: there is no file or folder nowhere"),
        ({"hardware": {"devices": ["H100"]}}, "hardware.devices: H100: there is no such device"),
        ({"hardware": {"devices": ["l40s"]}}, "did you mean L40S?"),
        ({"hardware": {"overrides": "nowhere.csv"}}, "hardware.overrides: .*nowhere.csv"),
        ({"prices": {"gpu_hour_usd": {"H100": 2}}}, "prices.gpu_hour_usd: H100: there is no such device"),
        ({"prices": {"gpu_hour_usd": 2}}, "must be a table: a name, = and USD an hour"),
        ({"project": {"train_device": "H100"}}, "project.train_device: H100: there is no such device"),
        ({"project": {"kind": "qat", "compare": "equal-loss"}}, "qat keeps the model it has: equal-n"),
        ({"project": {"kind": "post-training", "compare": "equal-loss"}}, "post-training keeps the model it has"),
        ({"run": {"today": "24.11.2026"}}, "run.today: '24.11.2026' is no date such as 2026-11-24"),
        ({"formats": [{"weights": "int9"}]}, "formats 1.weights: format 'int9'"),
        ({"formats": [{"weights": "2:4", "speedup_decode": 1.3}]}, "needs measured_on"),
        ({"formats": []}, "name at least one"),
        ({"hardware": {"tensor_parallel": 4}}, "hardware.tensor_parallel: .* here it is called hardware.gpus"),
        ({"model": {"geometry": "Llama-4-8B"}}, "of another model give model.checkpoint"),
        ({"hardware": {"devices": ["T4"]}}, "one of your own stands in the file of hardware.overrides"),
        ({"traffic": 3}, "traffic: must be a table of keys, not 3"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    assert re.search(message, refused(SMALL | change))


def test_files_that_are_none(tmp_path):
    for name, content, message in (
        ("a.toml", "model = ", "is not TOML"),
        ("a.yaml", "model: [", "is not YAML"),
        ("a.json", "{}", "is a .toml, .yaml or .yml file"),
        ("b.yaml", "3", "must have the parts model"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(ScenarioError, match=message):
            Scenario.read(tmp_path / name)
    with pytest.raises(ScenarioError, match="no scenario file"):
        Scenario.read(tmp_path / "nowhere.toml")


YAML = "model: {{params: {}}}\nproject: {{kind: qat}}\nformats: [{{weights: int4}}]\n"
TOML = "[model]\nparams = {}\n[project]\nkind = 'qat'\n[[formats]]\nweights = 'int4'\n"


@pytest.mark.parametrize(
    ("ending", "content"),
    [
        ("yaml", YAML.format("8e9")),  # text to YAML 1.1
        ("yaml", YAML.format("8_000_000_000")),
        ("yaml", "\ufeff" + YAML.format("+8.0e+9").replace("\n", "\r\n")),  # as an editor on Windows leaves it
        ("toml", "\ufeff" + TOML.format("8e9")),
    ],
)
def test_numbers_are_read_as_they_are_written(tmp_path, ending, content):
    path = tmp_path / f"a.{ending}"
    path.write_text(content, encoding="utf-8")
    assert Scenario.read(path).model.params == 8e9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ending", "content", "message"),
    [
        ("yaml", YAML.format("0100"), "model.params: must be a number .* not '0100'; write the number alone"),
        ("yaml", YAML.format("1:30"), "not '1:30'"),
        ("yaml", YAML.format("yes"), "not 'yes'"),
        ("yaml", YAML.format("8,000"), "000: there is no such key"),
        ("yaml", YAML.format("70 %"), "not '70 %'"),
        ("yaml", YAML.format(".inf"), "model.params: must be a finite number .* not inf"),
        ("toml", TOML.format("inf"), "model.params: must be a finite number .* not inf"),
        ("toml", TOML.format("9" * 400), "model.params: must be a finite number"),
        ("yaml", YAML.format("9" * 400), "model.params: must be a finite number"),
        ("yaml", YAML.format("9" * 5000), "line 1 has more than 2000 characters"),
        ("yaml", YAML.format("8e9") + "formats: []", r"formats stands there twice \(line 4\)"),
        ("yaml", YAML.format("1, params: 2"), "params stands there twice"),
        ("yaml", YAML.format("!!int 0100"), "write the value"),
        ("yaml", "a: &a {params: 1}\nmodel: {<<: *a}", r"write the value \(line 1\)"),
        ("yaml", YAML.format("*nothing"), "write the value"),
        ("yaml", "model:\n\tparams: 3", "this is not YAML.*line 2"),
        ("yaml", "", "must have the parts"),
        ("yaml", "- 1", "must have the parts"),
        ("yaml", "[" * 1500, "nested too deeply"),
        ("toml", "a = " + "[" * 1500, "nested too deeply"),
        ("toml", ".".join("a" * 20_000) + " = 1", "line 1 has more than 2000 characters"),
        ("toml", TOML.format("1\nparams = 2"), "this is not TOML.*line 3"),
        ("toml", "#\n" * 30_000, "more than 50000 bytes"),
        ("toml", "\n".join(f"k{i} = 1" for i in range(3000)), "and 2983 more"),
        ("toml", TOML.format("8e9").encode() + b"\n# caf\xe9", "a.toml: the text is not UTF-8 in line 8"),
        ("toml", TOML.format("8e9").encode("utf-16"), "not UTF-8 in line 1"),
    ],
)
def test_what_no_scenario_says_is_refused_in_few_words(tmp_path, ending, content, message):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ScenarioError, match=f"(?s){message}") as caught:
        Scenario.read(path)
    lines = str(caught.value).splitlines()
    assert shortened(str(path)) in lines[0] and len(lines) <= 32 and max(map(len, lines)) <= 500


@pytest.mark.parametrize("path", ["a" * 5000 + ".toml", "a\0.toml", ".", "", "/dev/null", "nowhere.yaml"])
def test_paths_of_no_scenario(path):
    with pytest.raises(ScenarioError) as caught:
        Scenario.read(path)
    assert len(str(caught.value)) < 300


leaves = st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(-5, 5)
wild = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
keys = st.sampled_from([(part, item.name) for part, kind in PARTS.items() for item in fields(kind)])


@pytest.mark.slow
@given(keys, wild)
def test_nothing_but_a_scenario_error_comes_of_wild_values(key, value):
    part, name = key
    base = {"geometry": "Llama-3.1-8B"} if part == "model" else {}
    try:
        Scenario.of(SMALL | {part: base | {name: value}})
    except ScenarioError as error:
        assert part in str(error)


# --- what is right ------------------------------------------------------------------------------------------------


def test_a_single_number_is_certain_and_dates_may_be_dates():
    scenario = Scenario.of(SMALL | {"traffic": {"utilisation": 0.5}, "run": {"today": datetime.date(2026, 1, 2)}})
    assert scenario.traffic.utilisation == (0.5, 0.5, 0.5)
    assert scenario.run.date == datetime.date(2026, 1, 2)


def test_the_model_by_size_and_its_tokens():
    scenario = Scenario.of(SMALL | {"model": {"params": 1e9}})
    assert scenario.model.shape.non_embedding == pytest.approx(1e9)
    assert scenario.model.n_tokens == pytest.approx(2e10)
    assert Scenario.of(SMALL | {"model": {"params": 1e9, "tokens": 5e9}}).model.n_tokens == 5e9


def test_what_was_measured_on_the_model():
    rows = [{"weights": "q4_k", "rise": 0.03}, {"weights": "iq2_k", "rise": 1}]  # the law knows more types than formats
    scenario = Scenario.of(SMALL | {"model": {"params": 1e9, "measured": rows}})
    assert [(item.weights, item.rise) for item in scenario.model.measured] == [("q4_k", 0.03), ("iq2_k", 1)]
    assert scenario.replace(traffic={"tokens_in": 7}).model == scenario.model and hash(scenario.model)
    assert Scenario.of(SMALL | {"model": {"params": 1e9, "kappa": [3, 5, 8]}}).model.kappa == (3, 5, 8)


def test_a_change_keeps_the_rest():
    scenario = Scenario.of(SMALL | {"traffic": {"tokens_in": 7}})
    changed = scenario.replace(traffic={"tokens_out": 9}, formats=[{"weights": "nvfp4"}])
    assert (changed.traffic.tokens_in, changed.traffic.tokens_out, changed.traffic.window) == (7, 9, 16)
    assert changed.formats[0].weights == "nvfp4" and scenario.traffic.tokens_out == 300
    with pytest.raises(ScenarioError, match="did you mean tokens_out"):
        scenario.replace(traffic={"tokens_ot": 9})
    with pytest.raises(ScenarioError, match="did you mean traffic"):
        scenario.replace(trafic={})


def test_the_comparison_follows_the_project():
    assert Scenario.of(SMALL).project.comparison == "equal-loss"
    assert Scenario.of(SMALL | {"project": {"kind": "qat"}}).project.comparison == "equal-n"
    assert Scenario.of(SMALL | {"project": {"kind": "train", "compare": "equal-n"}}).project.comparison == "equal-n"


def test_overrides_lie_beside_the_scenario(tmp_path):
    (tmp_path / "mine.csv").write_text("device,property,value\nMine,memory,10\n")
    lines = ['[model]\ngeometry = "Llama-3.1-8B"\n[[formats]]\nweights = "int4"', '[project]\nkind = "qat"']
    lines += ['[hardware]\ndevices = ["Mine"]']
    (tmp_path / "mine.toml").write_text("\n".join([*lines, 'overrides = "mine.csv"']))
    assert rl.Scenario.read(tmp_path / "mine.toml").hardware.devices == ("Mine",)


def test_a_checkpoint_lies_beside_the_scenario(tmp_path):
    (tmp_path / "models" / "mine").mkdir(parents=True)
    (tmp_path / "models" / "mine" / "config.json").write_text('{"model_type": "llama", "num_hidden_layers": 3}')
    lines = 'project.kind = "qat"\n[model]\ncheckpoint = "{}"\n[[formats]]\nweights = "int4"'
    (tmp_path / "mine.toml").write_text(lines.format("models/mine"))
    shape = rl.Scenario.read(tmp_path / "mine.toml").model.shape
    assert shape == shapes.of_checkpoint(tmp_path / "models" / "mine")
    (tmp_path / "mine.toml").write_text(lines.format(tmp_path / "models" / "mine"))
    assert rl.Scenario.read(tmp_path / "mine.toml").model.shape == shape
    for odd, message in (("https://example.org/a", "is a URL"), ("~/no/such", "there is no file or folder /")):
        (tmp_path / "mine.toml").write_text(lines.format(odd))
        with pytest.raises(ScenarioError, match=message):
            rl.Scenario.read(tmp_path / "mine.toml")


def test_scenarios_are_values():
    assert Scenario.of(SMALL) == Scenario.of(SMALL) and hash(Scenario.of(SMALL)) == hash(Scenario.of(SMALL))
    assert Scenario.of(SMALL).traffic.latency_ms == math.inf
