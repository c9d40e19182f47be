"""`extender.py right`: calls under load while exports are swapped and the API server fails."""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import emit
from extending import Served, asked, body, exported, pods_on, whole_node

from dgpg.deploy import Policy
from dgpg_cloud.kubernetes.extender import seen
from dgpg_cloud.kubernetes.levels import levels
from dgpg_cloud.kubernetes.settings import Settings

CLIENTS = 2
SWAP_S, FAULT_S = 3.0, 2.0
NOW = 1_000_000.0
"""The service's clock stands still, so that the same is right from the first call to the last."""


def right(args: argparse.Namespace, folder: Path) -> None:
    """How many calls were answered by whom, and how many wrongly or not at all."""
    first, second = exported(folder / "a", 0), exported(folder / "b", 1)
    names = [f"node-{k:05d}" for k in range(300)]
    live = Path(shutil.copytree(first, folder / "live"))
    settings = Settings(stale_s=0.4)
    with Served(live, settings, clock=lambda: NOW) as served:
        for name in names:
            served.api.put("nodes", whole_node(name, 0))
        for pod in pods_on(names, 3000):
            served.api.put("pods", pod)
        served.caught_up()
        known = expected(served, names, (first, second))
        end, found = time.monotonic() + args.seconds, Counter[str]()
        threads = [
            threading.Thread(target=calls, args=(served, names, n, known, end, found)) for n in range(CLIENTS)
        ] + [
            threading.Thread(target=every, args=(SWAP_S, end, swaps(live, first, second))),
            threading.Thread(target=every, args=(FAULT_S, end, faults(served))),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        registry = served.service.metrics.registry
        by = {name: int(registry.get_sample_value(*what) or 0) for name, what in COUNTED.items()}
        relists = {one.kind: one.relists for one in served.watcher.reflectors}
    emit({"what": "load with swaps and a failing API server", "seconds": args.seconds, **found,
          "wrong": found["wrong"], "lost": found["lost"], **by, "relists": relists})  # fmt: skip


COUNTED: dict[str, tuple[str, dict[str, str]]] = {
    "by policy": ("dgpg_decisions_total", {"by": "policy"}),
    "by rule": ("dgpg_decisions_total", {"by": "rule"}),
    "swaps": ("dgpg_swaps_total", {"outcome": "done"}),
}


def expected(served: Served, names: list[str], exports: tuple[Path, ...]) -> dict[str, list[int]]:
    """The answers that may be right: of each export and of the rule, on this cluster, which does not change."""
    placement, view = served.service.current.adapter, served.extender.cluster.view(asked("new"), names)
    rows = seen(placement.scales, view, served.extender.cluster.settings.step_s)  # type: ignore[union-attr]
    found = {path.parent.name: levels(Policy.load(path).log_probability(**rows)).tolist() for path in exports}
    batch = {name: np.asarray(x)[None] for name, x in rows.items()}
    found["rule"] = levels(placement.rules["least-requested"](batch)[0]).tolist()  # type: ignore[union-attr]
    assert len({tuple(x) for x in found.values()}) == 3, "exports and rule must differ, or nothing is shown"
    return found


def calls(
    served: Served, names: list[str], number: int, known: dict[str, list[int]], end: float, found: Counter[str]
) -> None:
    """One client: the same pod again and again, so that what was advised before does not count."""
    line = http.client.HTTPConnection("127.0.0.1", served.port, timeout=5)
    content = body(asked("new"), names)
    while time.monotonic() < end:
        found["calls"] += 1
        try:
            line.request("POST", "/prioritize", content, {"Content-Type": "application/json"})
            answer = line.getresponse()
            told = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            found["lost"] += 1
            line.close()
            continue
        fits = answer.status == 200 and [one["Host"] for one in told] == names
        scores = [one["Score"] for one in told] if fits else []
        by = next((name for name, x in known.items() if x == scores), "wrong")
        found[by if by == "wrong" else f"like {by}"] += 1
        time.sleep(0.01)


def every(seconds: float, end: float, actions: Iterator[Callable[[], Any]]) -> None:
    """One action after the other, until the end."""
    while time.monotonic() + seconds < end:
        time.sleep(seconds)
        next(actions)()


def swaps(live: Path, first: Path, second: Path) -> Iterator[Callable[[], Any]]:
    """The other export in the folder, the policy last, as `dgpg export` does."""
    for source in itertools.cycle((second, first)):

        def swap(source: Path = source) -> None:
            for name in ("policy.json", "policy.onnx"):
                partial = live / f".{name}.partial"
                partial.write_bytes((source / name).read_bytes())
                partial.replace(live / name)

        yield swap


def faults(served: Served) -> Iterator[Callable[[], Any]]:
    """Ways in which a watch ends; the cluster is the same afterwards."""
    api, (nodes, pods) = served.api, served.watcher.reflectors

    def away() -> None:
        api.down()
        time.sleep(1.5)
        api.up()

    def too_late() -> None:
        with api.changed:  # whoever comes back asks for what is forgotten: 410 Gone
            api.drop()
            api.compact()

    yield from itertools.cycle((api.drop, too_late, away, pods.stop, lambda: api.refuse(500, 429), nodes.stop))
