"""Prices and speeds of machines: those of the file where it has any, estimates where it has none."""

from __future__ import annotations

import numpy as np

from dgpg.files import Rows
from dgpg_cloud.rates import USD_PER_GIB, USD_PER_GPU, USD_PER_OTHER_GPU, USD_PER_VCPU, estimate

from .tables import FloatArray, IntArray
from .text import count

PRICE = ("price", "price_usd_per_hour")
SPEED = "speed"
UNLIKELY = 1.5
"""That all machines are this many times as fast as the one that durations were measured on is told: GHz, perhaps."""
FASTEST = 100.0
"""Speeds are relative to that which the durations were measured at: 2400 would be MHz."""


def prices(
    rows: Rows, vcpu_milli: IntArray, memory_mib: IntArray, gpu_milli: IntArray, gpu_model: tuple[str, ...]
) -> tuple[FloatArray, tuple[str, ...]]:
    """Return USD per hour `[rows]` and notes: the column `price`, estimates where it is blank or there is none."""
    estimated = estimate(vcpu_milli / 1000, memory_mib / 1024, gpu_milli / 1000, gpu_model)
    field = next((name for name in PRICE if name in rows.header), None)
    own = np.full(len(rows), np.nan) if field is None else rows.numbers(field, low=0, blank=np.nan)
    unknown = np.isnan(own)
    if not unknown.any():
        return own, ()
    what = "the file has no prices: they are" if unknown.all() else f"{count(int(unknown.sum()), 'blank price')}:"
    models = tuple(model for model, missing in zip(gpu_model, unknown, strict=True) if missing)
    return np.where(unknown, estimated, own), (_estimated(what, models),)


def speeds(rows: Rows) -> tuple[FloatArray, tuple[str, ...]]:
    """Return relative speeds `[rows]` and notes: the column `speed`, 1 where it is blank or there is none."""
    if SPEED not in rows.header:
        return np.ones(len(rows)), ("the file has no speeds: every node has speed 1",)
    speed = rows.numbers(SPEED, low=0, blank=1.0)
    rows.check(
        (speed > 0) & (speed <= FASTEST), SPEED, f"a relative speed above 0 and up to {FASTEST:g}, 1 = reference",
        "divide clocks by that of the machine the durations were measured on",
    )  # fmt: skip
    low, high = float(speed.min()), float(speed.max())
    if low > UNLIKELY or high < 1 / UNLIKELY:
        told = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        return speed, (f"no machine is about as fast as 1: run times are divided by {told}",)
    return speed, ()


def _estimated(what: str, gpu_model: tuple[str, ...]) -> str:
    note = (
        f"{what} estimated from EC2 on-demand rates, "
        f"{USD_PER_VCPU:g} USD/h per vCPU, {USD_PER_GIB:g} USD/h per GiB and a rate per GPU"
    )
    others = sorted(set(gpu_model) - set(USD_PER_GPU) - {""})
    return f"{note} ({', '.join(others)}: {USD_PER_OTHER_GPU:g} USD/h, not sold by EC2)" if others else note
