"""Snapshots from where operators have them, and set-points back: CSV files, or the tables of a pandapower net."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dgpg.errors import DataError
from dgpg_power.deploy.scales import Floats, Scales
from dgpg_power.deploy.snapshot import Snapshot

Element = tuple[str, int]
"""A table of a pandapower net ("gen", "ext_grid", "line", "trafo") and the index of a row."""


def read(folder: Path, scales: Scales, hour: float, last_load: Floats | None = None) -> Snapshot:
    """The snapshot in a folder: `buses.csv` (bus, load_mw), `units.csv` (unit, output_mw, and available_mw where it is
    not the unit's maximum) and `lines.csv` (line, flow_mw: from 0 in the order of the policy's `plain.lines`).

    Args:
        folder: with the three files; rows in any order.
        scales: of the policy.
        hour: of the day.
        last_load: of each bus a step ago, `[nb]`; that of now where it is not known.

    Raises:
        DataError: a file, row or number is missing or wrong.
    """
    load = _column(folder / "buses.csv", "bus", "load_mw", [str(bus) for bus in scales.buses])
    output = _column(folder / "units.csv", "unit", "output_mw", scales.units)
    flow = _column(folder / "lines.csv", "line", "flow_mw", [str(n) for n in range(len(scales.lines))])
    available = None
    if "available_mw" in _rows(folder / "units.csv")[0]:
        available = _column(folder / "units.csv", "unit", "available_mw", scales.units)
    return Snapshot(load, load if last_load is None else last_load, output, flow, hour, available=available)


def write(file: Path, scales: Scales, set_point: Floats, action: Floats) -> None:
    """Set-points `[N]` beside base points and shares `[N, A]`, whole or not at all."""
    partial = file.with_name(f".{file.name}.partial")
    with partial.open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["unit", "set_point_mw", "base_point_mw", *(["share"] if scales.shares else [])])
        for name, point, own in zip(scales.units, set_point, action, strict=True):
            rows.writerow([name, f"{point:.3f}", *(f"{x:.4f}" for x in own)])
    partial.replace(file)


def read_pandapower(
    net: Any, scales: Scales, hour: float, units: Sequence[Element], lines: Sequence[Element],
    buses: Mapping[int, int] | None = None, last_load: Floats | None = None,
) -> Snapshot:  # fmt: skip
    """The snapshot of a net whose power flow has been run.

    Args:
        net: pandapower's.
        scales: of the policy.
        hour: of the day.
        units: element of each unit, `[N]`.
        lines: element of each line, `[L]`; its flow is that at its `from` (or `hv`) end.
        buses: index in the net of each bus number of the policy; the number itself by default.
        last_load: as of `read`.
    """
    at = {(number if buses is None else buses[number]): n for n, number in enumerate(scales.buses)}
    load = np.zeros(len(scales.buses), np.float32)
    table = net["load"]
    drawn = table["p_mw"] * table["scaling"] * table["in_service"]
    np.add.at(load, [at[bus] for bus in table["bus"]], drawn.to_numpy(np.float32))
    ends = {"line": "p_from_mw", "trafo": "p_hv_mw"}
    output = np.array([net[f"res_{name}"].at[row, "p_mw"] for name, row in units], np.float32)
    flow = np.array([net[f"res_{name}"].at[row, ends[name]] for name, row in lines], np.float32)
    return Snapshot(load, load if last_load is None else last_load, output, flow, hour)


def write_pandapower(net: Any, units: Sequence[Element], set_point: Floats) -> None:
    """Set-points `[N]` into the net; an `ext_grid` has none, it takes what is left."""
    for (name, row), point in zip(units, set_point.tolist(), strict=True):
        if name != "ext_grid":
            net[name].at[row, "p_mw"] = point


def _column(file: Path, key: str, column: str, names: Sequence[str]) -> Floats:
    """Values by name, in the order of `names`."""
    found: dict[str, float] = {}
    for line, row in enumerate(_rows(file), start=2):
        name, text = row.get(key), row.get(column)
        if name is None or text is None:
            raise DataError(f"{file}:{line}: expected the columns {key} and {column}")
        if name not in names or name in found:
            why = "stands twice" if name in found else "is none of the policy's"
            raise DataError(f"{file}:{line}: {key} '{name}' {why}")
        try:
            found[name] = float(text)
        except ValueError:
            found[name] = np.nan
        if not np.isfinite(found[name]):
            raise DataError(f"{file}:{line}: {column}: expected a number, got '{text}'")
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(f"{file}: no row for {key} '{missing[0]}' ({len(missing)} are missing)")
    return np.array([found[name] for name in names], np.float32)


def _rows(file: Path) -> list[dict[str, str | None]]:
    try:
        with file.open(newline="", encoding="utf-8") as read:
            rows: list[dict[str, str | None]] = list(csv.DictReader(read))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from None
    if not rows:
        raise DataError(f"{file}: it has no rows")
    return rows
