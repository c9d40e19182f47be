"""What the parts of `extender.py` share: a service in this process, an API server for it, and what it is asked."""

from __future__ import annotations

import gc
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from kubernetes import client

from dgpg.export import export
from dgpg.runs import resolve, start
from dgpg.runs.training import train
from dgpg.serve import Log, Service, Settings, create
from dgpg.serve.process import configured
from dgpg_cloud.kubernetes.extender import extending
from dgpg_cloud.kubernetes.reflector import Backoff
from dgpg_cloud.kubernetes.settings import Settings as ClusterSettings
from dgpg_cloud.kubernetes.web import routes

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins" / "cloud" / "tests" / "kubernetes"))
from api_server import ApiServer  # that of the tests

NODES = 1200
Object = dict[str, Any]
EASY = 1e9
"""Ranges beyond which the rule decides: what is measured here is the policy."""


def exported(folder: Path, seed: int = 0, settings: Mapping[str, Any] | None = None) -> Path:
    """An export of the cloud domain, trained briefly: what is measured does not depend on its skill."""
    plan = resolve(
        "cloud",
        {"iterations": 2, "seed": seed, "device": "cpu", "train": {"threads": 1}, "settings": dict(settings or {})},
    )
    trainer, run = start(plan, folder / "run")
    train(trainer, run, None, lambda metrics: None)
    export(run.path, folder / "out", decisions=500)
    return folder / "out"


class Served:
    """The service in a thread of this process, beside an API server that it watches.

    Attributes:
        api: the API server.
        port: of the service.
    """

    def __init__(
        self, folder: Path, settings: ClusterSettings | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.api = ApiServer(bookmark_s=0.5)
        self.api.up()
        self.service = Service(folder, Settings(far=EASY, max_bytes=1 << 26, watch_s=0.2), Log(io.StringIO()))
        api = client.CoreV1Api(client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{self.api.port}")))
        self.extender, self.watcher = extending(self.service, settings or ClusterSettings(), api, Backoff(0.05, 0.5))
        self.extender.cluster.clock = clock
        app = create(self.service, [routes(self.extender, self.watcher)])
        self._server = uvicorn.Server(configured(app, self.service.settings))
        self._server.config.port = 0
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Served:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.port = int(self._server.servers[0].sockets[0].getsockname()[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=20)
        self.api.down()

    def caught_up(self) -> None:
        """Wait until the service knows of all that the API server was told."""
        for reflector in self.watcher.reflectors:
            events = self.api.events[reflector.kind]
            while events and int(reflector.version or 0) < events[-1][0]:
                time.sleep(0.0005)

    def settle(self) -> None:
        """The API server's objects are in this process for the benchmark alone: no garbage of the service."""
        self.caught_up()
        gc.collect()
        gc.freeze()


def body(pod: Object | None = None, names: Sequence[str] | None = None, nodes: Sequence[Object] | None = None) -> bytes:
    """`ExtenderArgs` as Go writes them."""
    listed = None if nodes is None else {"metadata": {}, "items": list(nodes)}
    told = {"Pod": pod or asked("new"), "Nodes": listed, "NodeNames": None if names is None else list(names)}
    return json.dumps(told, separators=(",", ":")).encode()


def asked(name: str, requests: Mapping[str, str] | None = None, on: str | None = None, **metadata: Any) -> Object:
    """A pod."""
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", **metadata},
        "spec": {
            "containers": [{"name": "main", "resources": {"requests": requests or {"cpu": "500m", "memory": "1Gi"}}}],
            **({"nodeName": on} if on else {}),
        },
        "status": {"phase": "Running" if on else "Pending"},
    }


def pods_on(names: Sequence[str], count: int) -> Iterator[Object]:
    """Pods spread unevenly over nodes."""
    for k in range(count):
        cpu, gib = 100 + 50 * (k % 7), 1 + k % 3
        yield asked(f"pod-{k}", {"cpu": f"{cpu}m", "memory": f"{gib}Gi"}, names[(k * k + k // 3) % len(names)])


def whole_node(name: str, images: int) -> Object:
    """A node with what kubelets and cloud providers write into it."""
    number = int(name.rpartition("-")[2])
    room = {"cpu": str(8 + number % 3 * 8), "memory": f"{32 + number % 3 * 32}Gi", "pods": "110"}
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready", "NetworkUnavailable")
    at = "2026-01-01T00:00:00Z"
    return {
        "metadata": {
            "name": name,
            "uid": f"00000000-0000-4000-8000-{number:012d}",
            "creationTimestamp": at,
            "labels": {f"topology.example.com/label-{k}": f"value-{k}" for k in range(20)},
            "annotations": {f"provider.example.com/annotation-{k}": f"some longer value {k}" for k in range(8)},
        },
        "spec": {"podCIDR": "10.0.0.0/24", "providerID": f"provider:///zone/i-{number:012d}"},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [
                {"type": kind, "status": "False", "lastHeartbeatTime": at, "lastTransitionTime": at, "reason": kind,
                 "message": "kubelet has what it needs"} for kind in kinds
            ],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": name}],
            "nodeInfo": {"machineID": "0" * 32, "systemUUID": "0" * 36, "kubeletVersion": "v1.35.0",
                         "operatingSystem": "linux", "architecture": "amd64"},
            "images": [
                {"names": [f"registry.example.com/app-{k}@sha256:{'a' * 64}", f"registry.example.com/app-{k}:1.0"],
                 "sizeBytes": 10**8 + k} for k in range(images)
            ],
        },
    }  # fmt: skip
