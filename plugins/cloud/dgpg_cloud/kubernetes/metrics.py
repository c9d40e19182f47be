"""What the extender says of itself: `/metrics` and its part of `/healthz`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dgpg_cloud.kubernetes.extender import Extender
from dgpg_cloud.kubernetes.watching import Watcher


class Figures(Collector):
    """Of an extender and its watcher, read when they are asked for."""

    def __init__(self, extender: Extender, watcher: Watcher) -> None:
        self._extender, self._watcher = extender, watcher

    def collect(self) -> Iterator[Metric]:
        """In the format of Prometheus."""
        cluster, advice, watcher = self._extender.cluster, self._extender.cluster.advice, self._watcher
        for name, what, value in (
            ("nodes", "Nodes that are known", cluster.nodes.count),
            ("pods", "Pods that hold something of a node", len(cluster.pods.table)),
            ("waiting", "Pods that wait for a node", len(cluster.pods.waiting)),
            ("assumed", "Pods that count where they were advised to go", len(cluster.pods.assumed)),
            ("behind_seconds", "Time for which the picture may be old", watcher.behind),
            ("stale", "1 where that is too long and the rule decides", float(not self._extender.fresh)),
            ("model_cost_difference", "Sum of what going elsewhere than advised costs more, as the model estimates",
             advice.difference),
        ):  # fmt: skip
            yield GaugeMetricFamily(f"dgpg_kubernetes_{name}", what, value)
        landed = CounterMetricFamily(
            "dgpg_kubernetes_landed", "Pods seen on a node after advice", labels=("as_advised",)
        )
        landed.add_metric(("yes",), advice.followed)
        landed.add_metric(("no",), advice.other)
        yield landed
        strange = CounterMetricFamily("dgpg_kubernetes_strange", "Objects that could not be read")
        strange.add_metric((), watcher.strange)
        yield strange
        for name, what in (("relists", "Lists"), ("failures", "Lists and watches that failed")):
            family = CounterMetricFamily(f"dgpg_kubernetes_{name}", what, labels=("kind",))
            for reflector in watcher.reflectors:
                family.add_metric((reflector.kind,), getattr(reflector, name))
            yield family


def health(extender: Extender, watcher: Watcher) -> Mapping[str, Any]:
    """What is known, and what is wrong if anything is."""
    behind, never = watcher.behind, watcher.behind == float("inf")
    trouble = None
    if never:
        trouble = "the API server has not been listed yet, or a watch is dead: the rule decides"
    elif not extender.fresh:
        trouble = f"no watch for {behind:.0f} s: the rule decides on what was known then"
    return {
        "nodes": extender.cluster.nodes.count,
        "pods": len(extender.cluster.pods.table),
        "behind_seconds": None if never else round(behind, 1),
        "trouble": trouble,
    }
