"""Standard Workload Format (SWF) of the Parallel Workloads Archive: 18 fields a line, ";" comments.

https://www.cs.huji.ac.il/labs/parallel/workload/swf.html. -1 means unknown. One processor is one vCPU.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dgpg.files import Rows

from .plausible import once, run_times, seconds
from .screen import Raw, field_raw
from .tables import BoolArray, FloatArray, JobTable, ordered_jobs
from .text import count

FIELDS = (
    *("job", "submit", "wait", "run", "processors", "cpu_time", "used_memory", "requested_processors"),
    *("requested_time", "requested_memory", "status", "user", "group", "executable", "queue", "partition"),
    *("preceding_job", "think_time"),
)
PARTIAL = (2, 3, 4)
"""Status of a line that holds part of a job; the whole job has a line of its own."""


def is_swf(path: Path, text: str) -> bool:
    """Tell whether the name or the first line is that of an SWF file."""
    first = text.lstrip().split("\n", 1)[0]
    named = path.name.lower().endswith((".swf", ".swf.gz"))
    return named or first.startswith(";") or (first[0].isdecimal() and len(first.split()) == len(FIELDS))


def swf_raw(path: Path, text: str) -> Raw:
    """Return the lines of a log, divided at blanks, without comments."""
    return field_raw(path, text.split("\n"), FIELDS, comment=";")


def swf_jobs(rows: Rows, memory_mib_per_vcpu: float) -> JobTable:
    """Return the jobs of an SWF log that ran.

    The demand is the processors allocated, or else requested, with the memory used, or else requested, or
    else `memory_mib_per_vcpu` MiB a processor. Skipped and noted: jobs whose run time or processors are
    unknown, jobs with run time 0 (cancelled before they started), and lines that repeat part of a job.
    """
    submit, run = rows.numbers("submit", low=0), _known(rows, "run")
    processors, memory = _processors(rows, run), _memory_mib(rows)
    skipped = _skipped(rows, run, processors)
    once(rows, "job", among=~np.isin(rows.numbers("status", low=-1), PARTIAL))
    seconds(rows, "submit", submit)
    keep = ~np.logical_or.reduce(list(skipped.values()))
    assumed = np.isnan(memory)
    notes = [f"{_plural(noun, int(mask.sum()))}: skipped" for noun, mask in skipped.items() if mask.any()]
    if number := int((keep & assumed).sum()):
        notes.append(f"{count(number, 'job')} without memory: {memory_mib_per_vcpu:g} MiB per vCPU assumed")
    processors = np.where(keep, processors, 0.0)
    jobs = ordered_jobs(
        rows.path,
        keep,
        submit_s=submit,
        duration_s=run,
        vcpu_milli=1000 * processors,
        memory_mib=np.rint(processors * np.where(assumed, memory_mib_per_vcpu, memory)),
        gpu_milli=np.zeros(len(run)),
        gpu_models=[()] * len(run),
        line=rows.line,
        notes=notes,
    )
    return run_times(rows.path, jobs)


def _skipped(rows: Rows, run: FloatArray, processors: FloatArray) -> dict[str, BoolArray]:
    """Return why lines are skipped, and which."""
    partial = np.isin(rows.numbers("status", low=-1), PARTIAL)
    return {
        "line with part of a job (status 2, 3 or 4)": partial,
        "job with unknown run time": ~partial & np.isnan(run),
        "job with run time 0 (cancelled before start)": ~partial & (run == 0),
        "job with unknown processors": ~partial & (run > 0) & np.isnan(processors),
    }


def _known(rows: Rows, field: str) -> FloatArray:
    """Return a field of numbers of at least 0, NaN where it is -1."""
    values = rows.numbers(field, low=-1)
    rows.check((values == -1) | (values >= 0), field, "a number of at least 0, or -1 (unknown)")
    return np.where(values == -1, np.nan, values)


def _processors(rows: Rows, run: FloatArray) -> FloatArray:
    """Return the processors allocated, or else requested, NaN where neither is known (0 requested is not)."""
    allocated, requested = _known(rows, "processors"), _known(rows, "requested_processors")
    for field, values in (("processors", allocated), ("requested_processors", requested)):
        rows.check(np.isnan(values) | (values == np.floor(values)), field, "a whole number")
    idle = (run > 0) & (allocated == 0)
    rows.check(~idle, "processors", "1 or more for a job that ran, or -1 (unknown)")
    return np.where(np.isnan(allocated), np.where(requested > 0, requested, np.nan), allocated)


def _memory_mib(rows: Rows) -> FloatArray:
    """Return MiB per processor used, or else requested, NaN where neither is known (0 is not)."""
    used, requested = _known(rows, "used_memory"), _known(rows, "requested_memory")
    kib = np.where(used > 0, used, requested)
    return np.where(kib > 0, kib / 1024, np.nan)


def _plural(noun: str, number: int) -> str:
    head, rest = noun.split(" ", 1)
    return f"{count(number, head)} {rest}"
