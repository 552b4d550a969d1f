"""The columns of a plan's table, declared once: unit, and what of an Outcome each one shows.

What they hold, in words, stands in planning/words/*.toml, under ``columns``; short names for pages under ``labels``.
"""

from dataclasses import dataclass

from .costs import HOURS

MONEY = "money"
"""The unit of what is shown in the scenario's currency; an Outcome has USD."""
PER_MILLION = "per million tokens"


@dataclass(frozen=True)
class Column:
    """A column of ``Plan.table``.

    of: of which Spreads (a field of an Outcome) it shows three ``parts``, or "" where it has one value;
    factor: from that field's unit to ``unit``, except for money.
    """

    name: str
    unit: str = ""
    of: str = ""
    factor: float = 1.0

    @property
    def money(self) -> bool:
        """Whether it is in the scenario's currency."""
        return self.unit in (MONEY, f"{MONEY} {PER_MILLION}")

    @property
    def parts(self) -> tuple[str, ...]:
        """Its columns in the table: P10, median and P90 of what is uncertain."""
        return (f"{self.name}_p10", self.name, f"{self.name}_p90") if self.of else (self.name,)


COLUMNS = {
    column.name: column
    for column in (
        *(Column(name) for name in ("option", "weights", "activations", "kv", "device")),
        Column("gpus", "devices"),
        Column("batch", "sequences"),
        Column("comparison"),
        Column("kernel"),
        Column("bits", "bits a weight"),
        Column("rho", "share of N", "rho"),
        Column("rho_source"),
        Column("n_params", "parameters", "n_params"),
        Column("n_dense", "parameters", "n_dense"),
        Column("loss", "nats a token", "loss"),
        Column("dloss", "nats a token", "dloss"),
        Column("dloss_source"),
        Column("good_enough", "share of draws"),
        Column("dloss_trained", "nats a token", "dloss_trained"),
        Column("memory_gb", "GB", "memory", 1e-9),
        Column("memory_weights_gb", "GB", "memory_weights", 1e-9),
        Column("memory_embeddings_gb", "GB", "memory_embeddings", 1e-9),
        Column("memory_kv_gb", "GB", "memory_kv", 1e-9),
        Column("memory_reserve_gb", "GB", "memory_reserve", 1e-9),
        Column("fits"),
        Column("prefill_tokens_s", "tokens/s", "prefill_tokens_s"),
        Column("decode_tokens_s", "tokens/s", "decode_tokens_s"),
        Column("in_flight", "sequences", "in_flight"),
        Column("latency_ms", "ms", "latency_ms"),
        Column("ttft_ms", "ms", "ttft_ms"),
        Column("speedup_prefill", "times", "speedup_prefill"),
        Column("speedup_decode", "times", "speedup_decode"),
        Column("speed_source_prefill"),
        Column("speed_source_decode"),
        Column("held_out"),
        Column("limit_prefill"),
        Column("limit_decode"),
        Column("critical_batch", "tokens"),
        Column("margin_prefill", "share", "margin_prefill"),
        Column("margin_decode", "share", "margin_decode"),
        Column("margin_memory", "share", "margin_memory"),
        Column("cost_in", f"{MONEY} {PER_MILLION}", "usd_in"),
        Column("cost_out", f"{MONEY} {PER_MILLION}", "usd_out"),
        Column("kwh_in", f"kWh {PER_MILLION}", "kwh_in"),
        Column("kwh_out", f"kWh {PER_MILLION}", "kwh_out"),
        Column("hours_month", "hours", "replicas", HOURS),
        Column("replicas", "copies", "replicas"),
        Column("devices_paid", "devices", "devices_paid"),
        Column("utilisation", "share", "utilisation"),
        Column("kwh_month", "kWh", "kwh_month"),
        Column("cost_month", MONEY, "usd_month"),
        Column("cost_used", MONEY, "usd_used"),
        Column("cost_training", MONEY, "usd_training"),
        Column("cost_once", MONEY, "usd_once"),
        Column("target_params", "parameters", "target_params"),
        Column("target_tokens", "tokens", "target_tokens"),
        Column("cost_target", MONEY, "usd_target"),
        Column("saving_month", MONEY, "saving"),
        Column("npv", MONEY, "npv"),
        Column("roi", "share", "roi"),
        Column("payback_months", "months", "payback_months"),
        Column("qat_tokens", "tokens", "qat_tokens"),
        Column("pays", "share of draws"),
        Column("break_even_requests", "requests a month"),
        *(Column(name) for name in ("feasible", "meets", "unsettled", "untried", "unpriced", "why_not", "pareto")),
    )
}
