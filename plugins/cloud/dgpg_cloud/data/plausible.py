"""Values that are numbers and cannot be meant: other units, a row in milliseconds, a name that stands twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dgpg.errors import DataError
from dgpg.files import Rows

from .tables import FloatArray, IntArray, JobTable

LEAST_MACHINE_MILLI = 250
"""1/1000 vCPU. A machine of less is written in vCPU: the largest have some hundred."""
MOST_MACHINE_MILLI = 8_192_000
"""1/1000 vCPU. A machine of more is written in 1/1000 vCPU where vCPU are meant."""
LEAST_MACHINE_MIB = 256
"""A machine of less is written in GiB (or TiB): the smallest sold have 512."""
MOST_MIB_PER_VCPU = 1 << 20
"""1 TiB a vCPU: a machine of more is written in KiB or bytes."""
LARGEST_JOB_MILLI = 100
"""1/1000 vCPU. A trace whose every job asks for less is written in vCPU."""
LEAST_MIB_PER_VCPU = 16
"""Half of the jobs ask for more, MiB a vCPU, or the trace is written in GiB."""
MOST_OF_WORK = 0.2
"""Part of the vCPU work of a trace; a job that brings more is told."""
YEAR_S = 365.25 * 86_400
MOST_S = 10 * YEAR_S
"""Half of the jobs of a trace run shorter."""
FEW = 10
"""Of fewer jobs than twice as many nothing is told by their usual size."""
LONG = 10
"""A usual run time this many times the time in which all jobs come may be in another unit."""
LATEST_S = 1e11
"""Seconds since 1970 up to the year 5138: later times are in milliseconds or less."""
SCALE_MS = 1000
QUIET = 100
"""A time this many times later than all before it, which fits among them as milliseconds, is in milliseconds."""
SHORTEST_TRACE_S = 3600.0
"""Of a shorter trace nothing can be told: it may go on after a long pause."""


def once(rows: Rows, field: str, among: np.ndarray | None = None) -> None:
    """Raise RowError for rows whose name stood in the file before; only those marked `among` count `[rows]`."""
    seen: set[str] = set()
    good = np.ones(len(rows), dtype=bool)
    for i, name in enumerate(rows.column(field)):
        if name and (among is None or among[i]):
            good[i] = name not in seen
            seen.add(name)
    rows.check(good, field, "a name that no row before has", "rename or remove it")


def machine_units(rows: Rows, cpu: str, vcpu_milli: IntArray, memory: str, memory_mib: IntArray) -> None:
    """Raise RowError for machines whose columns, named `cpu` and `memory`, must be in other units `[rows]`."""
    rows.check(
        vcpu_milli >= LEAST_MACHINE_MILLI, cpu, f"a machine of {LEAST_MACHINE_MILLI / 1000:g} vCPU or more",
        "these are probably vCPU where 1/1000 vCPU are meant: multiply by 1000",
    )  # fmt: skip
    rows.check(
        vcpu_milli <= MOST_MACHINE_MILLI, cpu, f"a machine of {MOST_MACHINE_MILLI / 1000:g} vCPU or less",
        "these are probably 1/1000 vCPU where vCPU are meant: divide by 1000, or name the column cpu_milli",
    )  # fmt: skip
    rows.check(
        memory_mib >= LEAST_MACHINE_MIB, memory, f"a machine of {LEAST_MACHINE_MIB} MiB or more",
        "these are probably GiB where MiB are meant: multiply by 1024",
    )  # fmt: skip
    rows.check(
        memory_mib * 1000 <= MOST_MIB_PER_VCPU * vcpu_milli, memory, "1 TiB a vCPU or less",
        "these are probably KiB or bytes where MiB are meant: divide by 1024 or 1048576",
    )  # fmt: skip


def job_units(path: Path, jobs: JobTable) -> JobTable:
    """Return the jobs, with a note on one that is most of the work; DataError if all are in other units."""
    largest = int(jobs.vcpu_milli.max())
    if largest < LARGEST_JOB_MILLI:
        raise DataError(
            f"{path}: vCPU: the largest job asks for {largest}/1000 vCPU, expected one of {LARGEST_JOB_MILLI}/1000 "
            "or more: these are probably vCPU where 1/1000 vCPU are meant: multiply by 1000"
        )
    jobs = run_times(path, jobs)
    asks = jobs.memory_mib > 0
    ratio = float(np.median(1000 * jobs.memory_mib[asks] / jobs.vcpu_milli[asks])) if asks.any() else np.inf
    if ratio < LEAST_MIB_PER_VCPU:
        raise DataError(
            f"{path}: memory: the jobs ask for {ratio:.3g} MiB a vCPU (median), expected {LEAST_MIB_PER_VCPU} or more: "
            "these are probably GiB where MiB are meant: multiply by 1024"
        )
    if len(jobs) >= 2 * FEW and largest <= 1000 and 0 < jobs.memory_mib.max() <= 1024:
        jobs = jobs.noted(
            ["no job asks for more than 1 vCPU and 1 GiB: if these are shares of a machine, multiply by its size"]
        )
    work = jobs.duration_s * jobs.vcpu_milli
    most, total = int(work.argmax()), float(work.sum())
    if len(jobs) < 2 / MOST_OF_WORK or work[most] <= MOST_OF_WORK * total:
        return jobs
    return jobs.noted(
        [f"line {jobs.line[most]} alone brings {100 * work[most] / total:.0f} % of the vCPU work: it runs "
         f"{jobs.duration_s[most]:,.0f} s"]
    )  # fmt: skip


def run_times(path: Path, jobs: JobTable) -> JobTable:
    """Return the jobs, with a note if their run times may not be in the unit of submissions; DataError if not in s."""
    if (longest := float(jobs.duration_s.max())) < 1:
        raise DataError(
            f"{path}: run times: the longest is {longest:.3g} s, expected one of a second or more: these are probably "
            "hours or minutes where seconds are meant: say so in the columns' names or in workload.units.time"
        )
    median = float(np.median(jobs.duration_s))
    if median > MOST_S:
        raise DataError(
            f"{path}: run times: half of them are above {median / YEAR_S:,.0f} years, expected at most "
            f"{MOST_S / YEAR_S:.0f}: these are probably milliseconds or microseconds: say so in the columns' names or "
            "in workload.units.time"
        )
    span = float(jobs.submit_s[-1])
    if len(jobs) >= 2 * FEW and median > LONG * span > 0:
        jobs = jobs.noted(
            [f"half of the jobs run longer than {median:,.0f} s, and all come within {span:,.0f} s: if these are not "
             "in one unit, name it in the columns, as in duration_ms"]
        )  # fmt: skip
    return jobs


def seconds(rows: Rows, field: str, time: FloatArray) -> None:
    """Raise RowError for rows whose time, NaN where unknown, is in milliseconds, all or some `[rows]`."""
    rows.check(
        ~(time > LATEST_S), field, f"seconds, at most {LATEST_S:.0e} from 1970 on",
        "these are probably milliseconds: divide them, or say so in the column's name or in workload.units.time",
    )  # fmt: skip
    known = np.sort(time[~np.isnan(time)])
    later = np.flatnonzero((known[:-1] >= SHORTEST_TRACE_S) & (known[1:] > QUIET * known[:-1]))
    if not later.size:
        return
    last = float(known[later[-1]])
    above = time > last
    if above.sum() < len(known) / 2 and (time[above] <= 2 * SCALE_MS * last).all():
        expected = f"seconds; all other rows end by {last:.0f}"
        rows.check(~above, field, expected, "it is probably in milliseconds: divide by 1000")
