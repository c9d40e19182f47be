"""Pods and nodes as the API has them."""

import time
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]


def node(name: str, cpu: str = "8", memory: str = "32Gi", **more: Any) -> Object:
    room = {"cpu": cpu, "memory": memory, "pods": "110", **more.pop("room", {})}
    return {"metadata": {"name": name, **more}, "status": {"allocatable": room}}


def container(name: str = "main", cpu: str | None = None, memory: str | None = None, **more: Any) -> Object:
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    return {"name": name, "resources": {"requests": requests | more.pop("requests", {})}, **more}


def pod(
    name: str,
    on: str | None = None,
    cpu: str = "1",
    memory: str = "1Gi",
    phase: str = "Pending",
    spec: Object | None = None,
    status: Object | None = None,
    **more: Any,
) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", **more},
        "spec": {"containers": [container(cpu=cpu, memory=memory)], **({"nodeName": on} if on else {}), **(spec or {})},
        "status": {"phase": phase, **(status or {})},
    }


def eventually(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)
