"""What is known of a cluster, and what of it a decision needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgpg_cloud.deploy import load
from dgpg_cloud.kubernetes.advice import Advice, Given
from dgpg_cloud.kubernetes.amounts import UNITS, Object, asked
from dgpg_cloud.kubernetes.nodes import Nodes
from dgpg_cloud.kubernetes.pods import Pods, uid_of
from dgpg_cloud.kubernetes.settings import LOG, Settings

Floats = NDArray[np.float64]
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, OverflowError)
"""What comes of objects that are not as the API has them."""


@dataclass(frozen=True)
class View:
    """Of K nodes at one moment; resources in vCPU, GiB and GPU."""

    able: NDArray[np.bool_]
    """Is the node known, and large enough for the pod if nothing else were there, `[K]`."""
    capacity: Floats
    """What pods can have, `[K, 3]`."""
    requested: Floats
    """By pods that are there, assumed to be, or nominated with a claim before this one, `[K, 3]`."""
    work: Floats
    """Left of them: resource x seconds at speed 1, `[K, 3]`."""
    price: Floats
    """USD per hour, `[K]`."""
    speed: Floats
    """`[K]`."""
    load: float
    """Mean over all nodes of the cluster of the share of the resource most in use."""
    demand: Floats
    """What the pod to place asks for, `[3]`."""
    seconds: float
    """Its run time at speed 1."""
    backlog: int
    """Pods that wait for a node, this one included."""


def _silent(event: str, **values: Any) -> None:
    """Nobody listens."""


class Cluster:
    """Nodes and pods as the API server tells of them, written by those who watch, read by those who decide."""

    def __init__(
        self, settings: Settings, clock: Callable[[], float] = time.time, tell: Callable[..., None] = _silent
    ) -> None:
        """With Unix time, and what is told of pods that land."""
        self.settings, self.clock = settings, clock
        self.nodes, self.advice = Nodes(settings), Advice(tell)
        self.pods = Pods(self.nodes, settings, self.advice.landed)
        self.lock = Lock()

    def view(self, pod: Object, names: Sequence[str]) -> View:
        """What a decision about a pod needs to know of nodes; those that are not known have nothing."""
        with self.lock:
            now = self.clock()
            self.pods.reconsider(pod, now)
            nodes, at = self.nodes.table.columns, self.nodes.table.find(names)
            requested, capacity = nodes["held"][:, :3] / UNITS, nodes["amounts"][:, :3] / UNITS
            work = self._work(now)
            self._reserve(pod, requested, work)
            known, own = nodes["known"], asked(pod, self.settings.gpus)
            return View(
                able=known[at] & (own <= nodes["amounts"][at]).all(-1),
                capacity=capacity[at],
                requested=requested[at],
                work=work[at],
                price=nodes["price"][at],
                speed=nodes["speed"][at],
                load=load(requested[known], capacity[known]) if known.any() else 0.0,
                demand=own[:3] / UNITS,
                seconds=self.pods.run_time(pod),
                backlog=self.pods.backlog(pod),
            )

    def too_small(self, pod: Object, names: Sequence[str]) -> NDArray[np.bool_]:
        """Nodes that the pod would not fit on if nothing else were there, `[K]`; of one not known nobody can say."""
        own = asked(pod, self.settings.gpus)
        with self.lock:
            nodes, at = self.nodes.table.columns, self.nodes.table.find(names)
            return nodes["known"][at] & (own > nodes["amounts"][at]).any(-1)

    def assume(self, pod: Object, node: str) -> None:
        """A pod was advised to go to a node, and kube-scheduler will follow."""
        with self.lock:
            self.pods.assume(pod, node, self.clock())

    def advise(self, pod: Object, given: Given) -> None:
        """Remember advice until the pod lands."""
        with self.lock:
            self.advice.give(uid_of(pod), given)

    def _reserve(self, pod: Object, requested: Floats, work: Floats) -> None:
        """Add what is kept for others before this pod, `[rows, 3]` each."""
        for one in self.pods.reserved(pod):
            row = self.nodes.table.rows.get(one.node)
            if row is not None:
                amounts = one.amounts[:3] / UNITS
                requested[row] += amounts
                work[row] += amounts * one.seconds

    def _work(self, now: float) -> Floats:
        """Left of the pods on every row of the nodes, `[rows, 3]`."""
        pods, speed = self.pods.table.columns, self.nodes.table.columns["speed"]
        # A pod that outlives its run time goes on for who knows how long: a step.
        left = np.maximum(pods["seconds"] - (now - pods["start"]) * speed[pods["node"]], self.settings.step_s)
        found = np.zeros((len(speed), 3))
        for r, name in enumerate(("vcpu", "memory", "gpu")):
            if name != "gpu" or pods[name].any():
                found[:, r] = np.bincount(pods["node"], pods[name] * left, len(speed))
        return found


class Written:
    """One kind of object of a cluster, as the API server tells of it: `reflector.Store`.

    Attributes:
        strange: objects that could not be read; they are left as they were.
    """

    def __init__(self, cluster: Cluster, part: Nodes | Pods) -> None:
        self._cluster, self._part, self.strange = cluster, part, 0

    def keep(self, objects: Collection[Object]) -> None:
        """These and no others; one at a time, so that nobody who decides waits for thousands."""
        with self._cluster.lock:
            self._part.forget_all_but(objects)
        for thing in objects:
            self.put(thing)

    def put(self, thing: Object) -> None:
        """It is there, like this."""
        with self._cluster.lock:
            try:
                self._part.put(thing, self._cluster.clock())
            except UNREADABLE as error:
                self.strange += 1
                LOG.error("%s: cannot be read: %s", (thing.get("metadata") or {}).get("name"), error)

    def drop(self, thing: Object) -> None:
        """It is gone."""
        with self._cluster.lock:
            self._part.drop(thing)
