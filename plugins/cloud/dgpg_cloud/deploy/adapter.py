"""The entry point `cloud` of group `dgpg.deploy`: jobs and nodes as an operator writes them in JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgpg.deploy import Rows, number, only
from dgpg.errors import DecisionError
from dgpg_cloud.deploy.estimate import rise
from dgpg_cloud.deploy.features import Job, Nodes, features
from dgpg_cloud.deploy.rules import RULES, Floats, View, priced
from dgpg_cloud.deploy.scales import RESOURCES, Scales

AMOUNTS = ("used", "requested", "work")
NODE = (*RESOURCES, *AMOUNTS, "name", "price", "speed", "queued", "able")
SLOWEST = 1e-3
"""Speed of a node, at least."""
_KNOWN = {r: frozenset(RESOURCES[:r]) for r in (2, 3)}
_NODE = {r: frozenset(NODE) - frozenset(RESOURCES[r:]) for r in (2, 3)}
_NOTHING: Mapping[str, Any] = {}
_NUMBERS = {int, float}


class Placement:
    """One job and its candidate nodes: plain values in, features, rules and the model's estimate out.

    Times are in seconds where the policy was trained on a trace, else in steps; `work` is resource x time at speed 1.
    """

    cost_unit = "cost of a step, summed over steps"

    def __init__(self, scales: Scales) -> None:
        self.scales, self.time = scales, "steps" if scales.step_s is None else "seconds"
        waiting, price, _ = scales.weights
        worth = price / max(waiting, 1e-6)
        scores = dict(RULES) | {f"{name} with price": priced(score, worth) for name, score in RULES.items()}
        self.rules = {name: partial(_preference, score) for name, score in scores.items()}
        amounts = dict(zip(RESOURCES[: scales.resources], (2.0, 8.0, 0.0), strict=False))
        node = {"vcpu": 16.0, "memory_gib": 64.0, "price": 0.5, "used": amounts, "requested": amounts, "queued": 0}
        job = {"vcpu": 2.0, "memory_gib": 4.0, self.time: 60.0 * (scales.step_s or 1 / 10)}
        self.example: Mapping[str, Any] = {"job": job, "nodes": [node, node | {"price": 0.8}], "load": 0.3}

    def features(self, plain: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Arguments of `Policy.act` for one dispatcher.

        Raises:
            DecisionError: a value is missing, unknown or impossible, with its place.
        """
        given = only(plain, "plain", ("job", "nodes", "load"))
        nodes = given.get("nodes")
        if not isinstance(nodes, Sequence) or isinstance(nodes, str) or not nodes:
            raise DecisionError("nodes: expected a list of at least one node")
        told = self._quick(nodes)
        if told is None:
            told = self._nodes([only(one, f"nodes[{k}]", NODE) for k, one in enumerate(nodes)])
        return features(self.scales, self._job(given.get("job")), told, number(given, "plain", "load", least=0))

    def cost(self, rows: Rows) -> NDArray[Any]:
        """What the analytical model says that placing the job adds, `[R, K]`."""
        return rise(self.scales, rows["choices"])

    def _job(self, given: Any) -> Job:
        job = only(given, "job", (*RESOURCES, self.time, "backlog"))
        demand, time = self._amounts(job, "job"), number(job, "job", self.time, least=0)
        steps = max(time, 1.0) if self.scales.step_s is None else self.scales.steps(time)
        return Job(demand, steps, int(number(job, "job", "backlog", 1, least=1)))

    def _quick(self, nodes: Sequence[Any]) -> Nodes | None:
        """Nodes of which nothing has to be said; None where something may be wrong, which `_nodes` looks for."""
        r = self.scales.resources
        try:
            rows = [_row(one, r) for one in nodes]
            if not set(map(type, chain.from_iterable(rows))) <= _NUMBERS:
                return None
            table = np.array(rows, np.float64)
            able = [one.get("able", True) for one in nodes]
        except (AttributeError, KeyError, TypeError, OverflowError):
            return None
        whole = set(map(type, able)) == {bool}
        if not whole or not np.isfinite(table).all() or table.min() < 0 or table[:, 1].min() < SLOWEST:
            return None
        capacity, used, requested, work = (table[:, 3 + n * r : 3 + (n + 1) * r] for n in range(4))
        work = work / (self.scales.step_s or 1.0)
        return Nodes(capacity, used, requested, work, table[:, 2], table[:, 0], table[:, 1], np.array(able))

    def _nodes(self, nodes: Sequence[Mapping[str, Any]]) -> Nodes:
        """The same, one value after the other; DecisionError for the first that is wrong."""
        places = [f"nodes[{k}]" for k in range(len(nodes))]
        amounts = {
            name: np.array([self._of(one, where, name) for one, where in zip(nodes, places, strict=True)])
            for name in AMOUNTS
        }
        singles = {
            name: np.array([number(one, at, name, value, least) for one, at in zip(nodes, places, strict=True)])
            for name, value, least in (("price", None, 0), ("speed", 1.0, SLOWEST), ("queued", 0.0, 0))
        }
        return Nodes(
            capacity=np.array([self._amounts(one, where) for one, where in zip(nodes, places, strict=True)]),
            used=amounts["used"],
            requested=amounts["requested"],
            work=amounts["work"] / (self.scales.step_s or 1.0),
            able=np.array([_yes(one, where) for one, where in zip(nodes, places, strict=True)]),
            **singles,
        )

    def _of(self, node: Mapping[str, Any], where: str, name: str) -> list[float]:
        """Resources of one part of a node; what is requested is at least what is used, and all else is none."""
        given = node.get(name, node.get("used", {}) if name == "requested" else {})
        return self._amounts(only(given, f"{where}.{name}", RESOURCES), f"{where}.{name}", 0.0)

    def _amounts(self, given: Mapping[str, Any], where: str, default: float | None = None) -> list[float]:
        """`[R]`; no GPU is none."""
        names = RESOURCES[: self.scales.resources]
        if given.get("gpu") and "gpu" not in names:
            raise DecisionError(f"{where}.gpu: the policy was trained without GPU; leave it out")
        return [number(given, where, name, 0.0 if name == "gpu" else default, least=0) for name in names]


