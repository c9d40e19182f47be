"""A grid under the DC approximation: buses, lines, units and what a unit's output costs.

The flow of a line is b (θ_from - θ_to - φ), φ the shift of a transformer; flows add up to the injections at
every bus. Everything is in MW, MW per hour and $ per hour; positions count from 0 and are not bus numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from dgpg.errors import DataError

BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]

_BUSES = ("bus_number", "area", "load")
_LINES = ("line_from", "line_to", "susceptance", "resistance", "shift_flow", "flow_min", "flow_max")
_UNITS = (
    *("unit_bus", "unit_name", "unit_kind", "unit_min", "unit_max", "ramp"),
    *("cost_constant", "cost_linear", "cost_quadratic", "kink", "kink_slope"),
)
ONE_SIDED = 1.0
"""MW: least reach of a line that has a limit in one direction alone, at a flow near 0."""
_WHOLE = {"bus_number", "area", "line_from", "line_to", "unit_bus"}
_TEXT = {"unit_name", "unit_kind"}


@dataclass(frozen=True, eq=False)
class Network:
    """One grid. The arrays are copies and read-only; nb buses, nl lines, N units, S kinks a unit.

    A unit's cost is constant + linear p + quadratic p² + sum_s kink_slope_s max(p - kink_s, 0), $ per hour.

    Attributes:
        name: name of the case.
        base_mva: MW of one unit of power in the per-unit system.
        bus_number: number of the bus in its source, `[nb]`.
        area: area of the bus, `[nb]`.
        load: demand and shunt losses at the bus, MW, `[nb]`; below 0 where given injections exceed them.
        line_from: position of the bus from which the line's flow counts positive, `[nl]`.
        line_to: position of the bus at its other end, `[nl]`.
        susceptance: b, per unit, `[nl]`; below 0 for a series capacitor.
        resistance: per unit, `[nl]`; the DC flow does not use it.
        shift_flow: flow at equal angles of both buses, -b φ, MW, `[nl]`; 0 where no phase is shifted.
        flow_min: least flow, MW, `[nl]`; minus the largest where limits are alike both ways, -inf where there is none.
        flow_max: largest flow, MW, `[nl]`; inf where there is none.
        unit_bus: position of the unit's bus, `[N]`.
        unit_name: name of the unit, distinct, `[N]`.
        unit_kind: "thermal", "wind", "pv" and so on; "thermal" where the source does not say, `[N]`.
        unit_min: least output, MW, `[N]`.
        unit_max: largest output, MW, `[N]`.
        ramp: largest change of output, MW per hour, `[N]`; inf where it is unknown.
        cost_constant: $ per hour, `[N]`.
        cost_linear: $ per MWh, `[N]`.
        cost_quadratic: $ per MW²h, at least 0, `[N]`.
        kink: output above which one more term of the cost counts, MW, `[N, S]`.
        kink_slope: what that term adds, $ per MWh, at least 0, `[N, S]`; 0 fills up unused columns.
        notes: what a user should know: condensers dropped, limits absent, costs changed.
    """

    name: str
    base_mva: float
    bus_number: IntArray
    area: IntArray
    load: FloatArray
    line_from: IntArray
    line_to: IntArray
    susceptance: FloatArray
    resistance: FloatArray
    shift_flow: FloatArray
    flow_min: FloatArray
    flow_max: FloatArray
    unit_bus: IntArray
    unit_name: tuple[str, ...]
    unit_kind: tuple[str, ...]
    unit_min: FloatArray
    unit_max: FloatArray
    ramp: FloatArray
    cost_constant: FloatArray
    cost_linear: FloatArray
    cost_quadratic: FloatArray
    kink: FloatArray
    kink_slope: FloatArray
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in (*_BUSES, *_LINES, *_UNITS):
            if field not in _TEXT:
                values = np.array(getattr(self, field), dtype=np.int64 if field in _WHOLE else np.float64)
                values.flags.writeable = False
                object.__setattr__(self, field, values)
        for group in (_BUSES, _LINES, _UNITS):
            lengths = {field: len(getattr(self, field)) for field in group}
            if len(set(lengths.values())) > 1:
                raise DataError(f"{self.name}: columns differ in length, expected one value a row, found {lengths}")
        if self.kink.ndim != 2 or self.kink.shape != self.kink_slope.shape:
            shapes = f"{self.kink.shape} and {self.kink_slope.shape}"
            raise DataError(f"{self.name}: kink and kink_slope have the shapes {shapes}, expected both (units, kinks)")

    @property
    def num_buses(self) -> int:
        """Number of buses, nb."""
        return len(self.bus_number)

    @property
    def num_lines(self) -> int:
        """Number of lines, nl."""
        return len(self.line_from)

    @property
    def num_units(self) -> int:
        """Number of units, N."""
        return len(self.unit_bus)

    def cost(self, output: ArrayLike) -> FloatArray:
        """Cost of each unit at its output in MW, $ per hour: `[..., N]` -> `[..., N]`."""
        p = np.asarray(output, np.float64)
        above = np.maximum(p[..., None] - self.kink, 0.0)
        smooth = self.cost_constant + self.cost_linear * p + self.cost_quadratic * p**2
        total: FloatArray = smooth + (self.kink_slope * above).sum(-1)
        return total

    def scaled(self, load: float = 1.0, limit: float = 1.0) -> Network:
        """A copy with every load times `load` and every line limit times `limit`."""
        return replace(self, load=self.load * load, flow_min=self.flow_min * limit, flow_max=self.flow_max * limit)

    def narrowed(self, taken: ArrayLike) -> Network:
        """A copy with every limit nearer to the middle by `taken`, MW, `[nl]`: by half of the way at most."""
        off = np.minimum(np.asarray(taken, np.float64), np.where(np.isfinite(self.reach), self.reach / 2, 0.0))
        return replace(self, flow_min=self.flow_min + off, flow_max=self.flow_max - off)

    def relaxed(self) -> Network:
        """A copy in which every unit can go down to 0: unit_min = min(unit_min, 0)."""
        count = int((self.unit_min > 0).sum())
        note = (f"minimum output of {count} {'unit' if count == 1 else 'units'} set to 0",) if count else ()
        return replace(self, unit_min=np.minimum(self.unit_min, 0.0), notes=self.notes + note)

    @property
    def middle(self) -> FloatArray:
        """Flow in the middle between a line's limits, MW, `[nl]`; 0 where it has fewer than two."""
        with np.errstate(invalid="ignore"):
            centre = (self.flow_max + self.flow_min) / 2
        return np.where(np.isfinite(centre), centre, 0.0)

    @property
    def reach(self) -> FloatArray:
        """Flow from the middle to a limit, MW, `[nl]`, what loadings are shares of; inf where there is no limit."""
        both = (self.flow_max - self.flow_min) / 2
        one = np.minimum(np.abs(self.flow_max), np.abs(self.flow_min))
        return np.where(np.isfinite(both), both, np.maximum(one, ONE_SIDED))

    def loading(self, flow: ArrayLike) -> FloatArray:
        """Share of its limit that a flow in MW takes, 1 at either limit: `[..., nl]` -> `[..., nl]`.

        Where limits differ by direction, 0 is in the middle between them. 0 where there is no limit.
        """
        f, reach = np.asarray(flow, np.float64), self.reach
        beyond = np.maximum(f - self.flow_max, self.flow_min - f)
        limited = np.isfinite(reach)
        share: FloatArray = np.where(limited, np.where(limited, beyond, 0.0) / np.where(limited, reach, 1.0) + 1, 0.0)
        return np.maximum(share, 0.0)

    def line_name(self, line: int) -> str:
        """The line's buses by number, as messages name it: "line 4 (bus 101 to bus 102)"."""
        ends = self.bus_number[[self.line_from[line], self.line_to[line]]]
        return f"line {line} (bus {ends[0]} to bus {ends[1]})"


