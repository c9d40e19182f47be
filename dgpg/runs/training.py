"""A run while it trains: started, resumed, saved by iterations and by time, stopped by a signal."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dgpg.domain import validate
from dgpg.errors import DivergenceError, Elsewhere, OverflowingError, RunError
from dgpg.learning import Metrics, RunConfig, Trainer
from dgpg.learning.algorithms import find
from dgpg.runs.building import domain_of, make_task
from dgpg.runs.differences import changes, far_from_defaults
from dgpg.runs.interruption import Interruption, heeded
from dgpg.runs.launch import Plan, resolve
from dgpg.runs.loggers.opened import keep
from dgpg.runs.machine import keep_memory
from dgpg.runs.record import Onlooker, RunFolder
from dgpg.runs.restoring import cannot_restore
from dgpg.runs.versions import changed, versions
from dgpg.runs.world import Lost, World, ordered

NOTHING = 1e-12
"""A gradient's norm up to which it is none."""
ALONE = World()
STILL = (
    "note: the policy's gradient is zero, so it cannot learn: what agents do makes no difference where each has one "
    "choice or hardly a range, or where no term of the cost has a weight"
)


def start(
    plan: Plan, path: Path, plugin: str | None = None, world: World = ALONE, loggers: Sequence[str] | None = None
) -> tuple[Trainer, RunFolder]:
    """A new run folder, held by this process, and its trainer, checkpointed before the first iteration.

    Args:
        plan: what to train.
        path: of the folder.
        plugin: distribution that the domain came from.
        world: the processes that train it together; the first of them holds the folder.
        loggers: by name, those that hear of it, see `dgpg.runs.loggers`; the usual ones by default.

    Raises:
        RunError: the folder cannot be made, or processes differ.
    """
    trainer, why_not = _trainer(plan, world)
    world.alike(_facts(trainer, plugin))
    made = RunFolder.create if world.leads else (lambda path, run, plugin: Onlooker(path, run))
    folder = world.together(lambda: made(path, plan.run, plugin))
    if loggers is not None and world.leads:
        keep(folder.path, loggers)
    _first(trainer, folder, why_not, world)
    return trainer, folder


def resume(
    path: Path, asked: Mapping[str, Any], world: World = ALONE, loggers: Sequence[str] | None = None
) -> tuple[Plan, Trainer, RunFolder]:
    """The run in a folder, held by this process, where its last complete checkpoint left it.

    A run that was stopped before its first checkpoint begins anew, as nothing is lost.

    Args:
        path: the run folder; only the first process looks there.
        asked: settings given beside --resume; any that differs from the run's is refused.
        world: the processes that go on with it, as many or as few as can share its shards.
        loggers: by name; those that the run has by default.

    Raises:
        RunError: no run there, one of other settings, one that another process has, or one that cannot go on.
    """
    folder = world.together(lambda: _opened(path, asked, loggers) if world.leads else Onlooker(path))
    run = world.spread(folder.config)
    assert run is not None
    try:
        plan, trainer = world.together(lambda: _restored(folder, run, world))
    except BaseException:
        folder.close()
        raise
    folder.told += [line for line in (changed(path),) if line is not None]
    return plan, trainer, folder


def _opened(path: Path, asked: Mapping[str, Any], loggers: Sequence[str] | None) -> RunFolder:
    folder, run = RunFolder.open(path)
    validate(domain_of(run, path).Config, run.settings, f"{path / 'config.json'}: settings")
    differing = changes(run, asked)
    if differing:
        raise RunError(
            f"{path} was started with other settings: {'; '.join(differing)}. "
            "Resume without them, or start a new run with another --out"
        )
    folder.claim()
    try:
        if loggers is not None:
            keep(folder.path, loggers)
    except BaseException:
        folder.close()
        raise
    return folder


def train(
    trainer: Trainer,
    folder: RunFolder,
    stop_after: int | None,
    report: Callable[[Metrics], None],
    told: Callable[[str], None] = lambda line: None,
    world: World = ALONE,
) -> Interruption:
    """Iterate to the total, or `stop_after` iterations from here, or a signal; log each, checkpoint regularly.

    Args:
        trainer: where the run is.
        folder: held by this process; it is given back at the end.
        stop_after: iterations from here; None for no such bound.
        report: called with what each iteration measured.
        told: called if a signal comes, with what happens now, and if the first gradient is nothing.
        world: the processes that train together.

    Raises:
        DivergenceError: a loss or gradient is no longer finite; the last good checkpoint is kept.
        OverflowingError: rewards cannot be learned from in the first iteration; the settings far off are named.
        Lost: another process is gone; the last checkpoint is kept.
        Elsewhere: it went wrong as in the first process, which says how.
    """
    run = trainer.config
    torch.set_num_threads(run.train.threads or 1)
    keep_memory()
    folder.listen(told)
    last = run.iterations if stop_after is None else min(run.iterations, trainer.iteration + stop_after)
    try:
        with heeded(told, world.echo) as interruption:
            _iterate(trainer, folder, last, report, told, interruption, world)
    except OverflowingError as error:
        if not world.leads:
            raise Elsewhere from None
        far = ", ".join(far_from_defaults(run)) or "none is far from its default; look at the files they name"
        raise OverflowingError(f"{error}. Look at the domain's settings: {far}") from None
    except DivergenceError as error:
        if not world.leads:
            raise Elsewhere from None
        raise DivergenceError(
            f"{error}. The last good checkpoint is kept in {folder.checkpoints}; try a lower train.actor_lr"
        ) from None
    except Lost as error:
        last_one = f"The last checkpoint is kept in {folder.checkpoints}; start the same command with --resume to go on"
        raise Lost(f"process {world.rank}: {error}. {last_one}") from None
    finally:
        folder.close()
    return interruption


