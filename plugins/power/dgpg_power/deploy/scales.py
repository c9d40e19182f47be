"""What features of a unit need of its grid: `plain` of `policy.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dgpg.deploy import Rows

Floats: TypeAlias = NDArray[np.float32]
CHANGE = 0.45
"""What demand changes in a step, in its deviations: sqrt(2 (1 - memory)) at the default memory."""
BOUND = 10.0
"""Features are clipped to this many deviations."""


@dataclass(frozen=True, eq=False)
class Scales:
    """Numbers of the grid that a policy was trained on; N units, nb buses, L lines, MW throughout."""

    level: str
    """A, B, C or P: what units see."""
    shares: bool
    """Whether an action has a share of the residual beside its base point."""
    units: tuple[str, ...]
    """Names, in order."""
    buses: tuple[int, ...]
    """Numbers, in order."""
    lines: tuple[tuple[int, int], ...]
    """Buses that each line joins, by number, in order; flow counts positive from the first."""
    unit_bus: NDArray[np.int64]
    """Position of the bus, `[N]`."""
    unit_min: Floats
    """`[N]`."""
    unit_max: Floats
    """`[N]`."""
    ramp: Floats
    """Largest change in a step, `[N]`."""
    fixed: Floats
    """What never changes of a unit: limits over the largest, marginal costs over the dearest, `[N, 4]`."""
    local: Floats
    """Mean and deviation of the load at the unit's bus, `[2, N]`."""
    total: Floats
    """The same of all load, `[2]`."""
    middle: Floats
    """Flow between the limits of each line, `[L]`."""
    within: Floats
    """1 over what the flow may be off that; 0 where there is no limit, `[L]`."""
    loading: Floats
    """Mean and deviation of the flow, off the middle and so scaled, `[2, L]`."""
    own_lines: NDArray[np.int64]
    """Lines that each unit sees, `[N, 8]`."""
    area: NDArray[np.int64]
    """Of each unit, from 0, `[N]`."""
    area_factors: Floats
    """Flow that one MW more of an area's units causes, in the mean, `[L, areas]`."""
    broadcast: NDArray[np.int64]
    """Lines whose base flow all are told, `[20]`; none but at level P."""
    base_loading: Floats
    """Mean and deviation of theirs, `[2, 20]`."""
    base_factors: Floats
    """Their flow for one MW at each bus, `[20, nb]`."""
    base_flow: Floats
    """What phase shifters drive through them, `[20]`."""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Scales:
        """From what the export wrote."""
        texts, positions = (
            {"level", "shares", "units", "buses", "lines"},
            {"unit_bus", "own_lines", "area", "broadcast"},
        )
        kinds = {name: np.int64 if name in positions else np.float32 for name in told if name not in texts}
        arrays: dict[str, Any] = {name: np.array(told[name], kind) for name, kind in kinds.items()}
        return cls(
            level=told["level"],
            shares=told["shares"],
            units=tuple(told["units"]),
            buses=tuple(told["buses"]),
            lines=tuple((first, second) for first, second in told["lines"]),
            **arrays,
        )

    def json(self) -> dict[str, Any]:
        """As plain values."""
        return {name: x.tolist() if isinstance(x, np.ndarray) else x for name, x in asdict(self).items()}

    @cached_property
    def everyone(self) -> NDArray[np.int64]:
        """All units in order, `[N]`."""
        return np.arange(len(self.units))

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """Of each feature of each unit the place of its measurement in the row of `Snapshot.seen`, `[N, F]`."""
        agents, buses, lines = len(self.units), len(self.buses), len(self.lines)
        zero, total, total_change, sine, cosine, residual = (np.full(agents, place) for place in range(6))
        sizes = (6, buses, buses, agents, agents, agents, agents, lines)
        load, change, output, low, high, price, flow, base = np.cumsum(sizes).tolist()
        unit = np.arange(agents)
        found = [*[zero] * 4, low + unit, high + unit, output + unit, load + self.unit_bus, total, sine, cosine]
        found += [change + self.unit_bus, total_change]
        if self.level in "BCP":
            found += [residual, price + unit]
        if self.level in "CP":
            found += list(flow + self.own_lines.T)
        if self.level == "P":
            found += [np.full(agents, base + place) for place in range(len(self.broadcast))]
        return np.stack(found, -1)

    @cached_property
    def affine(self) -> tuple[Floats, Floats]:
        """Gain and shift that make features of measurements, `[N, F]` each, see `features.measured`."""
        agents, one = len(self.unit_min), np.ones(len(self.unit_min), np.float32)
        size = np.maximum(self.unit_max - self.unit_min, np.float32(1e-6))
        (mean, deviation), (level, spread) = self.local, self.total
        gain = [0 * one] * 4 + [1 / size] * 3 + [1 / deviation, one / spread, one, one]
        shift = [
            *self.fixed.T,
            *[-self.unit_min / size] * 3,
            -mean / deviation,
            -one * level / spread,
            0 * one,
            0 * one,
        ]
        gain += [1 / (deviation * CHANGE), one / (spread * CHANGE)]
        shift += [0 * one] * 2
        if self.level in "BCP":
            gain, shift = [*gain, one / spread, one], [*shift, 0 * one, 0 * one]
        if self.level in "CP":
            line = self.own_lines
            gain += list((self.within[line] / self.loading[1, line]).T)
            shift += list((-(self.middle * self.within + self.loading[0])[line] / self.loading[1, line]).T)
        if self.level == "P":
            line, (mean, deviation) = self.broadcast, self.base_loading
            for n in range(len(line)):
                gain.append(one * self.within[line[n]] / deviation[n])
                shift.append(one * -(self.middle[line[n]] * self.within[line[n]] + mean[n]) / deviation[n])
        found = np.stack(gain, -1), np.stack(shift, -1)
        assert found[0].shape == found[1].shape and len(found[0]) == agents
        return found[0].astype(np.float32), found[1].astype(np.float32)

    def sum(self, load: Floats) -> float:
        """Of all buses `[nb]`: a product with ones takes a fifth of the time of a sum over so few."""
        return float(load.dot(self._ones))

    @cached_property
    def unit_factors(self) -> Floats:
        """Flow that one MW more of the units of each unit's area causes, in the mean, `[L, N]`."""
        return self.area_factors[:, self.area].copy()

    @cached_property
    def ramps(self) -> Floats:
        """Largest changes in a step, down and up, `[2, N]`."""
        return np.stack([-self.ramp, self.ramp])

    @cached_property
    def _ones(self) -> Floats:
        return np.ones(len(self.buses), np.float32)

    def scaled(self, flow: Floats, line: NDArray[np.int64]) -> Floats:
        """Flows `[..., n]` of lines `[..., n]` off the middle, over what they may be off: -1 and 1 at the limits."""
        return (flow - self.middle[line]) * self.within[line]


def following(scales: Scales, rows: Rows) -> NDArray[Any]:
    """The rule: the last output and the unit's part, by size, of what total load has changed since, `[R, A]`.

    What automatic generation control would do if nobody set new base points.
    """
    seen, unit = rows["agent"], rows["index"]
    low, high = scales.unit_min[unit], scales.unit_max[unit]
    size = scales.unit_max - scales.unit_min
    least, most, last = (low + seen[:, k] * (high - low) for k in (4, 5, 6))
    change = seen[:, 12] * CHANGE * scales.total[1]
    base = np.clip(last + size[unit] / size.sum() * change, least, np.maximum(least, most))
    return np.stack([base, np.full_like(base, 0.5)][: 1 + scales.shares], -1)
