"""A recorded series as episodes need it: demand, limits and commitment hour by hour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgpg.errors import ConfigError
from dgpg_power.commitment.schedule import Commitment, commit
from dgpg_power.config import Config, Load
from dgpg_power.data.rts import Rts
from dgpg_power.network import FloatArray, IntArray, Network

MARK = "DAY_AHEAD_*_days01-21.csv"
"""A network file with any of these beside it has a series, which must then be complete."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """H hours of whole days; days that follow each other in the data need not in the calendar."""

    load: FloatArray
    """MW at the buses, net of given injections, `[H, nb]`."""
    least: FloatArray
    """Minimum outputs, `[H, N]`."""
    most: FloatArray
    """Maximum outputs, weather and commitment included, `[H, N]`."""
    hour: IntArray
    """Of the day, `[H]`."""
    starts: IntArray
    """Rows at which an episode may begin: midnights after which its hours follow without a gap."""
    ends: IntArray
    """Last row that follows each of them without a gap."""
    notes: tuple[str, ...]

    def window(self, share: float, steps: int) -> IntArray:
        """Rows of an episode of `steps` moments; `share` in [0, 1) picks its first day.

        Where the hours end, the last one repeats: the last moment is only seen.
        """
        at = int(share * len(self.starts))
        rows: IntArray = np.minimum(self.starts[at] + np.arange(steps), self.ends[at])
        return rows


def folder_of(config: Config) -> Path | None:
    """Where the series of a configuration lies; None if demand is drawn.

    Raises:
        ConfigError: a series, or some months and days of one, are asked for and there is none.
    """
    folder = Path(config.network).parent
    there = config.network.endswith(".m") and any(folder.glob(MARK))
    if config.load.source == "series" and not there:
        raise ConfigError(f"load.source = series: no {MARK} beside {config.network}; use load.source=noise")
    if config.load.source == "noise":
        return None
    if there:
        return folder
    usual = Load()
    if (config.load.months, config.load.days) != (usual.months, usual.days):
        raise ConfigError(
            f"load.months and load.days choose hours of a recorded series, and demand of {config.network} is drawn; "
            "leave them out, or name a network file with hourly series beside it"
        )
    return None


def recorded(config: Config, data: Rts) -> tuple[Network, Recorded]:
    """The hours of the configured months and days, and the grid they belong to.

    Raises:
        DataError: the series has none of them.
        ConfigError: an episode is longer than any run of days.
    """
    chosen = data.series.select(config.load.months, range(config.load.days[0], config.load.days[1] + 1))
    network, notes = data.network, list[str]()
    least = np.broadcast_to(network.unit_min, chosen.available.shape)
    most = chosen.available
    if config.commitment == "committed":
        on, notes, kept = _committed(data, chosen.load, chosen.available, chosen.month, chosen.day)
        least, most = np.where(on, least, 0.0)[kept], np.where(on, most, 0.0)[kept]
    else:
        least, kept = np.minimum(least, 0.0), np.ones(len(chosen), bool)
    load, hour = config.load.scale * chosen.load[kept], chosen.hour[kept]
    serial = (chosen.month * 100 + chosen.day)[kept]
    starts, ends = _runs(serial, hour, config.horizon)
    if len(starts) == 0:
        raise ConfigError(
            f"horizon = {config.horizon}: no run of consecutive days among months {list(config.load.months)}, days "
            f"{list(config.load.days)} is that long; lower horizon or widen load.days"
        )
    return network, Recorded(load, np.minimum(least, most), most, hour, starts, ends, tuple(notes))


def _runs(serial: IntArray, hour: IntArray, horizon: int) -> tuple[IntArray, IntArray]:
    """Midnights that `horizon` hours follow without a gap, and the last hour that follows each."""
    follows = np.append(np.diff(serial) <= 1, False)
    last = np.array([at + int(np.argmin(follows[at:])) for at in range(len(serial))], np.int64)
    starts = np.flatnonzero((hour == 0) & (last - np.arange(len(serial)) + 1 >= horizon))
    return starts, last[starts]


def _committed(
    data: Rts, load: FloatArray, available: FloatArray, month: IntArray, day: IntArray
) -> tuple[np.ndarray, list[str], np.ndarray]:
    """On and off of each hour, what to say of the days, and the hours of days that could be committed."""
    on, kept, notes = np.zeros(available.shape, bool), np.zeros(len(load), bool), list[str]()
    for serial in dict.fromkeys(zip(month.tolist(), day.tolist(), strict=True)):
        rows = (month == serial[0]) & (day == serial[1])
        found: Commitment = commit(data.network, data.rules, load[rows], available[rows])
        if found.status == "infeasible":
            notes.append(f"month {serial[0]}, day {serial[1]}: no commitment keeps the line limits; left out")
        else:
            on[rows], kept[rows] = found.on, True
    notes.append(f"{int(kept.sum()) // 24} days committed, {len(notes)} infeasible")
    return on, notes, kept