def island_of(network: Network, kept: BoolArray) -> IntArray:
    """Number of the island of each bus, from 0, when only the lines of `kept` connect them, `[nb]`."""
    ends = (network.line_from[kept], network.line_to[kept])
    graph = csr_array((np.ones(len(ends[0])), ends), shape=(network.num_buses,) * 2)
    label: IntArray = connected_components(graph, directed=False)[1].astype(np.int64)
    return label


def validate(network: Network, where: str = "", lines: str = "") -> Network:
    """Return the network, or raise DataError for the first thing that makes it unusable at any level of demand.

    `where` names its source in the message, the network's name if empty; `lines` the table of its lines, `where` if
    empty.
    """
    where = where or network.name
    for check in (_check_sizes, _check_numbers, _check_islands, _check_costs):
        problem = check(network)
        if problem:
            raise DataError(f"{lines or where if check is _check_islands else where}: {problem}")
    return network


def _check_sizes(network: Network) -> str:
    if not network.num_units:
        return "no unit in service that can produce, expected at least one: check the status and limits of the units"
    if not network.num_lines and network.num_buses == 1:
        return "no line in service and one bus alone, expected a grid: on one bus merit order is the optimum"
    if not (network.load > 0).any():
        found = "no bus has a load above 0, expected at least one"
        for n in np.flatnonzero(network.unit_min < 0)[:1]:
            demand = f"Pd of bus {network.bus_number[network.unit_bus[n]]}"
            unit = f"unit {network.unit_name[n]} takes up to {-network.unit_min[n]:g} MW"
            return f"{found}; {unit} as a dispatchable load, which is a choice: give what must be served as {demand}"
        return f"{found}: check the demand (Pd and Gs)"
    number, count = np.unique(network.bus_number, return_counts=True)
    if (count > 1).any():
        return f"bus number {number[count > 1][0]} occurs more than once, expected distinct numbers: renumber the buses"
    for noun, bus in (("line", network.line_from), ("line", network.line_to), ("unit", network.unit_bus)):
        for at in bus[(bus < 0) | (bus >= network.num_buses)][:1]:
            return f"a {noun} lies at bus position {at}, expected 0 to {network.num_buses - 1}: correct it"
    return ""


