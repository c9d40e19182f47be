"""A run while it trains: started, resumed, saved by iterations and by time, stopped by a signal."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dgpg.errors import DivergenceError, OverflowingError, RunError
from dgpg.learning import Metrics, RunConfig, Trainer
from dgpg.learning.algorithms import find
from dgpg.runs.differences import changes, far_from_defaults
from dgpg.runs.interruption import Interruption, heeded
from dgpg.runs.launch import Plan, domain_of, keep_memory, make_task, resolve
from dgpg.runs.record import RunFolder
from dgpg.runs.restoring import cannot_restore
from dgpg.runs.versions import changed

NOTHING = 1e-12
"""A gradient's norm up to which it is none."""
STILL = (
    "note: the policy's gradient is zero, so it cannot learn: what agents do makes no difference where each has one "
    "choice or hardly a range, or where no term of the cost has a weight"
)


def start(plan: Plan, path: Path, plugin: str | None = None) -> tuple[Trainer, RunFolder]:
    """A new run folder, held by this process, and its trainer, checkpointed before the first iteration."""
    trainer, why_not = _trainer(plan)
    folder = RunFolder.create(path, plan.run, plugin)
    _first(trainer, folder, why_not)
    return trainer, folder


def resume(path: Path, asked: Mapping[str, Any]) -> tuple[Plan, Trainer, RunFolder]:
    """The run in a folder, held by this process, where its last complete checkpoint left it.

    A run that was stopped before its first checkpoint begins anew, as nothing is lost.

    Args:
        path: the run folder.
        asked: settings given beside --resume; any that differs from the run's is refused.

    Raises:
        RunError: no run there, one of other settings, one that another process has, or one that cannot go on.
    """
    folder, run = RunFolder.open(path)
    domain_of(run, path)
    differing = changes(run, asked)
    if differing:
        raise RunError(
            f"{path} was started with other settings: {'; '.join(differing)}. "
            "Resume without them, or start a new run with another --out"
        )
    folder.claim()
    try:
        plan, trainer = _restored(folder, run)
    except BaseException:
        folder.close()
        raise
    folder.told += [line for line in (changed(path),) if line is not None]
    return plan, trainer, folder


def train(
    trainer: Trainer,
    folder: RunFolder,
    stop_after: int | None,
    report: Callable[[Metrics], None],
    told: Callable[[str], None] = lambda line: None,
) -> Interruption:
    """Iterate to the total, or `stop_after` iterations from here, or a signal; log each, checkpoint regularly.

    Args:
        trainer: where the run is.
        folder: held by this process; it is given back at the end.
        stop_after: iterations from here; None for no such bound.
        report: called with what each iteration measured.
        told: called if a signal comes, with what happens now, and if the first gradient is nothing.

    Raises:
        DivergenceError: a loss or gradient is no longer finite; the last good checkpoint is kept.
        OverflowingError: rewards cannot be learned from in the first iteration; the settings far off are named.
    """
    run = trainer.config
    torch.set_num_threads(run.train.threads or 1)
    keep_memory()
    last = run.iterations if stop_after is None else min(run.iterations, trainer.iteration + stop_after)
    try:
        with heeded(told) as interruption:
            _iterate(trainer, folder, last, report, told, interruption)
    except OverflowingError as error:
        far = ", ".join(far_from_defaults(run)) or "none is far from its default; look at the files they name"
        raise OverflowingError(f"{error}. Look at the domain's settings: {far}") from None
    except DivergenceError as error:
        raise DivergenceError(
            f"{error}. The last good checkpoint is kept in {folder.checkpoints}; try a lower train.actor_lr"
        ) from None
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
) -> None:
    every, seconds = trainer.config.train.checkpoint_every, 60 * trainer.config.train.checkpoint_minutes
    saved, when = trainer.iteration, time.monotonic()
    while trainer.iteration < last and interruption.signal is None:
        metrics = trainer.iterate()
        folder.log(metrics)  # before the checkpoint: a line without one is dropped on resume
        if trainer.iteration % every == 0 or trainer.iteration == last or time.monotonic() - when >= seconds:
            folder.save(trainer.iteration, trainer.state_dict())
            saved, when = trainer.iteration, time.monotonic()
        report(metrics)
        if trainer.iteration == 1 and metrics["grad_norm"] <= NOTHING:
            told(STILL)
    if saved != trainer.iteration:  # a signal, which may come at any moment of an iteration
        folder.save(trainer.iteration, trainer.state_dict())


def _trainer(plan: Plan) -> tuple[Trainer, str | None]:
    """A trainer, and why its run could not be resumed, if it could not."""
    algorithm = find(plan.run.algorithm)
    trainer = Trainer(plan.run, algorithm, plan.task)
    why_not = cannot_restore(trainer)
    if why_not is not None:  # looking has moved its environments on
        fresh = make_task(plan.run, plan.domain, plan.config, plan.task.model)
        trainer = Trainer(plan.run, algorithm, replace(plan.task, env=fresh.env))
        trainer.unsaved = why_not
    return trainer, why_not


def _first(trainer: Trainer, folder: RunFolder, why_not: str | None) -> None:
    if why_not is not None:
        folder.told.append(f"this run cannot be resumed: {why_not}")
    folder.save(0, trainer.state_dict())
    folder.start_log(0)


def _restored(folder: RunFolder, run: RunConfig) -> tuple[Plan, Trainer]:
    if not folder.begun:
        plan = resolve(run.domain, run.model_dump(mode="json"))
        trainer, why_not = _trainer(plan)
        _first(trainer, folder, why_not)
        return plan, trainer
    state = folder.load(torch.device(run.device))
    if state.get("unsaved"):
        raise RunError(f"{folder.path} cannot go on: {state['unsaved']}; its policy can be evaluated")
    plan = resolve(run.domain, run.model_dump(mode="json"))
    trainer = Trainer(plan.run, find(run.algorithm), plan.task)
    try:
        trainer.load_state_dict(state)
    except (KeyError, IndexError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        why = (str(error) or repr(error)).splitlines()[-1].strip()
        raise RunError(
            f"{folder.path}: its newest checkpoint does not hold the state of this run "
            f"({type(error).__name__}: {why}); it is of another run, or of another version of dgpg or of the plugin"
        ) from error
    folder.start_log(trainer.iteration)
    return plan, trainer
