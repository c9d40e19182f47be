"""What pods ask for and nodes have, in whole numbers, as kube-scheduler counts them.

Amounts are `[4]` int64: milli-vCPU, bytes, milli-GPU and pods. Objects are the API's JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import ceil
from typing import Any, Literal, TypeAlias

import numpy as np
from kubernetes.utils.quantity import parse_quantity
from numpy.typing import NDArray

Amounts: TypeAlias = NDArray[np.int64]
Object: TypeAlias = Mapping[str, Any]
Reading: TypeAlias = Literal["asked", "allocated", "actuated"]

SCALES = {"cpu": (0, 1000), "memory": (1, 1), "pods": (3, 1)}
"""Column of a resource, and whole numbers in one unit of it."""
GPUS = {"nvidia.com/gpu": 1000, "amd.com/gpu": 1000, "gpu.intel.com/i915": 1000}
"""Milli-GPU in one of an extended resource."""
UNITS = np.array([1e3, 2.0**30, 1e3])
"""Whole numbers in a vCPU, a GiB and a GPU."""
STATUSES = ("containerStatuses", "initContainerStatuses")
POD_LEVEL = ("cpu", "memory")
"""What a pod may ask for as a whole (`spec.resources`)."""


@lru_cache(maxsize=65_536)
def whole(quantity: str | int | float, scale: int) -> int:
    """A Kubernetes quantity times a scale, rounded up as its own code does.

    >>> whole("1500u", 1000), whole("1Gi", 1), whole("2", 1000)
    (2, 1073741824, 2000)
    """
    found: int = ceil(parse_quantity(quantity) * scale)
    return found


def amounts(listed: Mapping[str, Any] | None, gpus: Mapping[str, int]) -> Amounts:
    """A resource list of Kubernetes; what it does not name is zero, kinds of GPU are added up."""
    found = np.zeros(4, np.int64)
    for name, quantity in (listed or {}).items():
        if name in SCALES:
            column, scale = SCALES[name]
            found[column] = whole(quantity, scale)
        elif name in gpus:
            found[2] += whole(quantity, gpus[name])
    return found


def allocatable(node: Object, gpus: Mapping[str, int]) -> Amounts:
    """What pods can have of a node."""
    return amounts((node.get("status") or {}).get("allocatable"), gpus)


def asked(pod: Object, gpus: Mapping[str, int]) -> Amounts:
    """What a pod holds of its node, or asks for before it has one.

    The formula of `PodRequests` in k8s.io/component-helpers/resource: containers that run side by side are added up,
    sidecars (init containers that are restarted always) too; an init container needs its own and that of the sidecars
    before it; the largest of both counts. Where the pod asks as a whole, that replaces it. Overhead comes on top. While
    a pod is resized in place, the largest of what it asks for, was allocated and has.
    """
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    told = {one["name"]: one for kind in STATUSES for one in status.get(kind) or ()}
    readings: Sequence[Reading] = ("asked", "allocated", "actuated") if told else ("asked",)
    if _infeasible(status):
        readings = ("allocated", "actuated")
    found: Amounts = np.max([_added(spec, told, reading, gpus) for reading in readings], axis=0)
    own = (spec.get("resources") or {}).get("requests") or {}
    as_whole = amounts(own, gpus)
    for name in POD_LEVEL:
        if name in own:
            found[SCALES[name][0]] = as_whole[SCALES[name][0]]
    found += amounts(spec.get("overhead"), gpus)
    found[3] = 1
    return found


def _added(spec: Object, told: Mapping[str, Object], reading: Reading, gpus: Mapping[str, int]) -> Amounts:
    """Of all containers, by one reading of each."""
    side_by_side = np.zeros(4, np.int64)
    for container in spec.get("containers") or ():
        side_by_side += _of(container, told, reading, gpus)
    sidecars, largest = np.zeros(4, np.int64), np.zeros(4, np.int64)
    for container in spec.get("initContainers") or ():
        own = _of(container, told, reading, gpus)
        if container.get("restartPolicy") == "Always":
            side_by_side += own
            sidecars += own
            own = np.zeros(4, np.int64)
        largest = np.maximum(largest, sidecars + own)
    return np.maximum(side_by_side, largest)


def _of(container: Object, told: Mapping[str, Object], reading: Reading, gpus: Mapping[str, int]) -> Amounts:
    """Of a container: what its spec asks for, what the kubelet allocated, or what it has, where that is told."""
    requests = (container.get("resources") or {}).get("requests")
    status = told.get(container["name"]) or {} if told else {}
    if reading != "asked":
        requests = status.get("allocatedResources") or requests
    if reading == "actuated":
        requests = (status.get("resources") or {}).get("requests") or requests
    return amounts(requests, gpus)


def _infeasible(status: Object) -> bool:
    """Was a resize refused for good?"""
    pending = [c for c in status.get("conditions") or () if c.get("type") == "PodResizePending"]
    return bool(pending) and pending[0].get("reason") == "Infeasible"
