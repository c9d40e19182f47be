"""Pods and nodes of Kubernetes, as `kubectl get pods,nodes -A -o json` prints them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dgpg.errors import DataError

from .screen import Raw
from .text import count

PODS = ("id", "submit", "start", "end", "cpu", "memory_bytes", "gpu", "gpu_model")
NODES = ("id", "cpu", "memory_bytes", "gpu", "gpu_model")
MODEL_LABELS = (
    "nvidia.com/gpu.product", "amd.com/gpu.product-name", "cloud.google.com/gke-accelerator",
    "k8s.amazonaws.com/accelerator",
)  # fmt: skip
_SUFFIX = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50,
}  # fmt: skip
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)([numkMGTP]?|[KMGTP]i)")


def is_kubernetes(text: str) -> bool:
    """Tell whether the text is JSON."""
    return text.lstrip().startswith("{")


def pods(path: Path, text: str) -> tuple[Raw, tuple[str, ...]]:
    """Return the pods as rows of a plain table, numbered as they stand in the file, and notes.

    A pod runs from its status' startTime to the last finishedAt of its containers; one that still runs is cut
    at the last time in the file. It asks for the sum of its containers' requests, or that of the largest init
    container.
    """
    items = _items(path, text, "Pod")
    last = max(re.findall(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"', text), default="")
    cells = [_pod(item, last) for _, item in items]
    running = sum(_at(item, "status", "phase") == "Running" for _, item in items)
    notes = (
        [f"{count(running, 'pod')} still running: cut short at the last time in the file, {last}"] if running else []
    )
    return Raw(path, PODS, cells, [number for number, _ in items]), tuple(notes)


def nodes(path: Path, text: str) -> Raw:
    """Return the nodes as rows of a plain table: what is allocatable, and the GPU model of a label."""
    return Raw(path, NODES, *_columns((number, _node(item)) for number, item in _items(path, text, "Node")))


def _columns(rows: Iterable[tuple[int, list[str]]]) -> tuple[list[list[str]], list[int]]:
    numbered = list(rows)
    return [cells for _, cells in numbered], [number for number, _ in numbered]


def _items(path: Path, text: str, kind: str) -> list[tuple[int, dict[str, Any]]]:
    """Return the objects of a kind, and their places in the list, from 1."""
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON ({error}): it may be truncated; write it again") from error
    listed = content.get("items", [content])
    objects = list(enumerate(listed if isinstance(listed, list) else [], start=1))
    found = [(n, item) for n, item in objects if isinstance(item, dict) and item.get("kind") == kind]
    if not found:
        kinds = sorted({str(item.get("kind")) for _, item in objects if isinstance(item, dict)})
        raise DataError(
            f"{path}: found no {kind} among {count(len(objects), 'object')} ({', '.join(kinds) or 'none'}), expected "
            f"some: write the file with kubectl get pods,nodes -A -o json"
        )
    return found


def _pod(item: dict[str, Any], last: str) -> list[str]:
    status = _map(item, "status")
    phase = _at(status, "phase")
    ends = [str(_at(state, "state", "terminated", "finishedAt") or "") for state in _list(status, "containerStatuses")]
    end = last if phase == "Running" else max(ends, default="") if phase in ("Succeeded", "Failed") else ""
    model = next((str(value) for label in MODEL_LABELS if (value := _at(item, "spec", "nodeSelector", label))), "")
    asked = [_request(item, name) for name in ("cpu", "memory")]
    name = f"{_at(item, 'metadata', 'namespace') or ''}/{_at(item, 'metadata', 'name') or ''}"
    start = str(_at(status, "startTime") or "")
    return [name, str(_at(item, "metadata", "creationTimestamp") or ""), start, str(end), *asked, _gpu(item), model]


def _node(item: dict[str, Any]) -> list[str]:
    room = _map(item, "status", "allocatable") or _map(item, "status", "capacity")
    gpu = next((str(room[name]) for name in room if name.endswith("/gpu")), "")
    vendor = next((name.removesuffix(".com/gpu") for name in room if name.endswith("/gpu")), "")
    model = next((str(value) for label in MODEL_LABELS if (value := _at(item, "metadata", "labels", label))), vendor)
    return [
        str(_at(item, "metadata", "name") or ""),
        quantity(str(room.get("cpu", ""))), quantity(str(room.get("memory", ""))), gpu, model,
    ]  # fmt: skip


def quantity(text: str) -> str:
    """Return a resource quantity as a number; text that is none as it is.

    >>> quantity("500m"), quantity("1Gi"), quantity("2"), quantity("much")
    ('0.5', '1073741824.0', '2.0', 'much')
    """
    found = _QUANTITY.fullmatch(text.strip())
    return text if found is None else repr(float(found[1]) * _SUFFIX[found[2]])


def _gpu(item: dict[str, Any]) -> str:
    asked = [_map(container, "resources", "requests") for container in _list(item, "spec", "containers")]
    names = {name for requests in asked for name in requests if name.endswith("/gpu")}
    return _request(item, min(names)) if names else ""


def _request(item: dict[str, Any], resource: str) -> str:
    """Return what a pod asks for; blank if no container says, the text of a request that is no quantity."""
    parts = [
        [quantity(str(asked)) for part in _list(item, "spec", kind)
         if (asked := _at(part, "resources", "requests", resource)) is not None]
        for kind in ("containers", "initContainers")
    ]  # fmt: skip
    try:
        main, first = ([float(part) for part in each] for each in parts)
    except ValueError:
        return next(part for each in parts for part in each if _QUANTITY.fullmatch(part) is None)
    return repr(max(sum(main), max(first, default=0.0))) if main or first else ""


def _at(item: Any, *keys: str) -> Any:
    """Return what lies under the keys, None where one is missing."""
    for key in keys:
        item = item.get(key) if isinstance(item, dict) else None
    return item


def _map(item: Any, *keys: str) -> dict[str, Any]:
    found = _at(item, *keys)
    return found if isinstance(found, dict) else {}


def _list(item: Any, *keys: str) -> list[Any]:
    found = _at(item, *keys)
    return found if isinstance(found, list) else []
