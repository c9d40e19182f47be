"""Load a machine table of any known format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from dgpg.errors import DataError
from dgpg.files import Rows, read_text

from . import ec2, openb
from .ec2 import EC2_DEFAULT
from .screen import BadRows, csv_raw, screened
from .tables import MachineTable
from .text import csv_format

__all__ = ["EC2_DEFAULT", "load_machines"]

_COLUMNS = {"openb node list (CSV)": openb.NODE_COLUMNS, "EC2 catalogue (CSV)": ec2.COLUMNS}
_JOBS = {"openb pod list (CSV)": openb.POD_COLUMNS}
_LOADERS: Mapping[str, Callable[[Rows], MachineTable]] = {
    "openb node list (CSV)": openb.openb_machines,
    "EC2 catalogue (CSV)": ec2.ec2_machines,
}


def load_machines(path: str | os.PathLike[str], bad_rows: BadRows = "refuse") -> MachineTable:
    """Load machines from a CSV file, plain or gzip; its header tells the format.

    Known are the node list of the Alibaba GPU trace (`openb_node_list*.csv`) and the EC2 catalogue. Columns
    `price` (USD per hour, 0 allowed) and `speed` (relative) are used where a file has them.

    Args:
        path: the file.
        bad_rows: what becomes of rows that are wrong: refused, or left out with a note.

    Raises:
        DataError: with the file, line and field of the first wrong value, and every fault counted.
    """
    path = Path(path)
    text = read_text(path)
    name = csv_format(path, text, {**_COLUMNS, **_JOBS}, _COLUMNS)
    if name in _JOBS:
        raise DataError(f"{path}: found jobs ({name}), expected machines: name this file in workload.trace")
    return screened(csv_raw(path, text), _LOADERS[name], bad_rows, "machines.bad_rows")
