"""Pods, nodes and events of Kubernetes, as `kubectl get pods,nodes,events -A -o json` prints them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .objects import at, identity, items_of, listed, mapped, moment, moments
from .screen import Raw
from .text import count

PODS = ("id", "submit", "start", "end", "cpu", "memory_bytes", "gpu", "gpu_model")
NODES = ("id", "cpu", "memory_bytes", "gpu", "gpu_model")
MODEL_LABELS = (
    "nvidia.com/gpu.product", "amd.com/gpu.product-name", "cloud.google.com/gke-accelerator",
    "k8s.amazonaws.com/accelerator",
)  # fmt: skip
_SUFFIX = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip
_QUANTITY = re.compile(r"\+?((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([numkMGTPE]?|[KMGTPE]i)")
STARTED = ("Started", "Scheduled")
"""Reasons of events that say when a pod began, the better one first."""
ENDED = ("Killing", "Evicted", "Preempted")
"""Reasons of events that say when it ended, unless a container alone is killed."""
RESTARTS = "will be restarted"


def is_kubernetes(text: str) -> bool:
    """Tell whether the text is JSON."""
    return text.lstrip().startswith("{")


def pods(path: Path, text: str) -> tuple[Raw, tuple[str, ...]]:
    """Return the pods as rows of a plain table, numbered as they stand in the file, and notes.

    A pod runs from its status' startTime to the last finishedAt of its containers. Where a status lacks one, the pod's
    events say it: Started, or else Scheduled; Killing, or an eviction. One that still runs is cut at the last time in
    the file. It asks for what kube-scheduler counts, see `_request`.
    """
    found = items_of(path, text)
    items, last = found.of("Pod"), found.last
    told = {who: _times(events) for who, events in found.events().items()}
    cells, running, seen = [], 0, set[str]()
    for _, item in items:
        names = (identity(mapped(item, "metadata")), _name(item))
        seen.update(names)
        start, end = _ran(item, next((told[name] for name in names if name in told), ("", "")), last)
        if not end and at(item, "status", "phase") in ("Running", "Unknown"):
            end, running = last, running + 1
        cells.append(_pod(item, start, end))
    notes = []
    others = {name for _, item in items for one in _containers(item) for name in mapped(one, "resources", "requests")}
    if left := sorted(name for name in others if name not in ("cpu", "memory") and not name.endswith("/gpu")):
        notes.append(f"requests that are not simulated: {', '.join(left)}")
    if running:
        notes.append(f"{count(running, 'pod')} still running: cut short at the last time in the file, {last}")
    if gone := len(told.keys() - seen):
        notes.append(f"{count(gone, 'pod')} in events alone, whose requests are not known: skipped")
    return Raw(path, PODS, cells, [number for number, _ in items]), tuple(notes)


def _ran(item: dict[str, Any], told: tuple[str, str], last: str) -> tuple[str, str]:
    """Return start and end of a pod, from its status or else from what events `told`; blank where neither says it.

    One that was deleted before the `last` time in the file, as a watch shows it, ended with its deletion at the latest.
    """
    status = mapped(item, "status")
    ends = [moment(at(one, "state", "terminated", "finishedAt")) for one in listed(status, "containerStatuses")]
    over = at(status, "phase") in ("Succeeded", "Failed") or all(ends)
    deleted = moment(at(item, "metadata", "deletionTimestamp"))
    end = (max(ends, default="") if over else "") or told[1] or (deleted if deleted <= last else "")
    return moment(at(status, "startTime")) or told[0], end


def _times(events: Iterable[dict[str, Any]]) -> tuple[str, str]:
    """Return when a pod began and when it ended, of its events; blank where they do not say it."""
    by_reason: dict[str, list[str]] = {}
    for event in events:
        if RESTARTS in str(at(event, "message") or at(event, "note")):
            continue
        by_reason.setdefault(str(at(event, "reason")), []).extend(moments(event))
    starts = [min(by_reason[reason]) for reason in STARTED if by_reason.get(reason)]
    ends = [max(by_reason[reason]) for reason in ENDED if by_reason.get(reason)]
    return next(iter(starts), ""), max(ends, default="")


def nodes(path: Path, text: str) -> tuple[Raw, tuple[str, ...]]:
    """Return the nodes as rows of a plain table, and notes: what is allocatable, and the GPU model of a label.

    Of several kinds of GPU of a node the first counts.
    """
    found = items_of(path, text).of("Node")
    others = {name for _, item in found for name in _extended(_room(item))[1:]}
    notes = (f"resources of nodes that are not simulated: {', '.join(sorted(others))}",) if others else ()
    return Raw(path, NODES, [_node(item) for _, item in found], [number for number, _ in found]), notes


def _room(item: dict[str, Any]) -> dict[str, Any]:
    return mapped(item, "status", "allocatable") or mapped(item, "status", "capacity")


def _extended(room: dict[str, Any]) -> list[str]:
    """Names of extended resources that there are some of: first that of the GPUs that count, or "" for none."""
    some = [name for name in room if "/" in name and str(room[name]) not in ("", "0")]
    gpu = next((name for name in some if name.endswith("/gpu")), "")
    return [gpu, *(name for name in some if name != gpu)]


def _name(item: dict[str, Any]) -> str:
    return f"{at(item, 'metadata', 'namespace') or ''}/{at(item, 'metadata', 'name') or ''}"


def _pod(item: dict[str, Any], start: str, end: str) -> list[str]:
    model = next((str(value) for label in MODEL_LABELS if (value := at(item, "spec", "nodeSelector", label))), "")
    asked = [_request(item, name) for name in ("cpu", "memory")]
    came = moment(at(item, "metadata", "creationTimestamp"))
    return [identity(mapped(item, "metadata")), came, start, end, *asked, _gpu(item), model]


def _node(item: dict[str, Any]) -> list[str]:
    room = _room(item)
    kind = _extended(room)[0]
    gpu, vendor = str(room.get(kind, "")), kind.removesuffix(".com/gpu")
    model = next((str(value) for label in MODEL_LABELS if (value := at(item, "metadata", "labels", label))), vendor)
    return [
        str(at(item, "metadata", "name") or ""),
        quantity(str(room.get("cpu", ""))), quantity(str(room.get("memory", ""))), gpu, model,
    ]  # fmt: skip


def quantity(text: str) -> str:
    """Return a resource quantity as a number; text that is none as it is.

    >>> quantity("500m"), quantity("1Gi"), quantity("2"), quantity("much")
    ('0.5', '1073741824.0', '2.0', 'much')
    """
    found = _QUANTITY.fullmatch(text.strip())
    return text if found is None else repr(float(found[1]) * _SUFFIX[found[2]])


def _containers(item: dict[str, Any]) -> list[Any]:
    return [one for kind in ("containers", "initContainers") for one in listed(item, "spec", kind)]


def _gpu(item: dict[str, Any]) -> str:
    asked = [mapped(container, "resources", "requests") for container in _containers(item)]
    names = {name for requests in asked for name in requests if name.endswith("/gpu")}
    return _request(item, min(names)) if names else ""


def _request(item: dict[str, Any], resource: str) -> str:
    """Return what a pod asks for; blank if nothing says, the text of a request that is no quantity.

    As kube-scheduler counts it: containers are added up, and sidecars, init containers that are always restarted; an
    init container runs beside the sidecars before it, and the largest counts. What the pod asks for as a whole replaces
    that; its overhead comes on top.
    """
    said: list[str] = []

    def amount(part: Any, *keys: str) -> float:
        asked = at(part, *keys, resource)
        if asked is None:
            return 0.0
        said.append(quantity(str(asked)))
        return float(said[-1]) if _QUANTITY.fullmatch(str(asked).strip()) else 0.0

    spec = mapped(item, "spec")
    side_by_side = sum(amount(one, "resources", "requests") for one in listed(spec, "containers"))
    sidecars = largest = 0.0
    for one in listed(spec, "initContainers"):
        own = amount(one, "resources", "requests")
        if at(one, "restartPolicy") == "Always":
            side_by_side, sidecars = side_by_side + own, sidecars + own
        else:
            largest = max(largest, sidecars + own)
    found = max(side_by_side, largest)
    if at(spec, "resources", "requests", resource) is not None:
        found = amount(spec, "resources", "requests")
    found += amount(spec, "overhead")
    wrong = next((text for text in said if not _is_number(text)), None)
    return wrong if wrong is not None else repr(found) if said else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
