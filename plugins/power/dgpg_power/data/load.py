"""Load a network by the path of a file or by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from dgpg.errors import DataError, unknown
from dgpg_power.network import Network

from .build import to_network
from .builtin import NAMES, read_builtin
from .case import Case
from .matpower import read_matpower
from .synthetic import FEWEST, synthetic

_SYNTHETIC = re.compile(r"synthetic-([1-9]\d{0,5})")


def load_network(name_or_path: str, also: Iterable[str] = ()) -> Network:
    """Load a network: a MATPOWER `.m` file, a case of PYPOWER by name, or `synthetic-N`, a generated grid of N units.

    `also` are names that the caller knows beside these, for the message.

    Raises:
        DataError: the name is unknown, or a file is missing, malformed or not a usable grid.
    """
    if match := _SYNTHETIC.fullmatch(name_or_path):
        return synthetic(int(match.group(1)))
    return to_network(load_case(name_or_path, also))


def load_case(name_or_path: str, also: Iterable[str] = ()) -> Case:
    """The source of a network, as it is; a generated grid has none.

    Raises:
        DataError: the name is unknown, or a file is missing or malformed.
    """
    if name_or_path in NAMES:
        return read_builtin(name_or_path)
    path = Path(name_or_path)
    if path.suffix == ".m" or path.exists():
        return read_matpower(path)
    if name_or_path.startswith("synthetic"):
        raise DataError(
            f"network '{name_or_path}': expected synthetic-N, N units, {FEWEST} <= N < 10^6, such as synthetic-100"
        )
    names = unknown("network", name_or_path, (*NAMES, *also, "synthetic-100"))
    raise DataError(f"{names}; or the path of a MATPOWER file, '.m'")
