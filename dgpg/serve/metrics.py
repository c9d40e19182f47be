"""What a service counts, for Prometheus."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

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
        self._requests: dict[tuple[str, int], Histogram] = {}
        self.decisions = Counter("dgpg_decisions", "By who decided", ("by",), registry=own)
        self._by = {who: self.decisions.labels(who) for who in ("policy", "rule")}
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

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        found = self._requests.get((path, status))
        if found is None:
            found = self._requests[path, status] = self.requests.labels(path, str(status))
        found.observe(seconds)

    def decided(self, seconds: float, count: int, reasons: Iterable[str], outside: int) -> None:
        """Count decisions: those of rules by their reasons, and how many were outside the training's range."""
        self.latency.observe(seconds)
        by_rule = Tally(reasons)
        for why, times in by_rule.items():
            self.fallbacks.labels(why).inc(times)
        ruled = by_rule.total()
        for who, times in (("rule", ruled), ("policy", count - ruled)):
            if times:
                self._by[who].inc(times)
        if outside:
            self.outside.inc(outside)

    def shadowed(self, same: bool, difference: float | None) -> None:
        """Count a decision that policy and rule were both asked for."""
        self.agreed.labels("yes" if same else "no").inc()
        if difference is not None:
            self.difference.inc(difference)

    def text(self) -> bytes:
        """In the format of Prometheus."""
        return generate_latest(self.registry)
