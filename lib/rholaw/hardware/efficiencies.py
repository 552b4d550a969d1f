"""What share of its peaks a device reaches in products of matrices under an engine: fitted to timings, or nominal."""

from dataclasses import dataclass, replace
from functools import lru_cache

import pandas as pd

from .devices import Device
from .kernels import DENSE, Kernel, fitted_roofline


@dataclass(frozen=True)
class Efficiency:
    """compute, bandwidth: shares of the peak that products of matrices reach; overhead: seconds a product.

    error: of the logarithm of a time; source: what it was fitted to, or "nominal"; experts: of the products of experts,
    where these were timed.
    """

    compute: float = 1.0
    bandwidth: float = 1.0
    overhead: float = 0.0
    error: float = 0.0
    source: str = "nominal"
    experts: "Efficiency | None" = None

    @property
    def measured(self) -> bool:
        """Whether somebody measured it."""
        return self.source != "nominal"


@lru_cache(maxsize=4096)
def efficiency(device: Device, engine: str, kernel: Kernel = DENSE) -> Efficiency:
    """The Efficiency of a kernel on a Device under an engine; nominal where nobody measured it."""
    own, experts = (fitted_roofline(device.name, engine, kernel.name, which) for which in (False, True))
    timed = None if experts is None else _fitted(experts, PRODUCTS)
    return Efficiency(experts=timed) if own is None else replace(_fitted(own), experts=timed)


PRODUCTS = 2
"""Of an expert, up (with its gate) and down: timed as one."""


def _fitted(row: pd.Series, of: int = 1) -> Efficiency:
    source = f"{row.engine} {row.version}"
    overhead = row.overhead_us * 1e-6 / of
    return Efficiency(row.compute_efficiency, row.bandwidth_efficiency, overhead, row.median_error, source)
