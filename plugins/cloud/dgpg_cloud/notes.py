"""What a run says of its trace: what is simulated of it, and how loaded the machines are by it."""

from __future__ import annotations

import numpy as np

from dgpg.errors import ConfigError
from dgpg_cloud.config import Config
from dgpg_cloud.replay import Fleet, Replay, in_use, profile, work
from dgpg_cloud.workload import FloatArray, Pool

RESOURCES = ("vCPU", "memory", "GPU")
UNITS = (("vCPU", 3_600_000), ("GiB", 3600 * 1024), ("GPU", 3_600_000))
"""Names of resources, and whole units of a pool times seconds that make one of them for an hour."""
FAR = 0.02
"""Share by which a load may be off before that is told."""
OUTLASTING = (
    "a job runs longer on average than an episode lasts: one that starts later is charged fewer hours in it. Hold "
    "costs against waits and not_started, or evaluate longer episodes (horizon)"
)
TOLERANCE = 0.1
"""Share by which simulated work may differ from the trace's before a run is refused."""


def replay_notes(config: Config, pool: Pool, played: Replay, fleet: Fleet) -> list[str]:
    """Jobs, work, load and clock of a replay.

    Raises:
        ConfigError: the work in whole steps is not that of the trace.
    """
    kept = work(pool, fleet, played.base_steps, played.step_s)
    horizon, start = config.horizon, config.workload.start
    _refuse_other_work(config, played, kept)
    used = slice(pool.first, None)
    hours = pool.demand[used].T @ pool.duration[used]
    told = ", ".join(
        f"{x / whole:,.0f} {name}-hours (simulated {100 * share:.1f} %)"
        for x, share, (name, whole) in zip(hours, kept, UNITS, strict=False)
    )
    jobs = len(pool.duration) - pool.first
    part = (
        "" if start == 0 and config.workload.end == 1 else f", from {start:g} to {config.workload.end:g} of the trace"
    )
    windows, length = len(played.apart(horizon)), horizon * played.step_s / 3600
    mean = float(played.base_steps[used].mean())
    return [
        f"{jobs:,} jobs{part}: {told}",
        f"one step is {played.step_s:g} s, mean run {mean:.2f} steps; jobs leave in the "
        "step in which they would, and a mean wait is right to about a step",
        f"jobs come {played.pace:.3g} times as fast as they did, on {config.machine_count} machines",
        _load(played, pool, fleet, horizon, config.workload.load),
        f"an episode is {config.horizon} steps, {length:.3g} h; {windows} of them do not overlap and hold "
        f"{100 * _shown(played, pool, horizon):.1f} % of the jobs",
        *([OUTLASTING] if mean > horizon else []),
    ]


def _load(played: Replay, pool: Pool, fleet: Fleet, horizon: int, asked: float) -> str:
    """Mean over windows, and the busiest of those that do not overlap; told where it is not what was asked for."""
    mean = in_use(played, pool, fleet, horizon)
    start = played.apart(horizon)
    total = np.concatenate(
        [np.zeros((1, len(mean))), profile(played, pool, fleet, int(start.max()) + horizon).cumsum(0)]
    )
    most = ((total[start + horizon] - total[start]) / horizon).max(0)
    names = (*RESOURCES[: len(mean) - 1], "run slots")
    told = ", ".join(f"{name} {x:.2f} ({high:.2f})" for name, x, high in zip(names, mean, most, strict=True))
    other = f"; not workload.load = {asked:g}" if abs(float(mean.max()) - asked) > FAR * asked else ""
    return f"load if no job waited, mean over episodes (and in the busiest): {told}{other}"


def _shown(played: Replay, pool: Pool, horizon: int) -> float:
    """Share of the used jobs that come in a window."""
    came, start = played.arrival[pool.first :], played.apart(horizon)
    inside = np.searchsorted(came, start + horizon + 1) - np.searchsorted(came, start)
    return float(inside.sum() / len(came))


def _refuse_other_work(config: Config, played: Replay, kept: FloatArray) -> None:
    worst = int(np.argmax(np.abs(kept - 1)))
    if config.workload.work == "any" or abs(kept[worst] - 1) <= TOLERANCE:
        return
    raise ConfigError(
        f"workload.step = {played.step_s:g}: jobs that are shorter than it take one, which brings "
        f"{kept[worst]:.2f} times the {RESOURCES[worst]} work of {config.workload.trace}, expected within "
        f"{100 * TOLERANCE:.0f} %: lower workload.step or leave it out, or go on all the same with workload.work=any"
    )
