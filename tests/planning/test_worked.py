"""The worked cases of the chapter on plans: each is answered, and nothing in the answer is silly."""

from pathlib import Path

import pytest

import rholaw as rl

pytestmark = pytest.mark.usefixtures("few")
CASES = {path.stem: path for path in (Path(__file__).parents[2] / "chapters" / "scenarios").glob("*.toml")}
PUBLISHED = {"gpt_oss_120b": 116.83e9, "moe_edge": 30.53e9}
"""All parameters, as their authors print them."""


@pytest.fixture(scope="module")
def plans():
    return {name: rl.plan(rl.Scenario.read(path).replace(run={"samples": 200})) for name, path in CASES.items()}


@pytest.mark.slow
def test_each_case_is_answered(plans):
    assert {"cloud", "edge", "training", "chat_8b", "laptop_8b", "long_70b", "gpt_oss_120b", "moe_edge"} == set(plans)
    for name, plan in plans.items():
        base = plan.baseline
        assert base is not None and not base.why_not and base.devices_paid > 0, name
        assert (plan.conclusion.choice is not None and plan.steps) or plan.verify, name


def test_mixtures_have_the_parameters_that_are_published(plans):
    for name, total in PUBLISHED.items():
        assert plans[name].scenario.model.shape.total == pytest.approx(total, rel=1e-3)


def test_what_one_device_holds_is_what_its_owners_say(plans):
    held = {name: plan.table.set_index(["option", "device", "gpus"]) for name, plan in plans.items()}
    assert held["gpt_oss_120b"].loc[("mxfp4", "H100 80GB SXM", 1)].fits.all()  # its authors: a single 80 GB device
    assert not held["gpt_oss_120b"].loc[("dense", "H100 80GB SXM", 1)].fits.any()
    assert held["moe_edge"].loc[("q4_k", "Jetson AGX Orin 64GB", 1)].fits.all()
    laptop = plans["laptop_8b"]  # 16 bits of 8e9 parameters take a MacBook Pro's 150 GB/s too long, 8.5 do not
    small = laptop.table.set_index(["option", "device"])
    assert (laptop.choice.device, laptop.baseline.device) == ("Apple M3 Pro", "Apple M4 Max")
    assert "too slow" in small.why_not["dense", "Apple M3 Pro"] and small.unsettled["q4_k", "Apple M3 Pro"]


def test_long_prompts_take_many_devices_and_formats_are_to_be_measured_first(plans):
    plan = plans["long_70b"]
    assert plan.verdict == "measure this" and 20 < plan.conclusion.choice.devices_paid < plan.baseline.devices_paid
    assert plans["chat_8b"].baseline.devices_paid in (3, 4, 5)
