"""Jobs that no machine can run: larger than every one, or asking for a GPU model that none has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dgpg.errors import DataError, unknown
from dgpg_cloud.data import JobTable, MachineTable


def without_misfits(jobs: JobTable, machines: MachineTable) -> JobTable:
    """The jobs that some empty machine can run, with a note on the others.

    Raises:
        DataError: none is left.
    """
    foreign = np.array([foreign_models(models, machines) for models in jobs.gpu_models])
    large = ~foreign & ~_hosted(jobs, machines)
    notes = []
    if foreign.any():
        models = [jobs.gpu_models[i] for i in np.flatnonzero(foreign)]
        gpus = bool(jobs.gpu_milli.any())
        what = "GPU model that no machine has" if gpus else "machine type that no machine is"
        notes.append(_skipped(foreign, jobs, f"of a {what}: {models_advice(models, machines, gpus)}"))
    if large.any():
        notes.append(_skipped(large, jobs, "that fit on no machine"))
    kept = ~(foreign | large)
    if not kept.any():
        raise DataError(f"{jobs.source}: no job fits on a machine of {machines.source}: {'; '.join(notes)}")
    return replace(jobs.take(kept), notes=(*jobs.notes, *notes)) if notes else jobs


def foreign_models(models: tuple[str, ...], machines: MachineTable) -> bool:
    """Does a job name GPU models, and no machine has one of them?"""
    return bool(models) and not set(models) & set(machines.gpu_model)


def models_advice(kinds: Iterable[tuple[str, ...]], machines: MachineTable, gpus: bool) -> str:
    """What these models may have been meant to be: of GPUs where the jobs ask for any, else types of machine."""
    if not gpus:
        return "They ask for machine types of their trace: name it in machines.file too"
    known = set(machines.gpu_model) - {""}
    asked = sorted({model for models in kinds for model in models} - known)
    by_case = {model.casefold(): model for model in known}
    names = [
        f"unknown GPU model '{model}': did you mean '{by_case[model.casefold()]}'?"
        if model.casefold() in by_case
        else unknown("GPU model", model, known)
        for model in asked[:3]
    ]
    return "; ".join(names) + (" ..." if len(asked) > 3 else "") + ". Correct the models"


def _hosted(jobs: JobTable, machines: MachineTable) -> NDArray[np.bool_]:
    """Is there a machine large enough, of an allowed model, `[jobs]`."""
    kinds = {models: i for i, models in enumerate(dict.fromkeys(jobs.gpu_models))}
    kind = np.array([kinds[models] for models in jobs.gpu_models])
    table = np.stack([jobs.vcpu_milli, jobs.memory_mib, jobs.gpu_milli, kind], 1)
    shapes, shape = np.unique(table, axis=0, return_inverse=True)
    capacity = np.stack([machines.vcpu_milli, machines.memory_mib, machines.gpu_milli], 1)
    model = np.array(machines.gpu_model)
    allowed = [np.isin(model, models) if models else np.ones(len(model), bool) for models in kinds]
    fits = [bool((allowed[row[3]] & (row[:3] <= capacity).all(1)).any()) for row in shapes]
    return np.array(fits)[shape.reshape(-1)]


def _skipped(mask: NDArray[np.bool_], jobs: JobTable, why: str) -> str:
    number, lines = int(mask.sum()), jobs.line[mask]
    shown = ", ".join(map(str, lines[:3])) + (" ..." if number > 3 else "")
    return f"{number} of {len(jobs)} jobs skipped {why} (line {shown})"