def _iterate(
    trainer: Trainer,
    folder: RunFolder,
    last: int,
    report: Callable[[Metrics], None],
    told: Callable[[str], None],
    interruption: Interruption,
    world: World,
) -> None:
    every, seconds = trainer.config.train.checkpoint_every, 60 * trainer.config.train.checkpoint_minutes
    saved, when = trainer.iteration, time.monotonic()
    while trainer.iteration < last and not _stopped(interruption, world):
        metrics = trainer.iterate()
        folder.log(metrics)  # before the checkpoint: a line without one is dropped on resume
        late = bool(world.most(time.monotonic() - when >= seconds))
        if trainer.iteration % every == 0 or trainer.iteration == last or late:
            _save(trainer, folder, world)
            saved, when = trainer.iteration, time.monotonic()
        report(metrics)
        if trainer.iteration == 1 and metrics["grad_norm"] <= NOTHING:
            told(STILL)
    if saved != trainer.iteration:  # a signal, which may come at any moment of an iteration
        _save(trainer, folder, world)


def _stopped(interruption: Interruption, world: World) -> bool:
    """Whether a signal came to any process: all stop after the same iteration."""
    number = world.most(interruption.signal or 0)
    if number:
        interruption.signal = signal.Signals(number)
    return bool(number)


def _save(trainer: Trainer, folder: RunFolder, world: World) -> None:
    """The state of all processes."""
    state = trainer.state_dict()
    folder.save(trainer.iteration, {**state, "shards": ordered(world.gathered(state["shards"]))})


def _trainer(plan: Plan, world: World) -> tuple[Trainer, str | None]:
    """A trainer, and why its run could not be resumed, if it could not."""
    algorithm, shards = find(plan.run.algorithm), world.shards(plan.run.train.shards)
    trainer = Trainer(plan.run, algorithm, plan.task, shards)
    why_not = next((line for line in world.objects(cannot_restore(trainer)) if line is not None), None)
    if why_not is not None:  # looking has moved its environments on
        fresh = make_task(plan.run, plan.domain, plan.config, plan.task.model, shards.mine)
        trainer = Trainer(plan.run, algorithm, replace(plan.task, env=fresh.env, more=fresh.more), shards)
        trainer.unsaved = why_not
    return trainer, why_not


def _facts(trainer: Trainer, plugin: str | None) -> dict[str, str]:
    """What must be the same in all processes before they train together."""
    settings = json.dumps(trainer.config.model_dump(mode="json"), sort_keys=True)
    weights = b"".join(x.detach().cpu().numpy().tobytes() for x in trainer.actor.parameters())
    others = {name: one for name, one in versions(plugin).items() if name != "platform"}
    digests = {"the configuration": settings.encode(), "the first policy": weights}
    return others | {name: hashlib.sha256(data).hexdigest()[:12] for name, data in digests.items()}


def _first(trainer: Trainer, folder: RunFolder, why_not: str | None, world: World) -> None:
    if why_not is not None:
        folder.told.append(f"this run cannot be resumed: {why_not}")
    _save(trainer, folder, world)
    folder.start_log(0)


def _restored(folder: RunFolder, run: RunConfig, world: World) -> tuple[Plan, Trainer]:
    """Where the checkpoint that the first process has left it."""
    begun = world.first(lambda: folder.begun)
    # A configuration that was changed is told before anything is built of it.
    state = world.first(lambda: _state(folder, run)) if begun else None
    plan = world.together(lambda: resolve(run.domain, run.model_dump(mode="json"), held=world.held))
    if state is None:
        trainer, why_not = _trainer(plan, world)
        _first(trainer, folder, why_not, world)
        return plan, trainer
    trainer = Trainer(plan.run, find(run.algorithm), plan.task, world.shards(plan.run.train.shards))
    try:
        trainer.load_state_dict(state)
    except (KeyError, IndexError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        why = (str(error) or repr(error)).splitlines()[-1].strip()
        raise RunError(
            f"{folder.path}: its newest checkpoint does not hold the state of this run "
            f"({type(error).__name__}: {why}); it is of another run, or of another version of dgpg or of the plugin"
        ) from error
    world.alike(_facts(trainer, None))
    folder.start_log(trainer.iteration)
    return plan, trainer


def _state(folder: RunFolder, run: RunConfig) -> dict[str, Any]:
    state = folder.load(torch.device(run.device))
    if state.get("unsaved"):
        raise RunError(f"{folder.path} cannot go on: {state['unsaved']}; its policy can be evaluated")
    return state
