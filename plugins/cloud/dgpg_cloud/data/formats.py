"""Which format a CSV table is of, by the names of its columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dgpg.errors import DataError

from . import ec2, openb
from .plain import is_plain_jobs, is_plain_machines

Header = tuple[str, ...]
JOBS = {"openb pod list (CSV)": openb.POD_COLUMNS}
MACHINES = {"openb node list (CSV)": openb.NODE_COLUMNS, "EC2 catalogue (CSV)": ec2.COLUMNS}
PLAIN = "plain CSV"
_PLAIN_JOBS = f"; {PLAIN} with the columns submit, duration (or start and end), cpu, memory_gib"
_OF_JOBS = ("submit", "duration", "start", "end", "arriv")
"""Columns that machines have not, whatever follows these words."""
_PLAIN_MACHINES = f"; {PLAIN} with the columns cpu, memory_gib"


def job_format(path: Path, header: Header, others: str) -> str:
    """Return the format of a table of jobs; DataError if it is none, with `others` beside those known here."""
    if name := _jobs(header):
        return name
    if (name := _machines(header)) and not any(column.lower().startswith(_OF_JOBS) for column in header):
        raise DataError(f"{path}: found machines ({name}), expected jobs: name this file in machines.file")
    raise _unknown(path, header, JOBS, _PLAIN_JOBS + others)


def machine_format(path: Path, header: Header) -> str:
    """Return the format of a table of machines; DataError if it is none."""
    if name := _machines(header):
        return name
    if name := _jobs(header):
        raise DataError(f"{path}: found jobs ({name}), expected machines: name this file in workload.trace")
    raise _unknown(path, header, MACHINES, _PLAIN_MACHINES)


def _jobs(header: Header) -> str:
    return _named(header, JOBS) or (PLAIN if is_plain_jobs(map(str.lower, header)) else "")


def _machines(header: Header) -> str:
    pods = {"num_gpu", "creation_time"} & set(
        map(str.lower, header)
    )  # a pod list that lacks a column is no table of machines
    return _named(header, MACHINES) or (PLAIN if is_plain_machines(map(str.lower, header)) and not pods else "")


def _named(header: Header, formats: Mapping[str, Header]) -> str:
    names = {*header, *map(str.lower, header)}
    return next((name for name, columns in formats.items() if names.issuperset(columns)), "")


def _unknown(path: Path, header: Header, formats: Mapping[str, Header], others: str) -> DataError:
    known = "; ".join(f"{name} with the columns {', '.join(columns)}" for name, columns in formats.items())
    first = ",".join(header)
    start = first if len(first) <= 120 else f"{first[:120]}..."
    divider = next((mark for mark in (";", "\t") if len(header) == 1 and mark in first), "")
    advice = f"divide columns by commas, not by {divider!r}" if divider else "check the path, or rename the columns"
    return DataError(
        f"{path}:1: unknown format: found the header {start!r}, expected one of: {known}{others}: {advice}"
    )
