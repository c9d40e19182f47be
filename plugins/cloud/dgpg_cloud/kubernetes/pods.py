"""Pods of a cluster: where each is, what it holds there and since when, and which wait."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import NamedTuple

import numpy as np

from dgpg_cloud.kubernetes.amounts import UNITS, Amounts, Object, asked
from dgpg_cloud.kubernetes.nodes import Nodes
from dgpg_cloud.kubernetes.settings import RUN_TIME, Settings, annotated
from dgpg_cloud.kubernetes.tables import Table

COLUMNS = ("vcpu", "memory", "gpu", "start", "seconds")
"""One by one, since sums over tens of thousands of pods are taken of each: vCPU, GiB, GPU, Unix time, seconds."""
OVER = ("Succeeded", "Failed")


class Nominated(NamedTuple):
    """A pod without a node for which room is kept on one: others were evicted there for it, or it is being bound."""

    node: str
    amounts: Amounts
    seconds: float
    priority: int


class Pods:
    """Pods that hold something of a node, a row each, and those that wait for one.

    A pod that was advised to go somewhere counts there until the API server says where it went, or for a while: between
    its binding and the news of it others are placed.
    """

    def __init__(self, nodes: Nodes, settings: Settings, landed: Callable[[str, str], None]) -> None:
        """With what is called when a pod, by its uid, is first seen on a node."""
        self.nodes, self.settings, self.landed = nodes, settings, landed
        self.table: Table[str] = Table(node=0, amounts=np.zeros(4, np.int64), **dict.fromkeys(COLUMNS, 0.0))
        self.waiting: set[str] = set()
        self.assumed: dict[str, float] = {}
        self.nominated: dict[str, Nominated] = {}

    def put(self, pod: Object, now: float) -> None:
        """As the API server has it."""
        spec, status, uid = pod.get("spec") or {}, pod.get("status") or {}, uid_of(pod)
        if status.get("phase") in OVER:
            self.drop(pod)
            return
        node = spec.get("nodeName")
        if node:
            if uid not in self.table or uid in self.assumed:
                self.landed(uid, node)
            self.waiting.discard(uid)
            self.nominated.pop(uid, None)
            self._hold(pod, node, now)
            return
        self._nominate(pod, uid, status.get("nominatedNodeName"))
        if uid not in self.assumed or _refused(status):
            self._free(uid)
        if self._wanted(pod):
            self.waiting.add(uid)
        else:
            self.waiting.discard(uid)

    def drop(self, pod: Object) -> None:
        """It is gone, or has ended: what it held is free."""
        self.waiting.discard(uid_of(pod))
        self.nominated.pop(uid_of(pod), None)
        self._free(uid_of(pod))

    def forget_all_but(self, pods: Collection[Object]) -> None:
        """Those that are not among these are gone; what was assumed stays so for its time."""
        there = {uid_of(pod) for pod in pods}
        for uid in [uid for uid in self.table.rows if uid not in there and uid not in self.assumed]:
            self._free(uid)
        self.waiting &= there
        self.nominated = {uid: one for uid, one in self.nominated.items() if uid in there}

    def assume(self, pod: Object, node: str, now: float) -> None:
        """It was advised to go to a node, and will be seen there, or not."""
        uid = uid_of(pod)
        if uid not in self.table or uid in self.assumed:
            self._hold(pod, node, now)
            self.assumed[uid] = now + self.settings.assumed_s

    def reserved(self, pod: Object) -> list[Nominated]:
        """Room that others have before a pod: of pods of its priority or a higher one, as kube-scheduler counts it."""
        least, own = _priority(pod), uid_of(pod)
        return [
            one for uid, one in self.nominated.items()
            if uid != own and uid not in self.table and one.priority >= least
        ]  # fmt: skip

    def backlog(self, pod: Object) -> int:
        """Pods that wait for a node, the one that is being placed included."""
        return len((self.waiting - self.assumed.keys()) | {uid_of(pod)})

    def run_time(self, pod: Object) -> float:
        """Seconds at speed 1, as far as anybody says."""
        told = annotated(pod, RUN_TIME) or (pod.get("spec") or {}).get("activeDeadlineSeconds")
        return float(told or self.settings.run_time_s)

    def reconsider(self, pod: Object, now: float) -> None:
        """Free what was assumed for long enough, and what was of the pod that is to be placed (again)."""
        for uid in [uid for uid, until in self.assumed.items() if until <= now or uid == uid_of(pod)]:
            self._free(uid)

    def _wanted(self, pod: Object) -> bool:
        """Whether kube-scheduler will ask where a pod without a node goes; it passes over those told to end."""
        spec, ends = pod.get("spec") or {}, (pod.get("metadata") or {}).get("deletionTimestamp")
        ours = self.settings.scheduler in (None, spec.get("schedulerName"))
        return ours and not spec.get("schedulingGates") and not ends

    def _nominate(self, pod: Object, uid: str, node: str | None) -> None:
        self.nominated.pop(uid, None)
        if node:
            amounts = asked(pod, self.settings.gpus)
            self.nominated[uid] = Nominated(node, amounts, self.run_time(pod), _priority(pod))

    def _hold(self, pod: Object, node: str, now: float) -> None:
        uid, columns = uid_of(pod), self.table.columns
        row = self.table.rows.get(uid)
        same = row is not None and self.nodes.table.rows.get(node) == columns["node"][row]
        since = float(columns["start"][row]) if same else now
        self._free(uid)
        amounts = asked(pod, self.settings.gpus)
        vcpu, memory, gpu = amounts[:3] / UNITS
        start = _seconds((pod.get("status") or {}).get("startTime"), since)
        place, seconds = self.nodes.take(node, amounts), self.run_time(pod)
        self.table.put(
            uid, node=place, amounts=amounts, vcpu=vcpu, memory=memory, gpu=gpu, start=start, seconds=seconds
        )

    def _free(self, uid: str) -> None:
        self.assumed.pop(uid, None)
        row = self.table.rows.get(uid)
        if row is not None:
            self.nodes.give(int(self.table.columns["node"][row]), self.table.columns["amounts"][row])
            self.table.drop(uid)


def uid_of(pod: Object) -> str:
    """What tells a pod from a later one of its name."""
    metadata = pod.get("metadata") or {}
    return str(metadata.get("uid") or f"{metadata.get('namespace', '')}/{metadata.get('name', '')}")


def _priority(pod: Object) -> int:
    """Which admission has written into it, by its class."""
    return int((pod.get("spec") or {}).get("priority") or 0)


def _refused(status: Object) -> bool:
    """Did kube-scheduler say that it found no node, or could not bind it?"""
    return any(c.get("type") == "PodScheduled" and c.get("status") == "False" for c in status.get("conditions") or ())


def _seconds(time: str | None, otherwise: float) -> float:
    """Unix time of what the API server writes."""
    return otherwise if time is None else datetime.fromisoformat(time).timestamp()
