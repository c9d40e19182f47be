"""Nodes of a cluster: what each has, costs and how fast it is."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from dgpg_cloud.kubernetes.amounts import Amounts, Object, allocatable
from dgpg_cloud.kubernetes.settings import PRICE, SPEED, Settings, annotated
from dgpg_cloud.kubernetes.tables import Table
from dgpg_cloud.rates import estimate

MODEL_LABELS = (
    "nvidia.com/gpu.product",
    "amd.com/gpu.product-name",
    "cloud.google.com/gke-accelerator",
    "k8s.amazonaws.com/accelerator",
)


class Nodes:
    """A row a node. A pod may be heard of before its node, and outlive it: then the row is there, but not `known`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        nothing = np.zeros(4, np.int64)
        self.table: Table[str] = Table(amounts=nothing, held=nothing, price=0.0, speed=1.0, known=False)
        self._names: dict[int, str] = {}

    @property
    def count(self) -> int:
        """Nodes that are known."""
        return int(np.count_nonzero(self.table.columns["known"]))

    def put(self, node: Object, now: float) -> None:
        """As the API server has it."""
        amounts = allocatable(node, self.settings.gpus)
        price, speed = annotated(node, PRICE), annotated(node, SPEED) or 1.0
        self.table.put(
            name_of(node),
            amounts=amounts,
            price=_estimated(node, amounts) if price is None else price,
            speed=speed,
            known=True,
        )

    def drop(self, node: Object) -> None:
        """It is gone; its row stays while pods are on it."""
        name = name_of(node)
        if name in self.table:
            self.table.put(name, known=False, amounts=np.zeros(4, np.int64))
            self._clear(name)

    def forget_all_but(self, nodes: Collection[Object]) -> None:
        """Those that are not among these are gone."""
        there = {name_of(node) for node in nodes}
        for name in [name for name in self.table.rows if name not in there]:
            self.drop({"metadata": {"name": name}})

    def take(self, name: str, amounts: Amounts) -> int:
        """A pod holds so much of a node; the row of the node."""
        row = self.table.row(name)
        self.table.columns["held"][row] += amounts
        self._names[row] = name
        return row

    def give(self, row: int, amounts: Amounts) -> None:
        """It holds that no more."""
        self.table.columns["held"][row] -= amounts
        self._clear(self._names[row])

    def _clear(self, name: str) -> None:
        """Forget a node that is gone when nothing is on it."""
        row, columns = self.table.row(name), self.table.columns
        if not columns["known"][row] and not columns["held"][row].any():
            self.table.drop(name)
            self._names.pop(row, None)


def name_of(node: Object) -> str:
    """Its name, which is its identity."""
    return str((node.get("metadata") or {}).get("name", ""))


def _estimated(node: Object, amounts: Amounts) -> float:
    """USD per hour by its size and the model of its GPUs."""
    labels = (node.get("metadata") or {}).get("labels") or {}
    model = next((str(labels[name]) for name in MODEL_LABELS if name in labels), "")
    return float(estimate(amounts[0] / 1e3, amounts[1] / 2**30, amounts[2] / 1e3, (model,))[0])
