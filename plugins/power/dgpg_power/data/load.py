"""Load a network by the path of a file or by name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dgpg.errors import DataError, unknown
from dgpg_power.config import Flow
from dgpg_power.network import Network

from .build import to_network
from .builtin import NAMES, read_builtin
from .case import Case
from .islands import island
from .matpower import read_matpower
from .synthetic import FEWEST, synthetic

_SYNTHETIC = re.compile(r"synthetic-([1-9]\d{0,5})")


def load_network(
    name_or_path: str, also: Iterable[str] = (), flow: Flow | None = None, bus: int | None = None
) -> Network:
    """Load a network: a MATPOWER `.m` file, a case of PYPOWER by name, or `synthetic-N`, a generated grid of N units.

    `also` are names that the caller knows beside these, for the message; `flow` is the convention of the DC
    approximation, the source's own if None. A generated grid has that of PGLib. Of a case with several islands the one
    that holds `bus`, by its number, is taken; a generated grid is one.

    Raises:
        DataError: the name is unknown, or a file is missing, malformed or not a usable grid.
    """
    if match := _SYNTHETIC.fullmatch(name_or_path):
        return synthetic(int(match.group(1)))
    return to_network(load_case(name_or_path, also, flow, bus))


def load_case(name_or_path: str, also: Iterable[str] = (), flow: Flow | None = None, bus: int | None = None) -> Case:
    """The source of a network, as it is; a generated grid has none. Arguments are those of `load_network`.

    Raises:
        DataError: the name is unknown, or a file is missing or malformed.
    """
    path = Path(name_or_path)
    if name_or_path in NAMES or path.suffix == ".m" or path.exists():
        case = read_builtin(name_or_path) if name_or_path in NAMES else read_matpower(path)
        case = replace(case, flow=flow or case.flow)
        return case if bus is None else island(case, bus)
    if name_or_path.startswith("synthetic"):
        raise DataError(
            f"network '{name_or_path}': expected synthetic-N, N units, {FEWEST} <= N < 10^6, such as synthetic-100"
        )
    names = unknown("network", name_or_path, (*NAMES, *also, "synthetic-100"))
    raise DataError(f"{names}; or the path of a MATPOWER file, '.m'")
