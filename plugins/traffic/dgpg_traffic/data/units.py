"""Units of a GMNS folder: what config.csv says of lengths and speeds, and free-flow times in minutes from both.

Fields of config.csv: General Modeling Network Specification, github.com/zephyr-data-specs/GMNS; links have the unit
`long_length`, speeds the unit `speed`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dgpg.files import csv_rows, wrong

from .names import file_like

CONFIG = "config.csv"
_LENGTHS = {
    1.0: ("m", "meter", "meters", "metre", "metres"),
    1000.0: ("km", "kilometer", "kilometers", "kilometre", "kilometres"),
    1609.344: ("mi", "mile", "miles"),
    0.3048: ("ft", "foot", "feet"),
}
_SPEEDS = {
    1.0: ("km/h", "kph", "kmh", "kmph", "km/hr", "kilometers per hour", "kilometres per hour"),
    1.609344: ("mph", "mi/h", "miles per hour"),
    3.6: ("m/s", "mps", "meters per second", "metres per second"),
    1.09728: ("ft/s", "fps", "feet per second"),
}


@dataclass(frozen=True)
class Units:
    """Of lengths and speeds.

    Attributes:
        length: metres of a unit of length.
        speed: kilometres an hour of a unit of speed.
        told: what is known or assumed, as a note.
        guessed: whether that of lengths is assumed.
    """

    length: float
    speed: float
    told: str
    guessed: bool = False

    @property
    def minutes(self) -> float:
        """Minutes that a unit of length takes at a speed of 1."""
        return 60 * self.length / (1000 * self.speed)


ASSUMED = Units(1000.0, 1.0, f"no {CONFIG}: kilometres and km/h, or miles and mph, are assumed", True)


def read_units(folder: Path) -> Units:
    """The units of a folder; DataError names the file and line of one that is not known."""
    path = file_like(folder / CONFIG)
    if path is None:
        return ASSUMED
    rows = csv_rows(path, optional=("long_length", "speed"), any_case=True)
    found: dict[str, tuple[float, str]] = {}
    for field, known in (("long_length", _LENGTHS), ("speed", _SPEEDS)):
        cells = [(row, cell) for row, cell in enumerate(rows.column(field)) if cell]
        for row, cell in cells:
            factor = next((factor for factor, names in known.items() if cell.lower() in names), None)
            if factor is None or found.setdefault(field, (factor, cell))[0] != factor:
                expected = "one unit, such as " + ", ".join(names[0] for names in known.values())
                raise wrong(rows.at(row), field, cell, expected)
    if len(found) == 2:
        (length, one), (speed, other) = found["long_length"], found["speed"]
        return Units(length, speed, f"{CONFIG}: lengths in {one}, speeds in {other}")
    if "long_length" in found:
        length, one = found["long_length"]
        speed, other = (1.609344, "mph") if one.lower() in (*_LENGTHS[1609.344], *_LENGTHS[0.3048]) else (1.0, "km/h")
        return Units(length, speed, f"{CONFIG}: lengths in {one}; it has no unit of speed: {other} is assumed")
    if "speed" in found:
        speed, one = found["speed"]
        length, other = (1609.344, "miles") if speed in (1.609344, 1.09728) else (1000.0, "kilometres")
        return Units(length, speed, f"{CONFIG}: speeds in {one}; it has no unit of length: {other} are assumed", True)
    return replace(ASSUMED, told=ASSUMED.told.replace("no ", "no units in ", 1))
