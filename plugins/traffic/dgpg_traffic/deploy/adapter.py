"""The entry point `traffic` of group `dgpg.deploy`: a pair's history as an operator writes it in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from numpy.typing import NDArray

from dgpg.deploy import number, numbers, only, which
from dgpg_traffic.deploy.features import History, features
from dgpg_traffic.deploy.rules import fastest, logit, usual
from dgpg_traffic.deploy.scales import Scales

NAMES = ("pair", "member", "demand", "last_demand", "link_time", "period")


class Splitting:
    """One pair, as "from-to" by node numbers or by its place, to features; times in the network's unit."""

    def __init__(self, scales: Scales) -> None:
        self.scales = scales
        self.rules = {
            name: partial(rule, scales) for name, rule in (("usual", usual), ("logit", logit), ("fastest", fastest))
        }
        self.pairs = tuple(f"{origin}-{destination}" for origin, destination in scales.pairs.tolist())
        vehicles = round(float(scales.demand[0] * scales.usual[0]), 1)
        self.example: Mapping[str, Any] = {
            "pair": self.pairs[0], "demand": vehicles, "last_demand": vehicles, "period": 0,
            "link_time": [round(1.2 * x, 3) for x in scales.free_time.tolist()],
        }  # fmt: skip

    def features(self, plain: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Arguments of `Policy.act` for one agent.

        Raises:
            DecisionError: a value is missing, unknown or impossible, with its place.
        """
        given, scales = only(plain, "plain", NAMES), self.scales
        pair = which(given, "plain", "pair", self.pairs)
        member = which({"member": 0, **given}, "plain", "member", tuple(map(str, range(scales.per_pair))))
        history = History(
            agent=[pair * scales.per_pair + member],
            demand=[number(given, "plain", "demand", least=0)],
            last_demand=[number(given, "plain", "last_demand", least=0)],
            link_time=numbers(given, "plain", "link_time", len(scales.free_time)),
            period=which(given, "plain", "period", tuple(map(str, range(len(scales.usual))))),
        )
        return {name: x[0] for name, x in features(scales, history).items()}


def make(description: Mapping[str, Any]) -> Splitting:
    """Of an exported policy."""
    return Splitting(Scales.read(description["plain"]))
