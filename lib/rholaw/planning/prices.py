"""What things cost, and how they are paid: rented or bought, in USD or in the scenario's currency."""

import math
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from ..checked import by_name, number, spread, text
from ..hardware import offers
from ..hardware.devices import Device

Spread = tuple[float, ...]
"""(low, middle, high) of what is uncertain; () where the scenario says nothing."""
ELECTRICITY = (0.08, 0.12, 0.2)
"""USD a kWh where a scenario says nothing: assumed."""


@dataclass(frozen=True)
class Prices:
    """What things cost; rents that are not given here come from the catalogue, else from data/hardware/prices.

    A purchase is the device alone: server and upkeep say what stands around it.
    """

    currency: str = text("USD")
    rate: float = number(1.0, "units of the currency a USD", 1e-9, 1e9)
    gpu_hour_usd: tuple[tuple[str, Spread], ...] = by_name("USD an hour, one number or [low, middle, high]")
    gpu_hour: tuple[tuple[str, Spread], ...] = by_name("units of prices.currency an hour, or [low, middle, high]")
    purchase_usd: tuple[tuple[str, Spread], ...] = by_name("USD, one number or [low, middle, high]")
    purchase: tuple[tuple[str, Spread], ...] = by_name("units of prices.currency, one number or [low, middle, high]")
    catalogue: str = text("")
    lifetime_months: float = number(36.0, "months", 1, 600)
    billing: str = text("machines", ("machines", "hours"))
    overhead: tuple[float, ...] = spread((1.3, 1.4, 1.5), "times the rent", 1.0, 10.0)
    interruption: tuple[float, ...] = spread((0.0,) * 3, "share of paid hours lost to interruptions", 0.0, 0.9)
    server: tuple[float, ...] = spread((1.0,) * 3, "times the purchase, with server, network and rack", 1.0, 20.0)
    upkeep: tuple[float, ...] = spread((0.0,) * 3, "share of the purchase a year: staff, space, repairs", 0.0, 5.0)
    electricity_usd_kwh: tuple[float, ...] = spread((), "USD a kWh", 0.0, 10.0)
    electricity_kwh: tuple[float, ...] = spread((), "units of prices.currency a kWh", 0.0, 1e9)
    pue: tuple[float, ...] = spread((1.05, 1.2, 1.4), "power of the building over power of the machines", 1.0, 5.0)
    power_share: tuple[float, ...] = spread((0.4, 0.7, 0.9), "share of the greatest power", 0.0, 1.0)

    def usd(self, own: float, dollars: float, usual: float = math.nan) -> float:
        """An amount in USD: ``own``, of the currency, where it is given, else ``dollars``, else the ``usual``."""
        return own / self.rate if not math.isnan(own) else usual if math.isnan(dollars) else dollars

    @property
    def rents(self) -> dict[str, Spread]:
        """USD an hour, {device: (low, middle, high)} of those that the scenario gives."""
        return dict(self.gpu_hour_usd) | self._in_usd(self.gpu_hour)

    @property
    def purchases(self) -> dict[str, Spread]:
        """USD, {device: (low, middle, high)} of those that the scenario gives."""
        return dict(self.purchase_usd) | self._in_usd(self.purchase)

    @cached_property
    def offers(self) -> pd.DataFrame:
        """What stands in the catalogue, read once. Raises ValueError as ``offers.read``."""
        return offers.read(self.catalogue)

    def offered(self, device: Device) -> pd.DataFrame | None:
        """Offers of a Device, the cheapest first; None where its price is given here, or there is no catalogue."""
        if not self.catalogue or device.name in self.rents | self.purchases:
            return None
        return offers.of(self.offers, device, spot=self.spot)

    @property
    def electricity(self) -> Spread:
        """USD a kWh."""
        return tuple(value / self.rate for value in self.electricity_kwh) or self.electricity_usd_kwh or ELECTRICITY

    @property
    def spot(self) -> bool:
        """Whether machines are rented that may be taken away: interruptions are counted."""
        return self.interruption[2] > 0

    @property
    def around(self) -> bool:
        """Whether anything is counted beside a device that is bought, and its electricity."""
        return self.server[2] > 1 or self.upkeep[2] > 0

    def _in_usd(self, own: tuple[tuple[str, Spread], ...]) -> dict[str, Spread]:
        return {name: tuple(value / self.rate for value in values) for name, values in own}