def _row(node: Any, r: int) -> tuple[Any, ...]:
    """Price, speed, queued, then capacity, used, requested and work by resource, as a node has them.

    Raises:
        KeyError: one that has to be there is not, or one is there that nobody knows.
        AttributeError, TypeError: it is no object, nor are its parts.
    """
    used = node.get("used", _NOTHING)
    requested, work = node.get("requested", used), node.get("work", _NOTHING)
    known, names = _KNOWN[r], RESOURCES[:r]
    if not node.keys() <= _NODE[r] or not all(part.keys() <= known for part in (used, requested, work)):
        raise KeyError(node)
    capacity = node["vcpu"], node["memory_gib"], *(node.get(name, 0.0) for name in names[2:])
    amounts = [part.get(name, 0.0) for part in (used, requested, work) for name in names]
    return node["price"], node.get("speed", 1.0), node.get("queued", 0.0), *capacity, *amounts


def _yes(node: Mapping[str, Any], where: str) -> bool:
    able = node.get("able", True)
    if not isinstance(able, bool):
        raise DecisionError(f"{where}.able: expected true or false, got {able!r}")
    return able


def _preference(score: Callable[[View], Floats], rows: Rows) -> NDArray[Any]:
    """How good each choice is, -inf where it is not allowed, `[R, K]`."""
    return np.where(rows["mask"], -score(View.of(rows["choices"])), -np.inf)


def make(description: Mapping[str, Any]) -> Placement:
    """Of an exported policy."""
    return Placement(Scales.read(description["plain"]))