def _check_numbers(network: Network) -> str:
    finite = ("load", "susceptance", "resistance", "shift_flow", "unit_min", "unit_max", "cost_constant", "cost_linear")
    for field in (*finite, "cost_quadratic", "kink", "kink_slope"):
        if not np.isfinite(getattr(network, field)).all():
            return f"{field} holds a number that is not finite: correct it"
    for line in np.flatnonzero(network.susceptance == 0)[:1]:
        return f"{network.line_name(line)} has reactance 0: merge its buses or give it a small reactance"
    good = (network.flow_min < network.flow_max) & (network.flow_min < np.inf) & (network.flow_max > -np.inf)
    for line in np.flatnonzero(~good)[:1]:
        ends = f"{network.flow_min[line]:g} to {network.flow_max[line]:g} MW"
        return f"{network.line_name(line)} has the limits {ends}, expected the first below the second: correct them"
    for n in np.flatnonzero(~(network.ramp > 0))[:1]:
        return f"unit {network.unit_name[n]} has the ramp {network.ramp[n]:g} MW per hour, expected one above 0 or inf"
    for n in np.flatnonzero(network.unit_min > network.unit_max)[:1]:
        low, high = network.unit_min[n], network.unit_max[n]
        return f"unit {network.unit_name[n]} has minimum output {low:g} MW above its maximum {high:g} MW: correct them"
    return ""


def _check_islands(network: Network) -> str:
    label = island_of(network, np.ones(network.num_lines, bool))
    size = np.bincount(label)
    if len(size) == 1:
        return ""
    order = np.argsort(-size, kind="stable")
    named = "; ".join(_named(network.bus_number[label == at]) for at in order[:3])
    more = f"; and {len(size) - 3} more" if len(size) > 3 else ""
    first = network.bus_number[label == order[0]][0]
    return (
        f"{len(size)} islands, expected one connected grid: {named}{more}; demand is balanced over a whole grid, and "
        f"islands do not affect each other: take one with --set island={first}, the number of any of its buses, or "
        "connect them"
    )


def _named(buses: IntArray) -> str:
    """The buses of an island, the first of them if they are many."""
    shown = ", ".join(map(str, buses[:5])) + (f" and {len(buses) - 5} more" if len(buses) > 5 else "")
    return f"{'bus' if len(buses) == 1 else 'buses'} {shown}"


def _check_costs(network: Network) -> str:
    convex = (network.cost_quadratic >= 0) & (network.kink_slope >= 0).all(-1)
    for n in np.flatnonzero(~convex)[:1]:
        return f"unit {network.unit_name[n]} has a cost that is not convex: marginal costs must not fall with output"
    return ""
