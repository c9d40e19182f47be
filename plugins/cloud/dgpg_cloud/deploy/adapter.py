"""The entry point `cloud` of group `dgpg.deploy`: jobs and nodes as an operator writes them in JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgpg.deploy import Rows, number, only
from dgpg.errors import DecisionError
from dgpg_cloud.deploy.estimate import rise
from dgpg_cloud.deploy.features import Job, Nodes, features, seen
from dgpg_cloud.deploy.rules import RULES, Floats, View, priced
from dgpg_cloud.deploy.scales import RESOURCES, Scales
from dgpg_cloud.deploy.sheet import Sheet, sheet

AMOUNTS = ("used", "requested", "work")
NODE = (*RESOURCES, *AMOUNTS, "name", "price", "speed", "queued", "able")
SLOWEST = 1e-3
"""Speed of a node, at least."""
_NUMBERS = {int, float}
_AS_USED, _FOLLOWS = object(), object()  # no values of JSON, nor names in it
_NONE: Mapping[int, Mapping[str, Any]] = {r: dict.fromkeys(RESOURCES[:r], 0.0) for r in (2, 3)}
_ABSENT: Mapping[int, Mapping[Any, Any]] = {
    r: {"name": "", "used": _NONE[r], "requested": _AS_USED, "work": _NONE[r], "queued": 0.0, "speed": 1.0,
        "able": True, _FOLLOWS: 0.0, **dict.fromkeys(RESOURCES[2:r], 0.0)} for r in (2, 3)
}  # fmt: skip
"""Of a node what it does not say."""
_ALL = {r: len({*_ABSENT[r], "price", *RESOURCES[:r]}) for r in (2, 3)}
_GETTERS = {
    r: (itemgetter(*RESOURCES[:r]), itemgetter("queued", _FOLLOWS, "price", "speed", *RESOURCES[:r])) for r in (2, 3)
}


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
        job, load = given.get("job"), partial(number, given, "plain", "load", least=0)
        page = self._quick(nodes)
        if page is None:
            told = self._nodes([only(one, f"nodes[{k}]", NODE) for k, one in enumerate(nodes)])
            return features(self.scales, self._job(job), told, load())
        return seen(self.scales, self._job(job), *page, load())

    def cost(self, rows: Rows) -> NDArray[Any]:
        """What the analytical model says that placing the job adds, `[R, K]`."""
        return rise(self.scales, rows["choices"])

    def _job(self, given: Any) -> Job:
        job = only(given, "job", (*RESOURCES, self.time, "backlog"))
        demand, time = self._amounts(job, "job"), number(job, "job", self.time, least=0)
        steps = max(time, 1.0) if self.scales.step_s is None else self.scales.steps(time)
        return Job(demand, steps, int(number(job, "job", "backlog", 1, least=1)))

    def _quick(self, nodes: Sequence[Any]) -> tuple[Sheet, NDArray[np.bool_]] | None:
        """Nodes of which nothing has to be said, written on a page, and which of them are able; None where something
        may be wrong, which `_nodes` looks for."""
        r, k = self.scales.resources, len(nodes)
        try:
            values, able = _values(nodes, r)
            if not set(map(type, values)) <= _NUMBERS or set(map(type, able)) != {bool}:
                return None
            table = np.array(values, np.float64)
        except (AttributeError, KeyError, TypeError, OverflowError):
            return None
        parts, singles = table[: 3 * k * r].reshape(3, k, r), table[3 * k * r :].reshape(k, 4 + r)
        sound = np.count_nonzero((table >= 0) & (table < np.inf)) == len(table)
        if not sound or np.count_nonzero(singles[:, 3] >= SLOWEST) < k:
            return None
        if self.scales.step_s is not None:
            parts[2] /= self.scales.step_s
        page = sheet(r, k)
        page.told[: 3 * r].reshape(3, r, k)[:] = parts.transpose(0, 2, 1)
        page.told[3 * r :] = singles[:, :4].T
        page.capacity[:] = singles[:, 4:].T
        return page, np.array(able)

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


def _values(nodes: Sequence[Any], r: int) -> tuple[list[Any], list[Any]]:
    """What is used, requested and worked on, by resource, of all nodes each; then of each node its jobs in the queue,
    0, its price, its speed and its capacity; and which are able.

    Raises:
        KeyError: something that has to be there is not, or something is that nobody knows.
        TypeError: a node is no object, or a part of one is none.
    """
    names, every = _GETTERS[r], [{**_ABSENT[r], **one} for one in nodes]
    used, work = [one["used"] for one in every], [one["work"] for one in every]
    requested = [one["used"] if one["requested"] is _AS_USED else one["requested"] for one in every]
    if set(map(len, every)) != {_ALL[r]}:
        raise KeyError
    parts = [*used, *requested, *work]
    if set(map(len, parts)) != {r}:
        parts = [{**_NONE[r], **part} for part in parts]
        if set(map(len, parts)) != {r}:
            raise KeyError
    values = list(chain.from_iterable(map(names[0], parts)))
    values.extend(chain.from_iterable(map(names[1], every)))
    return values, [one["able"] for one in every]


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
