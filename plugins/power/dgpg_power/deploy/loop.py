"""A dispatch loop: a snapshot in, set-points of all units out, step after step.

    python -m dgpg_power.deploy.loop POLICY SNAPSHOT set_points.csv --every 300

Reads the CSV files of the folder SNAPSHOT (see `tables.read`) and writes `set_points.csv`, every so many seconds or
once. Units whose action fails or is no number follow the load.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from dgpg.deploy import Policy
from dgpg.errors import DgpgError
from dgpg_power.deploy import tables
from dgpg_power.deploy.features import features
from dgpg_power.deploy.scales import Floats, Scales, following
from dgpg_power.deploy.snapshot import Snapshot, dispatch


@dataclass(frozen=True)
class Dispatched:
    """What a step of the loop decided, MW."""

    set_point: Floats
    """Within limits and ramps, adding up to the demand where the units can, `[N]`."""
    action: Floats
    """Base points and shares, `[N, A]`."""
    by_rule: bool
    """Whether the policy failed and the units follow the load."""


class Loop:
    """A policy on a grid; it remembers what the last step left behind: loads and the residual."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.scales = policy, Scales.read(policy.description["plain"])
        self.last_load: Floats | None = None
        self.residual = 0.0

    def step(self, now: Snapshot, demand: float | None = None) -> Dispatched:
        """Set-points for a moment.

        Args:
            now: what is measured and forecast; its residual is the loop's own.
            demand: what has to be generated, losses included; the sum of loads by default.
        """
        signals = replace(now, residual=self.residual).signals(self.scales)
        rows = features(self.scales, signals)
        asked, by_rule = self._asked(rows)
        needed = float(np.sum(now.load)) if demand is None else demand
        point = dispatch(self.scales, asked, signals.low, signals.high, needed)
        self.last_load = np.asarray(now.load, np.float32)
        self.residual = needed - float(np.clip(asked[:, 0], signals.low, signals.high).sum())
        return Dispatched(point, asked, by_rule)

    def _asked(self, rows: dict[str, np.ndarray]) -> tuple[Floats, bool]:
        try:
            found = self.policy.run(rows, ("greedy",))[0]
            if np.isfinite(found).all():
                return found, False
        except Exception as error:  # whatever the runtime raises: units go on following the load
            print(f"the policy failed: {error}", file=sys.stderr)
        return following(self.scales, rows), True


def main() -> None:
    """The loop over files; one JSON line a step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy", type=Path, help="folder of `dgpg export`")
    parser.add_argument("snapshot", type=Path, help="folder with buses.csv, units.csv and lines.csv")
    parser.add_argument("set_points", type=Path, help="file to write")
    parser.add_argument("--every", type=float, help="seconds; once by default")
    parser.add_argument("--hour", type=float, help="of the day; the clock's by default")
    args = parser.parse_args()
    try:
        loop = Loop(Policy.load(args.policy))
        while True:
            clock = datetime.now()
            hour = clock.hour + clock.minute / 60 if args.hour is None else args.hour
            now = tables.read(args.snapshot, loop.scales, hour, loop.last_load)
            found = loop.step(now)
            tables.write(args.set_points, loop.scales, found.set_point, found.action)
            told = {"load_mw": float(np.sum(now.load)), "set_points_mw": float(found.set_point.sum())}
            print(
                json.dumps({"time": clock.isoformat(timespec="seconds"), **told, "by_rule": found.by_rule}), flush=True
            )
            if args.every is None:
                return
            time.sleep(args.every)
    except DgpgError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
