"""A plain CSV of jobs, and one of machines: the format for clusters of one's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from dgpg.errors import DataError
from dgpg.files import Rows

from .columns import CPU, MEMORY, TIME, Column, JobUnits, Units, find, times
from .plausible import job_units, machine_units, once, seconds
from .prices import PRICE, SPEED, prices, speeds
from .tables import FloatArray, IntArray, JobTable, MachineTable, ordered_jobs
from .text import count

Group: TypeAlias = tuple[tuple[str, ...], dict[str, float]]
"""Names that mean the same, and units that may follow them."""

ID = ("id", "name", "job", "machine", "node")
CPUS = ("cpu", "cpus", "vcpu", "vcpus", "cores")
MEMORIES = ("memory", "mem", "ram")
GPUS = ("gpu", "gpus")
GPU = {"milli": 1.0, "count": 1000.0}
MODEL = ("gpu_model", "model")
COUNT = ("count",)
TIMES = ("submit", "duration", "start", "end")
BOTH: tuple[Group, ...] = ((ID, {}), (CPUS, CPU), (MEMORIES, MEMORY), (GPUS, GPU), (MODEL, {}), (COUNT, {}))
MOST_COPIES = 100_000
"""Of one row; more is a column of another meaning."""


def is_plain_jobs(header: Iterable[str]) -> bool:
    """Tell whether a header, in lower case, is that of jobs: submit and cpu at least."""
    names = tuple(header)
    return _has(names, ("submit",), TIME) and _has(names, CPUS, CPU)


def is_plain_machines(header: Iterable[str]) -> bool:
    """Tell whether a header, in lower case, is that of machines: cpu and memory, and no submit."""
    names = tuple(header)
    return _has(names, CPUS, CPU) and _has(names, MEMORIES, MEMORY) and not _has(names, ("submit",), TIME)


def plain_jobs(rows: Rows, units: JobUnits, memory_mib_per_vcpu: float) -> JobTable:
    """Return the jobs of a table with the columns submit, duration (or start and end, or end), cpu and more.

    Skipped and noted: jobs that have not started or not ended, and those of run time 0.
    """
    cpu, memory = _resources(rows, units)
    submit, duration, notes = _run_times(rows, units)
    ran = duration > 0
    vcpu_milli = np.rint(cpu.numbers(rows, blank=0.0))
    rows.check((vcpu_milli > 0) | ~ran, cpu.name, "a number above 0")
    per_vcpu = np.rint(vcpu_milli / 1000 * memory_mib_per_vcpu)
    asked = np.full(len(rows), np.nan) if memory is None else memory.numbers(rows, blank=np.nan)
    gpu_milli, models = _gpus(rows)
    _names(rows)
    if number := int((ran & np.isnan(asked)).sum()):
        notes.append(f"{count(number, 'job')} without memory: {memory_mib_per_vcpu:g} MiB per vCPU assumed")
    if (ran & (gpu_milli % 1000 > 0)).any():
        notes.append("parts of a GPU: the GPUs of a machine are one divisible amount, jobs may straddle two of them")
    for why, mask in (("not started or not ended", np.isnan(duration)), ("of run time 0", duration == 0)):
        if mask.any():
            notes.append(f"{count(int(mask.sum()), 'job')} {why}: skipped")
    each = np.repeat(np.arange(len(rows)), _copies(rows))
    jobs = ordered_jobs(
        rows.path,
        ran[each],
        submit_s=submit[each],
        duration_s=duration[each],
        vcpu_milli=vcpu_milli[each],
        memory_mib=np.where(np.isnan(asked), per_vcpu, np.ceil(asked))[each],
        gpu_milli=gpu_milli[each],
        gpu_models=[tuple(model for model in models[i].split("|") if model) for i in each],
        line=np.array(rows.line)[each],
        notes=[*notes, *_unused(rows, (*BOTH, (TIMES, TIME)))],
    )
    return job_units(rows.path, jobs)


def plain_machines(rows: Rows, units: Units) -> MachineTable:
    """Return the machines of a table with the columns cpu, memory and more, a row as often as `count` says.

    Raises:
        DataError: there is no column of memory, or a value is none.
    """
    cpu, memory = _resources(rows, units)
    if memory is None:
        raise DataError(f"{rows.path}: the header has no column memory, expected memory_gib or memory_mib: add it")
    vcpu_milli = np.rint(cpu.numbers(rows)).astype(np.int64)
    memory_mib = np.floor(memory.numbers(rows)).astype(np.int64)
    machine_units(rows, cpu.name, vcpu_milli, memory.name, memory_mib)
    gpu_milli, models = _gpus(rows)
    rows.check((gpu_milli == 0) | (np.array(models) != ""), _gpu_field(rows), "a GPU model for a machine with GPUs")
    gpu_model = tuple(model if milli else "" for model, milli in zip(models, gpu_milli, strict=True))
    price, priced = prices(rows, vcpu_milli, memory_mib, gpu_milli, gpu_model)
    speed, paced = speeds(rows)
    table = MachineTable(
        name=tuple(_names(rows)),
        vcpu_milli=vcpu_milli,
        memory_mib=memory_mib,
        gpu_milli=gpu_milli,
        gpu_model=gpu_model,
        speed=speed,
        price=price,
        source=rows.path.name,
        notes=(*priced, *paced, *_unused(rows, (*BOTH, ((*PRICE, SPEED), {})))),
    )
    return table.take(np.repeat(np.arange(len(rows)), _copies(rows)))


def _run_times(rows: Rows, units: JobUnits) -> tuple[FloatArray, FloatArray, list[str]]:
    """Return times of submission and run times `[rows]`, NaN where a job did not run to its end, and notes."""
    submitted, lasts, starts, ends = (_column(rows, (name,), TIME, units.time) for name in TIMES)
    assert submitted is not None  # else the file is none of this format
    submit = times(rows, submitted)
    rows.check(~np.isnan(submit), submitted.name, "a time")
    seconds(rows, submitted.name, submit)
    if lasts is not None:
        return submit, lasts.numbers(rows, blank=np.nan), []
    if ends is None:
        raise DataError(f"{rows.path}: the header has neither duration nor end, expected one of them: add it")
    end = times(rows, ends)
    begin = submit if starts is None else times(rows, starts)
    seconds(rows, ends.name, end)
    rows.check(~(end < begin), ends.name, f"a time not before {'submit' if starts is None else 'start'}")
    notes = ["no column start: the run times are from submit to end, waiting included"] if starts is None else []
    if early := int((begin < submit).sum()):
        notes.append(f"{count(early, 'job')} with a start before submit: are both of one clock?")
    return submit, end - begin, notes


def _resources(rows: Rows, units: Units) -> tuple[Column, Column | None]:
    cpu = _column(rows, CPUS, CPU, units.cpu)
    assert cpu is not None  # else the file is none of this format
    return cpu, _column(rows, MEMORIES, MEMORY, units.memory)


def _gpus(rows: Rows) -> tuple[IntArray, list[str]]:
    """Return 1/1000 GPU and the text of the model `[rows]`."""
    column, model = _column(rows, GPUS, GPU, "count"), _column(rows, MODEL)
    milli = np.zeros(len(rows)) if column is None else np.rint(column.numbers(rows, blank=0.0))
    return milli.astype(np.int64), [""] * len(rows) if model is None else rows.column(model.name)


def _gpu_field(rows: Rows) -> str:
    """Return the column of the GPU models, or else that of the GPUs, or else the first."""
    column = _column(rows, MODEL) or _column(rows, GPUS, GPU, "count")
    return column.name if column else rows.header[0]


def _copies(rows: Rows) -> IntArray:
    column = _column(rows, COUNT)
    if column is None:
        return np.ones(len(rows), dtype=np.int64)
    number = rows.whole(column.name, 1, blank=1)
    rows.check(number <= MOST_COPIES, column.name, f"{MOST_COPIES} or less")
    return number


def _names(rows: Rows) -> list[str]:
    column = _column(rows, ID)
    if column is None:
        return [f"{rows.path.name}:{line}" for line in rows.line]
    once(rows, column.name)
    return rows.column(column.name)


def _column(
    rows: Rows, stems: Iterable[str], units: dict[str, float] | None = None, bare: str | None = None
) -> Column | None:
    try:
        return find(rows.header, stems, units, bare)
    except DataError as error:
        setting = "" if "mean the same" in str(error) else ", or set workload.units.memory or machines.units.memory"
        raise DataError(f"{rows.path}: {error}{setting}") from None


def _has(header: tuple[str, ...], stems: tuple[str, ...], units: dict[str, float]) -> bool:
    return any(name in header for stem in stems for name in (stem, *(f"{stem}_{unit}" for unit in units)))


def _unused(rows: Rows, used: Iterable[Group]) -> list[str]:
    """Return a note that names the columns which mean nothing here."""
    groups = tuple(used)
    names = [name for name in rows.header if not any(_has((name,), stems, units) for stems, units in groups)]
    return [f"columns that are not used: {', '.join(names)}"] if names else []
