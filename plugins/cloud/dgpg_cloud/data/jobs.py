"""Load a job trace of any known format."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from dgpg.errors import ConfigError, DataError
from dgpg.files import Rows, read_text

from .azure import azure_jobs, is_azure, is_azure_durations
from .columns import JobUnits
from .formats import PLAIN, job_format
from .openb import openb_jobs
from .plain import plain_jobs
from .screen import BadRows, Raw, csv_raw, screened
from .swf import is_swf, swf_jobs, swf_raw
from .tables import JobTable
from .text import csv_header

__all__ = ["load_jobs"]

Reader: TypeAlias = Callable[[Rows], JobTable]
_OTHERS = (
    "; SWF (18 fields a line, ';' comments, name *.swf or *.swf.gz); Azure VM slice (lines like '1800000 m,|,a,|')"
)


def load_jobs(
    path: str | os.PathLike[str],
    memory_mib_per_vcpu: float = 4096.0,
    bad_rows: BadRows = "refuse",
    units: JobUnits | None = None,
) -> JobTable:
    """Load jobs from a trace file, gzip or not; its content tells the format.

    Known are a plain table (submit, duration or end, cpu, memory, gpu, gpu_model, count), the pod list of the
    Alibaba GPU trace (`openb_pod_list*.csv`), the Standard Workload Format (`*.swf`, `*.swf.gz`) and slices of
    the Azure VM trace (`v1.dev.txt`, whose duration partner and maps must lie in the same folder).

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
    text = read_text(path)
    if is_azure_durations(text):
        raise DataError(f"{path}: found the durations of an Azure slice, expected the slice: name that file")
    if is_azure(text) and not is_swf(path, text):
        return azure_jobs(path, text, bad_rows)
    raw, read = _reader(path, text, memory_mib_per_vcpu, units or JobUnits())
    return screened(raw, read, bad_rows, "workload.bad_rows")


def _reader(path: Path, text: str, memory_mib_per_vcpu: float, units: JobUnits) -> tuple[Raw, Reader]:
    """Return the rows of a file, and what reads them."""
    if is_swf(path, text):
        return swf_raw(path, text), lambda rows: swf_jobs(rows, memory_mib_per_vcpu)
    if job_format(path, csv_header(text), _OTHERS) == PLAIN:
        return csv_raw(path, text, any_case=True), lambda rows: plain_jobs(rows, units, memory_mib_per_vcpu)
    return csv_raw(path, text), openb_jobs
