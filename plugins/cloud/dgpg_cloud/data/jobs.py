"""Load a job trace of any known format."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from dgpg.errors import ConfigError, DataError
from dgpg.files import Rows, read_text

from . import kubernetes
from .azure import azure_jobs, is_azure, is_azure_durations
from .columns import JobUnits
from .formats import PLAIN, job_format
from .kubernetes import is_kubernetes
from .openb import openb_jobs
from .packing import is_packing, packing_jobs
from .parquet import is_parquet, parquet_raw
from .plain import plain_jobs
from .screen import BadRows, Raw, csv_raw, screened
from .slurm import is_slurm, slurm_jobs, slurm_raw
from .swf import is_swf, swf_jobs, swf_raw
from .tables import JobTable

__all__ = ["load_jobs"]

Reader: TypeAlias = Callable[[Rows], JobTable]
_OTHERS = (
    "; sacct -P; kubectl get pods -o json; SWF (18 fields a line, ';' comments, name *.swf or *.swf.gz); "
    "Azure VM slice (lines like '1800000 m,|,a,|')"
)


def load_jobs(
    path: str | os.PathLike[str],
    memory_mib_per_vcpu: float = 4096.0,
    bad_rows: BadRows = "refuse",
    units: JobUnits | None = None,
) -> JobTable:
    """Load jobs from a trace file, gzip or not; its content tells the format.

    Known are a plain table (submit, duration or end, cpu, memory, gpu, gpu_model, count) and the pod list of the
    Alibaba GPU trace (`openb_pod_list*.csv`), both as CSV or Parquet; `sacct -P` of Slurm; `kubectl get pods -o
    json` of Kubernetes; the Standard Workload Format (`*.swf`, `*.swf.gz`); slices of the Azure VM trace
    (`v1.dev.txt`, whose duration partner and maps must lie in the same folder); and the Azure Traces for Packing
    2020 (SQLite).

    Args:
        path: the file.
        memory_mib_per_vcpu: memory of jobs that do not state it, MiB per vCPU.
        bad_rows: what becomes of rows that are wrong: refused, or left out with a note.
        units: of columns of a plain CSV whose names do not say them.

    Raises:
        DataError: with the file, line and field of the first wrong value, and every fault counted.
        ConfigError: the memory is not above 0.
    """
    if not (math.isfinite(memory_mib_per_vcpu) and memory_mib_per_vcpu > 0):
        raise ConfigError(f"memory_mib_per_vcpu: found {memory_mib_per_vcpu}, expected MiB above 0")
    path = Path(path)
    if is_packing(path):
        return packing_jobs(path, bad_rows)
    if is_parquet(path):
        raw, read = _table(parquet_raw(path), memory_mib_per_vcpu, units or JobUnits())
        return screened(raw, read, bad_rows, "workload.bad_rows")
    text = read_text(path)
    if is_azure_durations(text):
        raise DataError(f"{path}: found the durations of an Azure slice, expected the slice: name that file")
    if is_azure(text) and not is_swf(path, text):
        return azure_jobs(path, text, bad_rows)
    raw, read = _reader(path, text, memory_mib_per_vcpu, units or JobUnits())
    return screened(raw, read, bad_rows, "workload.bad_rows")


def _reader(path: Path, text: str, memory_mib_per_vcpu: float, units: JobUnits) -> tuple[Raw, Reader]:
    """Return the rows of a text, and what reads them."""
    if is_kubernetes(text):
        raw, notes = kubernetes.pods(path, text)
        return raw, lambda rows: plain_jobs(rows, JobUnits(), memory_mib_per_vcpu).noted(notes)
    if is_swf(path, text):
        return swf_raw(path, text), lambda rows: swf_jobs(rows, memory_mib_per_vcpu)
    if is_slurm(text):
        return slurm_raw(path, text), lambda rows: slurm_jobs(rows, memory_mib_per_vcpu)
    return _table(csv_raw(path, text), memory_mib_per_vcpu, units)


def _table(raw: Raw, memory_mib_per_vcpu: float, units: JobUnits) -> tuple[Raw, Reader]:
    """Return the rows of a table with a header, and what reads them."""
    if job_format(raw.path, raw.header, _OTHERS) == PLAIN:
        return raw.lower(), lambda rows: plain_jobs(rows, units, memory_mib_per_vcpu)
    return raw.lower(), openb_jobs
