"""Where buses lie: MATPOWER's format has no place for it, so a table beside the case says it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dgpg.files import csv_rows
from dgpg_power.network import FloatArray, Network

FILE = "bus.csv"
COLUMNS = ("Bus ID", "lat", "lng")
"""As RTS-GMLC has them."""


def coordinates(network: Network, case: str) -> FloatArray:
    """Longitude, shortened as it is at that latitude, and latitude of each bus, degrees, `[nb, 2]`.

    NaN where no `bus.csv` lies beside the case file, or it does not say.

    Raises:
        DataError: what it says is no number, with its line.
    """
    path, found = Path(case).parent / FILE, np.full((network.num_buses, 2), np.nan)
    if not case.endswith(".m") or not path.is_file():
        return found
    rows = csv_rows(path, optional=COLUMNS)
    number, north, east = (rows.numbers(name, blank=np.nan) for name in COLUMNS)
    place = {one: (x, y) for one, x, y in zip(number.tolist(), east, north, strict=True)}
    found[:] = [place.get(float(one), (np.nan, np.nan)) for one in network.bus_number]
    known = found[np.isfinite(found).all(1), 1]
    if known.size:
        found[:, 0] *= np.cos(np.radians(known.mean()))
    return found
