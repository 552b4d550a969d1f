"""Money as it is typed and paid: in the scenario's currency, with interruptions, and what stands around a purchase."""

import math
import pathlib
import re

import pytest
import small_plans

import rholaw as rl
from rholaw.hardware import offers
from rholaw.hardware.devices import devices
from rholaw.planning.inputs import Project
from rholaw.planning.scenario import ScenarioError

pytestmark = pytest.mark.usefixtures("few")
SCENARIO = small_plans.SCENARIO | {
    "hardware": {"devices": ["L40S"], "batches": [64]},
    "traffic": {"requests_per_month": 3e7},
}
MONEY = ["cost_month_p10", "cost_month", "cost_month_p90", "cost_once", "npv"]


def planned(**parts):
    return rl.plan(rl.Scenario.of(SCENARIO).replace(**parts))


def codes(plan):
    return {doubt.code for doubt in plan.doubts}


@pytest.mark.parametrize("key", ["gpu_hour", "purchase"])
def test_another_currency_to_show_leaves_what_things_cost(key):
    amount = {"gpu_hour": [0.9, 1.8, 2.7], "purchase": [8_100, 9_000, 9_900]}[key]
    prices = {key: {"L40S": amount}, "electricity_kwh": 0.18, "currency": "EUR", "rate": 0.9}
    work = {"engineer_week": 2_700, "evaluation": 1_800}
    euros = rl.Scenario.of(SCENARIO).replace(prices=prices, project=work)
    yen = euros.in_currency("JPY", 150)
    assert (yen.prices.currency, yen.prices.rate) == ("JPY", 150)
    assert (yen.prices.rents, yen.prices.purchases) == (euros.prices.rents, euros.prices.purchases)
    assert yen.prices.electricity == euros.prices.electricity == pytest.approx((0.2,) * 3)
    assert (yen.project.engineer_week_usd, yen.project.evaluation_usd) == pytest.approx((3_000, 2_000))
    assert yen.prices.usd(yen.project.engineer_week, yen.project.engineer_week_usd) == pytest.approx(3_000)


@pytest.mark.slow
@pytest.mark.parametrize("rented", [True, False])
def test_what_is_typed_in_yen_is_what_is_typed_in_dollars_times_the_rate(rented):
    key = "gpu_hour" if rented else "purchase"
    dollars = {f"{key}_usd": {"L40S": [60.0, 70.0, 80.0]}, "electricity_usd_kwh": 0.2}
    yen = {key: {"L40S": [9_000.0, 10_500.0, 12_000.0]}, "electricity_kwh": 30, "currency": "JPY", "rate": 150}
    work = {"kind": "qat", "tolerance": 0.05}
    one = planned(prices=dollars, project=work | {"engineer_week_usd": 5000, "evaluation_usd": 200})
    two = planned(prices=yen, project=work | {"engineer_week": 750_000, "evaluation": 30_000})
    assert (two.table[MONEY] / 150).to_numpy() == pytest.approx(one.table[MONEY].to_numpy())


@pytest.mark.slow
def test_a_price_in_another_currency_is_doubted():
    assert "price_unusual" not in codes(planned(prices={"gpu_hour": {"L40S": 150}, "currency": "JPY", "rate": 150}))
    for key, price in (("gpu_hour_usd", 50), ("gpu_hour", 1.2)):
        plan = planned(prices={key: {"L40S": price}, "currency": "JPY", "rate": 150})
        assert "price_unusual" in codes(plan)
    assert any("gpu_hour_usd is in USD, gpu_hour in the currency" in warning for warning in plan.warnings)


@pytest.mark.parametrize(("price", "doubted"), [(900, True), (9000, False), (1_400_000, True)])
def test_a_purchase_is_doubted_beside_rents(price, doubted):
    plan = planned(prices={"purchase_usd": {"L40S": price}})
    assert ("bought_unusual" in codes(plan)) == doubted


def test_the_same_price_twice_is_refused():
    with pytest.raises(ScenarioError, match="L40S stands in gpu_hour and in gpu_hour_usd: give one"):
        planned(prices={"gpu_hour": {"L40S": 1}, "gpu_hour_usd": {"L40S": 1}})
    with pytest.raises(ScenarioError, match=r"rented and bought \(gpu_hour_usd, purchase\): give one"):
        planned(prices={"purchase": {"L40S": 9000}, "gpu_hour_usd": {"L40S": 1}})
    with pytest.raises(ScenarioError, match=r"prices.gpu_hour: L40: .*did you mean"):
        planned(prices={"gpu_hour": {"L40": 1}})


