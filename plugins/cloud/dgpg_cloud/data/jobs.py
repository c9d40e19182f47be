"""Load a job trace of any known format."""

from __future__ import annotations

import math
import os
from pathlib import Path

from dgpg.errors import ConfigError, DataError
from dgpg.files import csv_rows, read_text

from .azure import azure_jobs, is_azure, is_azure_durations
from .openb import POD_COLUMNS, openb_jobs
from .swf import is_swf, swf_jobs
from .tables import JobTable
from .text import csv_format

__all__ = ["load_jobs"]

_OTHERS = (
    "; SWF (18 fields a line, ';' comments, name *.swf or *.swf.gz); Azure VM slice (lines like '1800000 m,|,a,|')"
)


def load_jobs(path: str | os.PathLike[str], memory_mib_per_vcpu: float = 4096.0) -> JobTable:
    """Load jobs from a trace file, plain or gzip; its content tells the format.

    Known are the pod list of the Alibaba GPU trace (`openb_pod_list*.csv`), the Standard Workload Format
    (`*.swf`, `*.swf.gz`) and slices of the Azure VM trace (`v1.dev.txt`, whose duration partner and maps must
    lie in the same folder).

    Args:
        path: the file.
        memory_mib_per_vcpu: memory of SWF jobs that do not state it, MiB per vCPU.

    Raises:
        DataError: with the file, line and field of the first wrong value.
        ConfigError: the memory is not above 0.
    """
    if not (math.isfinite(memory_mib_per_vcpu) and memory_mib_per_vcpu > 0):
        raise ConfigError(f"memory_mib_per_vcpu: found {memory_mib_per_vcpu}, expected MiB above 0")
    path = Path(path)
    text = read_text(path)
    if is_swf(path, text):
        return swf_jobs(path, text, memory_mib_per_vcpu)
    if is_azure_durations(text):
        raise DataError(f"{path}: found the durations of an Azure slice, expected the slice: name that file")
    if is_azure(text):
        return azure_jobs(path, text)
    csv_format(path, text, {"openb pod list (CSV)": POD_COLUMNS}, _OTHERS)
    return openb_jobs(csv_rows(path, text=text))
