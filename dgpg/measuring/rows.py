"""A line of an evaluation's table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dgpg.domain import Information
from dgpg.measuring.statistics import Difference, Interval

Kind = Literal["policy", "baseline", "oracle", "untrained"]
Mode = Literal["stochastic", "greedy"]
GROUPS: tuple[Information, ...] = ("same", "sums", "more")
"""What policies see, in the order of the table."""
NETWORKS = ("policy", "untrained")
"""Kinds that come first, in the order that they were measured in."""


@dataclass(frozen=True)
class Row:
    """One line of the table: mean cost over episodes, and what the policy costs less or more on the same ones."""

    name: str
    kind: Kind
    information: Information
    mode: Mode | None
    cost: float
    ci95: Interval
    """Percentile bootstrap over episodes."""
    episodes: int
    measures: Mapping[str, float] = field(default_factory=dict)
    """Means over steps of what the domain reports beside the cost."""
    difference: Difference | None = None
    """To the policy, paired by episode; None for the policy itself."""
    costs: tuple[float, ...] = ()
    """Of each episode, so that others are held against them without playing them again."""

    def json(self) -> dict[str, Any]:
        """As plain values, measures beside the cost; without those of each episode."""
        plain: dict[str, Any] = asdict(self)
        measures: dict[str, Any] = plain.pop("measures")
        del plain["costs"]
        return plain | measures


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Networks first, then rules, the cheapest first within each group of information."""
    rows = list(rows)
    networks = [r for kind in NETWORKS for r in rows if r.kind == kind]
    rules = [r for r in rows if r.kind not in NETWORKS]
    return networks + sorted(rules, key=lambda r: (GROUPS.index(r.information), r.cost))
