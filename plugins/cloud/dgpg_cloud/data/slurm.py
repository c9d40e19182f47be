"""Accounts of Slurm, as `sacct -P` prints them: columns divided by bars, times in UTC or the cluster's zone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from dgpg.errors import DataError
from dgpg.files import Rows

from .columns import JobUnits
from .plain import plain_jobs
from .screen import Raw, csv_raw
from .tables import JobTable
from .text import count

COLUMNS = ("JobID", "Submit", "Start", "End")
CPUS = ("AllocCPUS", "NCPUS", "ReqCPUS")
TRES = ("AllocTRES", "ReqTRES")
_PLAIN = ("id", "submit", "start", "end", "cpu", "memory_mib", "gpu", "gpu_model")
_MIB = {"K": 2.0**-10, "M": 1.0, "G": 2.0**10, "T": 2.0**20, "P": 2.0**30}
_MEMORY = re.compile(r"([\d.]+)([KMGTP]?)([nc]?)")


def is_slurm(text: str) -> bool:
    """Tell whether the first line names columns of `sacct`, divided by bars."""
    return "JobID" in text.lstrip().split("\n", 1)[0].split("|")


def slurm_raw(path: Path, text: str) -> Raw:
    """Return the jobs of an account; steps of jobs (`12.batch`) are left out.

    Raises:
        DataError: a column is missing.
    """
    raw = csv_raw(path, text, "|")
    for name in COLUMNS:
        if name not in raw.header:
            wanted = f"{','.join(COLUMNS)},AllocCPUS,ReqMem,AllocTRES"
            raise DataError(f"{path}:1: the header has no column {name}: write the file with sacct -P -X -o {wanted}")
    if not {*CPUS, *TRES} & set(raw.header):
        raise DataError(f"{path}:1: the header has neither AllocCPUS nor AllocTRES: add one of them to sacct -o")
    job = raw.header.index("JobID")
    keep = [i for i, cells in enumerate(raw.cells) if job >= len(cells) or "." not in cells[job]]
    return replace(raw, cells=[raw.cells[i] for i in keep], line=[raw.line[i] for i in keep])


def slurm_jobs(rows: Rows, memory_mib_per_vcpu: float) -> JobTable:
    """Return the jobs that ran, from Submit, for End - Start.

    The demand is what was allocated, or else requested; a job of several nodes asks one machine for their sum.
    """
    records = [dict(zip(rows.header, (cell.strip() for cell in cells), strict=True)) for cells in rows.cells]
    plain = Rows(rows.path, _PLAIN, [_plain(record) for record in records], rows.line)
    jobs = plain_jobs(plain, JobUnits(), memory_mib_per_vcpu)
    wide = sum(record.get("NNodes", "1") not in ("", "0", "1") for record in records)
    if not wide:
        return jobs
    note = f"{count(wide, 'job')} of several nodes: the simulator runs each on one machine with the sum of what it asks"
    return jobs.noted([note])


def _plain(record: dict[str, str]) -> list[str]:
    tres = _tres(next((record[name] for name in TRES if record.get(name)), ""))
    cpus = next((record[name] for name in CPUS if record.get(name, "0") not in ("", "0")), tres.get("cpu", ""))
    models = [name.partition(":")[2] for name in tres if name.startswith("gres/gpu:")]
    gpus = tres.get("gres/gpu") or next((tres[f"gres/gpu:{model}"] for model in models), "")
    times = [record[name] if record[name] not in ("Unknown", "None", "N/A") else "" for name in COLUMNS[1:]]
    memory = _mib(tres.get("mem") or record.get("ReqMem", ""), cpus, record.get("NNodes", "1"))
    return [record["JobID"], *times, cpus, memory, gpus, "|".join(models)]


def _tres(text: str) -> dict[str, str]:
    """Return what "cpu=4,mem=16G,gres/gpu:a100=2" says."""
    return {name: value for name, _, value in (item.partition("=") for item in text.split(",") if item)}


def _mib(text: str, cpus: str, nodes: str) -> str:
    """Return MiB: of the job, of each CPU ("4Gc") or each node ("4Gn"); blank for none or all ("0"); else the text."""
    found = _MEMORY.fullmatch(text)
    if found is None:
        return text
    value = float(found[1]) * _MIB[found[2] or "M"] if found[1].count(".") < 2 else 0.0
    times = {"c": cpus, "n": nodes}.get(found[3], "1")
    return f"{value * int(times):g}" if value and times.isdecimal() else ""
