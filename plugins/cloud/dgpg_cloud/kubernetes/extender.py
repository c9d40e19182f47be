"""Answers to kube-scheduler: which nodes are too small for a pod, and how good the others are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgpg.errors import ConfigError, DecisionError
from dgpg.serve import FAILED, Answer, Loaded, Service
from dgpg_cloud.deploy import Job, Nodes, Placement, Scales, features
from dgpg_cloud.kubernetes.advice import Given
from dgpg_cloud.kubernetes.cluster import UNREADABLE, Cluster, View
from dgpg_cloud.kubernetes.levels import levels
from dgpg_cloud.kubernetes.protocol import Call
from dgpg_cloud.kubernetes.reflector import USUAL, Backoff
from dgpg_cloud.kubernetes.settings import Settings
from dgpg_cloud.kubernetes.watching import Watcher

DOMAIN = "cloud"
TOO_SMALL = "the pod asks for more than the node has"
STALE = "stale"
"""Why the rule decides: nobody has heard from the API server for too long."""


class Extender:
    """The verbs of a scheduler extender, on a cluster that is watched."""

    def __init__(self, service: Service, cluster: Cluster, behind: Callable[[], float]) -> None:
        """With the seconds for which the picture of the cluster may be old."""
        self.service, self.cluster, self.behind = service, cluster, behind

    @property
    def fresh(self) -> bool:
        """Is the picture of the cluster new enough for the policy?"""
        return self.behind() <= self.cluster.settings.stale_s

    def filter(self, body: bytes | memoryview) -> bytes:
        """Leave out nodes that are too small for the pod even when empty.

        What is free just now is kube-scheduler's own to say: it knows of a pod that ended before anybody who watches
        does, and a node that was refused for that moment would not be tried again for minutes.
        """
        call = Call(body)
        with _read():
            small = self.cluster.too_small(call.pod, call.names)
        return call.filtered({call.names[k]: TOO_SMALL for k in np.flatnonzero(small)})

    def prioritize(self, body: bytes | memoryview) -> bytes:
        """Scores of the nodes; the best one is assumed to get the pod.

        In shadow mode all have the same, so that kube-scheduler decides as if nobody had been asked.
        """
        call, loaded = Call(body), self.service.current
        with _read():
            view = self.cluster.view(call.pod, call.names)
        if not view.able.any():
            return call.prioritised(np.zeros(len(call.names), np.int64))
        answer = self._decided(loaded, view, call)
        if self.service.settings.mode == "shadow":
            return call.prioritised(np.zeros(len(call.names), np.int64))
        assert answer.preference is not None  # policies of this domain choose
        with _read():
            self.cluster.assume(call.pod, call.names[int(answer.action[0])])
        return call.prioritised(levels(answer.preference[0]))

    def _decided(self, loaded: Loaded, view: View, call: Call) -> Answer:
        """The policy's answer, or the rule's where the cluster is not seen well enough."""
        placement = loaded.adapter
        assert isinstance(placement, Placement)  # `extending` and `Service.swap` see to it
        rows, _ = loaded.policy.rows(**seen(placement.scales, view, self.cluster.settings.step_s))
        answer = self.service.decide(loaded, rows, "" if self.fresh else STALE)
        if answer.reason[0] != FAILED:
            given = Given(call.names, int(answer.wished[0]), rows["choices"][0], placement.cost)
            self.cluster.advise(call.pod, given)
        return answer


@contextlib.contextmanager
def _read() -> Iterator[None]:
    """DecisionError where a pod is not as the API has them."""
    try:
        yield
    except UNREADABLE as error:
        raise DecisionError(f"Pod: cannot be read ({error}); expected it as the API server has it") from None


def extending(service: Service, settings: Settings, api: Any, backoff: Backoff = USUAL) -> tuple[Extender, Watcher]:
    """An extender and who watches for it, with a `CoreV1Api`.

    Raises:
        ConfigError: the export is not of this plugin's domain, or says nothing of plain values.
    """
    refuse_others(service.current)
    cluster = Cluster(settings, tell=service.log.event)
    watcher = Watcher(api, cluster, backoff)
    return Extender(service, cluster, lambda: watcher.behind), watcher


def refuse_others(loaded: Loaded) -> None:
    """ConfigError unless an export places jobs, and says what of plain values that takes."""
    domain = loaded.policy.description["domain"]
    if domain != DOMAIN:
        raise ConfigError(f"--kubernetes places pods by policies of domain '{DOMAIN}', this one is of '{domain}'")
    if not isinstance(loaded.adapter, Placement):
        raise ConfigError("--kubernetes: the export says nothing of plain values (it is older); export the run again")


def seen(scales: Scales, view: View, step_s: float) -> dict[str, NDArray[Any]]:
    """What a dispatcher sees of a cluster: what runs on a node is all that is requested of it, nothing queues there."""
    r, step_s = scales.resources, scales.step_s or step_s
    job = Job(view.demand[:r], max(np.ceil(view.seconds / step_s * (1 - 1e-12)), 1.0), view.backlog)
    nodes = Nodes(
        capacity=view.capacity[:, :r],
        used=view.requested[:, :r],
        requested=view.requested[:, :r],
        work=view.work[:, :r] / step_s,
        queued=np.zeros(len(view.able)),
        price=view.price,
        speed=view.speed,
        able=view.able,
    )
    return features(scales, job, nodes, view.load)
