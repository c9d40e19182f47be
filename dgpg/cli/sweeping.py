"""The command that trains many runs side by side."""

from __future__ import annotations

from pathlib import Path

from dgpg.cli.ending import Ended
from dgpg.errors import ConfigError
from dgpg.runs.interruption import heeded
from dgpg.runs.machine import cores
from dgpg.runs.places import refuse_folder
from dgpg.showing import report, sweeps
from dgpg.sweeps import Engine, Grid, Local, Ray, Search, SweepFolder, outcomes, read, run

ENGINES = ("local", "ray")


def swept(file: Path, out: Path | None, jobs: int | None, search: int | None, engine: str, as_json: bool) -> None:
    """Train and measure what a file asks for; arguments as on the command line.

    Raises:
        ConfigError: what was asked for is wrong.
        RunError: the folder is another sweep's.
    """
    if engine not in ENGINES:
        raise ConfigError(f"--engine {engine}: expected {' or '.join(ENGINES)}")
    asked = read(file)
    place = out or Path("sweeps") / file.stem
    refuse_folder(place, "--out")
    folder = SweepFolder(place)
    folder.claim(asked)
    try:
        candidates = Grid(asked) if search is None else Search(asked, place, search, seed=0)
        with heeded(report.aside) as interruption:
            taken = run(asked, candidates, folder, _engine(engine, jobs), report.aside, interruption)
        found = outcomes(folder, taken, asked.sweep.seeds)
        sweeps.show(asked, folder, found, as_json)
    finally:
        folder.close()
    if interruption.signal is not None:
        report.aside(f"stopped; the same command goes on with {place}")
        raise Ended(interruption.exit_status)
    if any(one.failed for one in found):
        raise Ended(1)


def _engine(name: str, jobs: int | None) -> Engine:
    if name == "ray":
        return Ray(jobs)
    return Local(jobs or cores())
