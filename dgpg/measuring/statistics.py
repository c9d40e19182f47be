"""How sure a mean over episodes is, and a difference of two on the same episodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

Interval: TypeAlias = tuple[float, float] | None
"""95 %, lower and upper end; None where nothing varies, or one number alone says nothing of its spread."""
Costs: TypeAlias = NDArray[np.float64]
ROUGH = 8
"""Draws below which a bootstrap has too few to draw from: its intervals are too narrow."""
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


def interval(costs: Costs) -> Interval:
    """Percentile bootstrap of the mean, 95 %, of draws `[E]`."""
    if not _varies(costs, costs):
        return None
    return _percentile((costs,), np.mean)


def difference(costs: Costs, others: Costs, to: str) -> Difference:
    """Costs minus those of `to`, `[E]` each, paired by episode."""
    apart = costs - others
    percent, percent_ci95, ci95 = None, None, None
    one_sign = bool((others > 0).all() or (others < 0).all())
    if one_sign:
        percent = float(_percent(costs, others))
    if _varies(apart, others):
        ci95 = _percentile((apart,), np.mean)
        percent_ci95 = _percentile((costs, others), _percent) if one_sign else None
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


def _percentile(data: tuple[Costs, ...], statistic: Callable[..., Any]) -> Interval:
    found = bootstrap(
        data, statistic, n_resamples=2000, method="percentile", paired=True, vectorized=True,
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)
