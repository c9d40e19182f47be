"""What a service counts, for Prometheus."""

from __future__ import annotations

from collections import Counter as Tally

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from dgpg.deploy import Policy

BUCKETS = (50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.5, 1.0)


class Metrics:
    """Of one service; the share of inputs outside the training's range is `outside` over `decisions`."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.latency = Histogram("dgpg_decision_seconds", "Of deciding, without HTTP", registry=own, buckets=BUCKETS)
        self.requests = Histogram(
            "dgpg_request_seconds", "Of answering a request", ("path", "status"), registry=own, buckets=BUCKETS
        )
        self.decisions = Counter("dgpg_decisions", "By who decided", ("by",), registry=own)
        self.fallbacks = Counter("dgpg_fallbacks", "Decisions of the rule, by reason", ("reason",), registry=own)
        self.outside = Counter("dgpg_outside", "Decisions on inputs outside the range of the training", registry=own)
        self.agreed = Counter("dgpg_shadow", "What policy and rule would do", ("same",), registry=own)
        self.difference = Gauge(
            "dgpg_shadow_cost_difference", "Sum of cost of the policy less that of the rule, as the model estimates",
            registry=own,
        )  # fmt: skip
        self.swaps = Counter("dgpg_swaps", "New exports", ("outcome",), registry=own)
        self.export = Info("dgpg_export", "In use", registry=own)

    def uses(self, policy: Policy) -> None:
        """Say which policy is in use."""
        told = policy.description
        self.export.info(
            {"digest": policy.digest, "domain": told["domain"], "algorithm": told["algorithm"],
             "iteration": str(told["iteration"])}
        )  # fmt: skip

    def decided(self, seconds: float, reason: NDArray[np.str_], beyond: NDArray[np.float32]) -> None:
        """Count decisions, `[R]` each; `reason` is "" where the policy decided."""
        self.latency.observe(seconds)
        for why, count in Tally(reason.tolist()).items():
            self.decisions.labels("rule" if why else "policy").inc(count)
            if why:
                self.fallbacks.labels(why).inc(count)
        self.outside.inc(int((beyond > 0).sum()))

    def shadowed(self, same: bool, difference: float | None) -> None:
        """Count a decision that policy and rule were both asked for."""
        self.agreed.labels("yes" if same else "no").inc()
        if difference is not None:
            self.difference.inc(difference)

    def text(self) -> bytes:
        """In the format of Prometheus."""
        return generate_latest(self.registry)
