"""A log of operation: what each bus drew and each unit gave at some moments, and perhaps what energy was worth."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgpg.errors import DataError, unknown
from dgpg.files import Rows, csv_rows
from dgpg_power.network import FloatArray, Network

from .series import numbers

LEAST = 3
"""Moments that a log must have."""
TIMES = ("time", "timestamp", "datetime", "date", "hour")
"""Columns that a log may have beside its numbers; each moment counts by itself, in whatever order."""
LOOSE = 0.01
"""Share of its range that an output may lie beyond its limits, and of the load that outputs may miss it by tenfold."""


@dataclass(frozen=True, eq=False)
class Moments:
    """T moments of a network in its order of buses and units."""

    load: FloatArray
    """MW, `[T, nb]`; 0 at buses that have no load in the network."""
    output: FloatArray
    """MW, `[T, N]`."""
    price: FloatArray | None
    """What one more MWh of demand costs, $ per MWh, `[T]`; None if the log does not say."""


def read_moments(path: Path, network: Network) -> Moments:
    """Read a CSV file with columns `load_<bus number>`, `output_<unit>` and, if known, `price`; `TIMES` are skipped.

    Raises:
        DataError: a column is missing, unknown or there twice, or a cell is not a number that the network can have.
    """
    loaded = np.flatnonzero(network.load)
    loads = tuple(f"load_{network.bus_number[b]}" for b in loaded)
    outputs = tuple(f"output_{name}" for name in network.unit_name)
    rows = csv_rows(path)
    _check_header(f"{path}:1", rows.header, network.name, loads, outputs)
    if len(rows) < LEAST:
        found = "1 moment" if len(rows) == 1 else f"{len(rows)} moments"
        raise DataError(f"{path}: found {found}, expected at least {LEAST}, better hundreds: log more")
    load, output = np.zeros((len(rows), network.num_buses)), numbers(rows, outputs)
    load[:, loaded] = numbers(rows, loads)
    for column, b in zip(loads, loaded, strict=True):
        if network.load[b] > 0:
            rows.check(load[:, b] >= 0, column, "a load of at least 0 MW")
    _check_outputs(rows, network, outputs, load, output)
    return Moments(load, output, numbers(rows, ("price",))[:, 0] if "price" in rows.header else None)


def _check_header(
    where: str, header: tuple[str, ...], network: str, loads: tuple[str, ...], outputs: tuple[str, ...]
) -> None:
    """Every column is there, once, and no other but the price."""
    known = (*loads, *outputs, "price")
    if not set(loads) & set(header):
        wanted = ", ".join(loads[:4]) + (" ..." if len(loads) > 4 else "")
        if len(header) == 1 and (divider := next((mark for mark in ";\t|" if mark in header[0]), "")):
            raise DataError(
                f"{where}: one column alone, expected {wanted}: divide columns by commas, not by {divider!r}"
            )
        raise DataError(f"{where}: no column is a load of {network}, expected {wanted}: the log is of another network?")
    missing, strange = (
        [n for n in a if n not in b] for a, b in (((*loads, *outputs), header), (header, (*known, *TIMES)))
    )
    if missing and strange:
        near = difflib.get_close_matches(missing[0], strange, n=1, cutoff=0.0)[0]
        expected = "expected load_BUS for every bus with a load and output_UNIT for every unit"
        raise DataError(f"{where}: no column {missing[0]}; {near} is not known, {expected}: rename or add columns")
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise DataError(f"{where}: no column {missing[0]}{more}, expected one a load and one a unit: add it")
    if strange:
        raise DataError(f"{where}: {unknown('column', strange[0], known)}")
    for at, name in enumerate(header):
        if name in header[:at]:
            raise DataError(f"{where}: column {name} occurs twice, expected distinct names: remove one")


def _check_outputs(
    rows: Rows, network: Network, columns: tuple[str, ...], load: FloatArray, output: FloatArray
) -> None:
    """Outputs lie within the units' limits and add up to the load, losses apart."""
    room = LOOSE * np.maximum(network.unit_max - network.unit_min, 1.0)
    for n, column in enumerate(columns):
        low, high = network.unit_min[n], network.unit_max[n]
        good = (output[:, n] >= low - room[n]) & (output[:, n] <= high + room[n])
        rows.check(good, column, f"{low:g} to {high:g} MW, the unit's limits (commitment=relaxed takes the least as 0)")
    total, given, drawn = load.sum(1), output.sum(1), np.maximum(load, 0.0).sum(1)
    for row in np.flatnonzero(np.abs(given - total) > 10 * LOOSE * drawn)[:1]:
        found = f"outputs add up to {given[row]:.6g} MW and loads to {total[row]:.6g} MW"
        problem = f"{found}, expected the same but for losses: check the units of both"
        raise DataError(f"{rows.at(row)}: {problem}")