@pytest.mark.slow
@pytest.mark.parametrize("prices", [{"billing": "hours"}, {}])
def test_interruptions_take_a_share_of_what_is_paid(prices):
    spot = {"gpu_hour_usd": {"L40S": 0.4}, "overhead": 1, **prices}
    calm, cut = (planned(prices={**spot, "interruption": share}).baseline for share in (0.0, 0.5))
    if prices:
        assert cut.cost_month == pytest.approx(2 * calm.cost_month, rel=0.02)
    else:  # whole replicas
        assert calm.devices_paid < cut.devices_paid <= 2 * calm.devices_paid
    assert "interrupted" in codes(planned(prices={**spot, "interruption": 0.5}))
    own, kept = (planned(prices={"purchase_usd": {"L40S": 9000}, "interruption": share}) for share in (0.0, 0.5))
    assert own.baseline.cost_month == kept.baseline.cost_month


def test_a_purchase_has_a_server_around_it_and_people_beside_it():
    bought = {"purchase_usd": {"L40S": 9000}, "electricity_usd_kwh": 0, "lifetime_months": 24}
    alone, housed = (planned(prices={**bought, **more}) for more in ({}, {"server": 1.5, "upkeep": 0.1}))
    cost, devices = alone.baseline.cost_month, alone.baseline.devices_paid
    assert cost == pytest.approx(devices * 9000 / 24)
    assert housed.baseline.cost_month == pytest.approx(1.5 * (1 + 0.1 * 2) * cost)
    assert "bought_alone" in codes(alone) and "bought_alone" not in codes(housed)


def test_what_is_not_given_in_the_currency_is_in_dollars():
    prices = rl.Scenario.of(SCENARIO).replace(prices={"currency": "EUR", "rate": 0.9}).prices
    assert prices.usd(Project().engineer_week, Project().engineer_week_usd, 4000) == 4000
    assert prices.usd(90, 1, 2) == 100 and prices.usd(math.nan, 1, 2) == 1


OFFERS = """instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size,gpu_vendor,flags
small,eu,1.2,8,64,1,L40S,48,False,,nvidia,
large,us,3.6,32,256,4,L40S,45.0,false,,nvidia,
large,us,1.6,32,256,4,L40S,48,True,,nvidia,
none,us,0.1,4,16,0,,,False,,,
old,us,0.5,8,64,1,A100,40,False,,nvidia,
"""


@pytest.fixture()
def catalogue(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(OFFERS)
    return str(path)


@pytest.mark.slow
def test_a_catalogue_says_what_the_cheapest_offer_asks_for_a_device(catalogue):
    def month(**prices):
        return planned(prices=prices).baseline.cost_month

    plan = planned(prices={"catalogue": catalogue})
    assert plan.baseline.cost_month == pytest.approx(month(gpu_hour_usd={"L40S": 0.9}))
    (warning,) = [line for line in plan.warnings if "offers on demand in mine.csv" in line]
    assert "lowest of 2" in warning and "large in us, a machine of 4" in warning
    assert "The file's date is not known" in warning and "price_stale" not in codes(plan)
    spot = {"catalogue": catalogue, "interruption": 0.1}
    assert month(**spot) == pytest.approx(month(gpu_hour_usd={"L40S": 0.4}, interruption=0.1))
    assert month(catalogue=catalogue, gpu_hour_usd={"L40S": 2.0}) == pytest.approx(month(gpu_hour_usd={"L40S": 2.0}))


def test_a_catalogue_lies_beside_its_scenario(catalogue, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'model.params = 8e9\nformats = [{weights = "fp8_row"}]\nproject.kind = "qat"\n'
        'hardware.devices = ["L40S"]\nprices.catalogue = "mine.csv"\n'
    )
    assert len(rl.Scenario.read(path).prices.offers) == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "mine.csv: there is no such file"),
        ("", "it lacks instance_name, location"),
        (OFFERS.replace("price", "cost"), "it lacks price"),
        (OFFERS.splitlines()[0] + "\n", "no offer in it has a gpu_name"),
        (OFFERS.replace("3.6", "cheap"), "line 3: price must be a number above 0, not 'cheap'"),
        (OFFERS.replace("false", "no"), "line 3: spot must be True or False, not 'no'"),
        (OFFERS.replace("L40S", "L4"), "mine.csv offers no L40S on demand: give its price in gpu_hour_usd"),
        (OFFERS.replace("small,eu", '"small,eu'), "is none of a CSV"),
        ("\udcff", "mine.csv: 'utf-8' codec can't decode"),
    ],
)
def test_a_catalogue_that_is_none_is_refused_in_words(text, words, catalogue):
    path = pathlib.Path(catalogue)
    path.unlink() if text is None else path.write_text(text, errors="surrogateescape")
    with pytest.raises(ScenarioError, match=f"prices.catalogue: .*{re.escape(words)}"):
        planned(prices={"catalogue": catalogue})


@pytest.mark.parametrize(
    ("device", "name", "memory"),
    [("H100 80GB SXM", "H100", 80), ("RTX PRO 6000 Server", "RTXPRO6000", 96), ("B200 SXM", "B200", 180)],
)
def test_a_device_is_known_by_its_name_and_its_memory(device, name, memory, catalogue):
    pathlib.Path(catalogue).write_text(OFFERS.replace("L40S,48", f"{name},{memory}"))
    assert len(offers.of(offers.read(catalogue), devices()[device], spot=False)) == 1
