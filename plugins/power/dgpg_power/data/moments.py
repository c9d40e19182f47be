"""A log of operation: what each bus drew and each unit gave at some moments, and perhaps what energy was worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgpg.errors import DataError, unknown

from ..network import FloatArray, Network
from .text import Rows, csv_rows

LEAST = 3
"""Moments that a log must have."""
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
    """Read a CSV file with columns `load_<bus number>`, `output_<unit>` and, if known, `price`.

    Raises:
        DataError: a column is missing, unknown or there twice, or a cell is not a number that the network can have.
    """
    loaded = np.flatnonzero(network.load)
    loads = tuple(f"load_{network.bus_number[b]}" for b in loaded)
    outputs = tuple(f"output_{name}" for name in network.unit_name)
    rows = csv_rows(path, (*loads, *outputs))
    for at, name in enumerate(rows.header):
        if name not in (*loads, *outputs, "price"):
            raise DataError(f"{path}:1: {unknown('column', name, (*loads, *outputs, 'price'))}")
        if name in rows.header[:at]:
            raise DataError(f"{path}:1: column {name} occurs twice, expected distinct names: remove one")
    if len(rows) < LEAST:
        raise DataError(f"{path}: found {len(rows)} moments, expected at least {LEAST}, better hundreds: log more")
    load, output = np.zeros((len(rows), network.num_buses)), rows.numbers(outputs)
    load[:, loaded] = rows.numbers(loads)
    for column, b in zip(loads, loaded, strict=True):
        if network.load[b] > 0:
            rows.check(load[:, b] >= 0, column, "a load of at least 0 MW")
    _check_outputs(rows, network, outputs, load, output)
    return Moments(load, output, rows.numbers(("price",))[:, 0] if "price" in rows.header else None)


def _check_outputs(
    rows: Rows, network: Network, columns: tuple[str, ...], load: FloatArray, output: FloatArray
) -> None:
    """Outputs lie within the units' limits and add up to the load, losses apart."""
    room = LOOSE * np.maximum(network.unit_max - network.unit_min, 1.0)
    for n, column in enumerate(columns):
        low, high = network.unit_min[n], network.unit_max[n]
        good = (output[:, n] >= low - room[n]) & (output[:, n] <= high + room[n])
        rows.check(good, column, f"{low:g} to {high:g} MW, the unit's limits (commitment=relaxed takes the least as 0)")
    total, given = load.sum(1), output.sum(1)
    for row in np.flatnonzero(np.abs(given - total) > 10 * LOOSE * np.abs(total))[:1]:
        found = f"outputs add up to {given[row]:.6g} MW and loads to {total[row]:.6g} MW"
        problem = f"{found}, expected the same but for losses: check the units of both"
        raise DataError(f"{rows.path}:{rows.line[row]}: {problem}")
