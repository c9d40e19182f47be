"""The command that trains, in one process or as one of several that a launcher started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dgpg.cli.asked import gathered
from dgpg.cli.ending import Ended, interrupted
from dgpg.domain import registry
from dgpg.errors import ConfigError, DgpgError, Elsewhere, RunError
from dgpg.learning import Metrics, Trainer
from dgpg.runs import Plan, RunFolder, launch, loggers, machine, training
from dgpg.runs.record import unborn
from dgpg.runs.world import Lost, World, joined
from dgpg.showing import report
from dgpg.showing.waiting import waiting


def trained(
    domain: str | None, named: dict[str, Any], config: Path | None, sets: list[str], out: Path | None,
    stop_after: int | None, resume: bool, log: str | None,
) -> None:  # fmt: skip
    """Train a policy, or go on with a run; arguments as on the command line.

    Raises:
        ConfigError: what was asked for is wrong.
        RunError: what went wrong in this process, if it is one of several.
    """
    with joined() as world:
        asked, said = world.together(lambda: _asked(domain, named, config, sets, out, resume))
        names = world.together(lambda: None if log is None else loggers.chosen(log))
        plan, trainer, folder = _begun(world, asked, said, out, resume, names)
        if world.leads:
            report.opening(plan, folder, trainer)
        try:
            with _shown(world, plan, trainer) as (show, aside):
                interruption = training.train(trainer, folder, stop_after, show, aside, world)
        except KeyboardInterrupt as stop:
            interrupted(folder.path, folder.kept, *(stop.args or (130,)))
        except DgpgError as error:
            if world.leads or isinstance(error, Lost | Elsewhere):
                raise
            raise RunError(f"process {world.rank}: {error}") from error
        if not world.leads:
            raise Ended(interruption.exit_status)
        if interruption.signal is not None:
            interrupted(folder.path, trainer.iteration, interruption.exit_status)
        report.closing(folder, trainer)


def _asked(
    domain: str | None, named: dict[str, Any], config: Path | None, sets: list[str], out: Path | None, resume: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is asked for, and what of it somebody said."""
    asked, said = gathered(domain, named, config, sets)
    if "device" in asked:
        machine.device_of(asked["device"])
    if resume and out is None:
        raise ConfigError("--resume needs --out RUN, the folder of the run to go on with")
    if not resume and asked.get("domain") is None:
        installed = ", ".join(registry.find(registry.DOMAINS)) or "none"
        raise ConfigError(f"which domain? Installed: {installed}")
    return asked, said


def _begun(
    world: World,
    asked: dict[str, Any],
    said: dict[str, Any],
    out: Path | None,
    resume: bool,
    names: Sequence[str] | None,
) -> tuple[Plan, Trainer, RunFolder]:
    """A new run, or the one in `out`: also if the launcher starts the same command again.

    Where a training was killed before its run had begun, --resume begins it, if it is told which.
    """
    again = world.again and out is not None and world.first(lambda: (out / "config.json").is_file())
    anew = resume and "domain" in asked and world.first(lambda: out is not None and unborn(out))
    with _waiting(world):
        if out is not None and (resume or again) and not anew:
            return training.resume(out, asked, world, names)
        name = asked.pop("domain")
        plan = world.together(lambda: launch.resolve(name, asked, said, world.held))
        path = world.first(lambda: out or _fresh(name, plan.run.algorithm))
        trainer, folder = training.start(plan, path, _plugin(name), world, names)
    if anew:
        folder.told.append(f"no run had begun in {path}: it begins now")
    return plan, trainer, folder


@contextmanager
def _waiting(world: World) -> Iterator[None]:
    if not world.leads:
        yield
        return
    with waiting("building the instance"):
        yield


@contextmanager
def _shown(
    world: World, plan: Plan, trainer: Trainer
) -> Iterator[tuple[Callable[[Metrics], None], Callable[[str], None]]]:
    if not world.leads:
        yield lambda metrics: None, lambda line: None
        return
    with report.progress(plan.run.iterations, trainer.iteration) as show:
        yield show, report.aside


def _fresh(domain: str, algorithm: str) -> Path:
    root = Path("runs")
    taken = [int(p.name.rpartition("-")[2]) for p in root.glob(f"{domain}-{algorithm}-[0-9][0-9][0-9]")]
    return root / f"{domain}-{algorithm}-{max(taken, default=0) + 1:03d}"


def _plugin(domain: str) -> str | None:
    point = registry.find(registry.DOMAINS)[domain][0]
    return point.dist.name if point.dist else None
