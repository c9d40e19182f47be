"""How sure a mean over episodes is, and a difference of two on the same episodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Interval: TypeAlias = tuple[float, float] | None
"""95 %, lower and upper end; None where nothing varies, or one number alone says nothing of its spread."""
Costs: TypeAlias = NDArray[np.float64]
ROUGH = 8
"""Draws below which a bootstrap has too few to draw from: its intervals are too narrow."""
RESAMPLES = 2000
RESOLUTION = 1e-6
"""Part of a cost below which a spread is rounding: policies act in single precision."""


@dataclass(frozen=True)
class Difference:
    """Something minus what it is held against, episode by episode on the same arrivals."""

    to: str
    """What it is held against."""
    cost: float
    """Mean over episodes, in the unit of the cost."""
    ci95: Interval
    """Percentile bootstrap over episodes of the mean."""
    percent: float | None
    """Of the mean cost of `to`; None where costs of `to` change sign or are 0."""
    percent_ci95: Interval
    """Percentile bootstrap over episodes of the ratio of means."""
    distinguishable: bool | None
    """Whether zero is outside the interval; None where one episode says nothing of that."""

    def json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def interval(costs: Costs, block: int = 1) -> Interval:
    """Percentile bootstrap of the mean, 95 %, of draws `[E]`, or of runs of `block` neighbours that are alike."""
    if not _varies(costs, costs):
        return None
    return _percentile((costs,), np.mean, block)


def block_of(episodes: int) -> int:
    """How many neighbours are drawn together for an interval over so many: E^(1/3) (Hall, Horowitz and Jing 1995)."""
    return int(np.ceil(np.cbrt(episodes) - 1e-9))


def difference(costs: Costs, others: Costs, to: str, block: int = 1) -> Difference:
    """Costs minus those of `to`, `[E]` each, paired by episode; `block` as for `interval`."""
    apart = costs - others
    percent, percent_ci95, ci95 = None, None, None
    one_sign = bool((others > 0).all() or (others < 0).all())
    if one_sign:
        percent = float(_percent(costs, others))
    if _varies(apart, others):
        ci95 = _percentile((apart,), np.mean, block)
        percent_ci95 = _percentile((costs, others), _percent, block) if one_sign else None
    return Difference(to, float(apart.mean()), ci95, percent, percent_ci95, _distinguishable(apart, others, ci95))


def rough(episodes: int) -> list[str]:
    """What to say of intervals over few episodes."""
    if episodes >= ROUGH:
        return []
    if episodes == 1:
        return ["1 episode has no interval; more with --episodes"]
    return [f"{episodes} episodes: an interval over so few is rough, and rather too narrow; more with --episodes"]


def _distinguishable(apart: Costs, others: Costs, ci95: Interval) -> bool | None:
    """Where nothing varies the difference is exact: zero, but for rounding, or not."""
    if ci95 is not None:
        return not ci95[0] <= 0 <= ci95[1]
    if len(apart) < 2 or not np.isfinite(apart).all():
        return None
    return bool(abs(apart.mean()) > RESOLUTION * np.abs(others).max())


def _varies(values: Costs, scale: Costs) -> bool:
    finite = bool(np.isfinite(values).all())
    return len(values) > 1 and finite and bool(np.ptp(values) > RESOLUTION * np.abs(scale).max())


def _percent(costs: Costs, others: Costs, axis: int = -1) -> Costs:
    mean = others.mean(axis)
    percent: Costs = 100 * (costs.mean(axis) - mean) / np.abs(mean)
    return percent


def _percentile(data: tuple[Costs, ...], statistic: Callable[..., Any], block: int) -> Interval:
    """Circular blocks are drawn, so that what neighbours have in common stays (Politis and Romano 1992).

    With blocks of one this is the paired percentile bootstrap, draw for draw that of scipy.stats.bootstrap, which takes
    half a second to import.
    """
    count = len(data[0])
    first = np.random.default_rng(0).integers(count, size=(RESAMPLES, -(-count // block), 1))
    drawn = ((first + np.arange(block)) % count).reshape(RESAMPLES, -1)[:, :count]
    low, high = np.quantile(statistic(*(x[drawn] for x in data), axis=-1), [0.025, 0.975])
    return float(low), float(high)
