"""Load a machine table of any known format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from dgpg.files import Rows, read_text

from . import ec2, kubernetes, openb
from .columns import Units
from .ec2 import EC2_DEFAULT
from .formats import PLAIN, machine_format
from .kubernetes import is_kubernetes
from .packing import is_packing, packing_machines
from .parquet import is_parquet, parquet_raw
from .plain import plain_machines
from .screen import BadRows, Raw, csv_raw, screened
from .tables import MachineTable

__all__ = ["EC2_DEFAULT", "load_machines"]

Reader: TypeAlias = Callable[[Rows], MachineTable]
SETTING = "machines.bad_rows"
_LOADERS: Mapping[str, Reader] = {
    "openb node list (CSV)": openb.openb_machines,
    "EC2 catalogue (CSV)": ec2.ec2_machines,
}


def load_machines(
    path: str | os.PathLike[str], bad_rows: BadRows = "refuse", units: Units | None = None
) -> MachineTable:
    """Load machines from a file, gzip or not; its content tells the format.

    Known are a plain table (cpu, memory, gpus, model, price, speed, count), the node list of the Alibaba GPU
    trace (`openb_node_list*.csv`) and the EC2 catalogue, each as CSV or Parquet; `kubectl get nodes -o json` of
    Kubernetes; and the machine types of the Azure Traces for Packing 2020 (SQLite). Columns `price` (USD per hour,
    0 allowed) and `speed` (relative) are used wherever a table has them.

    Args:
        path: the file.
        bad_rows: what becomes of rows that are wrong: refused, or left out with a note.
        units: of columns of a plain table whose names do not say them.

    Raises:
        DataError: with the file, line and field of the first wrong value, and every fault counted.
    """
    path, units = Path(path), units or Units()
    if is_packing(path):
        return packing_machines(path)
    if is_parquet(path):
        return screened(*_table(parquet_raw(path), units), bad_rows, SETTING)
    text = read_text(path)
    if is_kubernetes(text):
        raw, notes = kubernetes.nodes(path, text)
        table = screened(raw, lambda rows: plain_machines(rows, Units()), bad_rows, SETTING)
        return replace(table, notes=table.notes + notes)
    return screened(*_table(csv_raw(path, text), units), bad_rows, SETTING)


def _table(raw: Raw, units: Units) -> tuple[Raw, Reader]:
    """Return the rows of a table with a header, and what reads them."""
    name = machine_format(raw.path, raw.header)
    return raw.lower(), (lambda rows: plain_machines(rows, units)) if name == PLAIN else _LOADERS[name]
