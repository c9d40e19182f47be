"""Load a machine table of any known format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from dgpg.files import Rows, read_text

from . import ec2, openb
from .columns import Units
from .ec2 import EC2_DEFAULT
from .formats import PLAIN, machine_format
from .plain import plain_machines
from .screen import BadRows, csv_raw, screened
from .tables import MachineTable
from .text import csv_header

__all__ = ["EC2_DEFAULT", "load_machines"]

_LOADERS: Mapping[str, Callable[[Rows], MachineTable]] = {
    "openb node list (CSV)": openb.openb_machines,
    "EC2 catalogue (CSV)": ec2.ec2_machines,
}


def load_machines(
    path: str | os.PathLike[str], bad_rows: BadRows = "refuse", units: Units | None = None
) -> MachineTable:
    """Load machines from a CSV file, plain or gzip; its header tells the format.

    Known are a plain table (cpu, memory, gpus, model, price, speed, count), the node list of the Alibaba GPU
    trace (`openb_node_list*.csv`) and the EC2 catalogue. Columns `price` (USD per hour, 0 allowed) and `speed`
    (relative) are used wherever a file has them.

    Args:
        path: the file.
        bad_rows: what becomes of rows that are wrong: refused, or left out with a note.
        units: of columns of a plain table whose names do not say them.

    Raises:
        DataError: with the file, line and field of the first wrong value, and every fault counted.
    """
    path = Path(path)
    text = read_text(path)
    name = machine_format(path, csv_header(text))
    raw = csv_raw(path, text, any_case=name == PLAIN)
    if name == PLAIN:
        return screened(raw, lambda rows: plain_machines(rows, units or Units()), bad_rows, "machines.bad_rows")
    return screened(raw, _LOADERS[name], bad_rows, "machines.bad_rows")
