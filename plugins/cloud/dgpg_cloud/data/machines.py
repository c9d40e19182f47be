"""Load a machine table of any known format."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from dgpg.files import Rows, csv_rows, read_text

from . import ec2, openb
from .ec2 import EC2_DEFAULT
from .tables import MachineTable
from .text import csv_format

__all__ = ["EC2_DEFAULT", "load_machines"]

_COLUMNS = {"openb node list (CSV)": openb.NODE_COLUMNS, "EC2 catalogue (CSV)": ec2.COLUMNS}
_LOADERS: dict[str, Callable[[Rows], MachineTable]] = {
    "openb node list (CSV)": openb.openb_machines,
    "EC2 catalogue (CSV)": ec2.ec2_machines,
}


def load_machines(path: str | os.PathLike[str]) -> MachineTable:
    """Load machines from a CSV file, plain or gzip; its header tells the format.

    Known are the node list of the Alibaba GPU trace (`openb_node_list*.csv`) and the EC2 catalogue. Raises
    `dgpg.errors.DataError` with the file, line and field of the first wrong value.
    """
    path = Path(path)
    text = read_text(path)
    return _LOADERS[csv_format(path, text, _COLUMNS)](csv_rows(path, text=text))
