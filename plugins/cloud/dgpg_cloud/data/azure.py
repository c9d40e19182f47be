"""Slices of the Azure VM trace 2017 (v1), as prepared by Bergsma et al., SOSP 2021.

A slice has a line per 300 s: the time in seconds, then a letter per VM that arrived; "|" ends the batch of
a tenant. Its partner `<slice>.c<seconds>.txt` has, in the same places, "U" (finished) or "C" (still running
at that second) with the number of a duration bin. `flav_map.txt` maps letters to sizes,
`<version>.interval_map.txt` seconds to bins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dgpg.errors import DataError
from dgpg.files import read_text, wrong

from .screen import BadRows, lines_of
from .tables import FloatArray, JobTable, ordered_jobs
from .text import count, field_rows

BIN_S = 300.0
"""Length of an arrival bin, and resolution of every time in the trace, seconds."""

SKIP = "or leave such lines out with workload.bad_rows=skip"
Bin = tuple[int, float, list[str]]  # line in the file, time in seconds, one token per VM
Codes = Mapping[str, tuple[float, ...]]  # what a letter or a bin stands for
_FIRST_LINE = re.compile(r"\d+ +[a-z|](,|\s|$)")


def is_azure(text: str) -> bool:
    """Tell whether the text starts like a slice: seconds, then flavours."""
    return _FIRST_LINE.match(text) is not None


def is_azure_durations(text: str) -> bool:
    """Tell whether the text starts like the duration partner of a slice."""
    return re.match(r"\d+ +[UC]\d+,", text) is not None


def azure_jobs(path: Path, text: str, bad_rows: BadRows = "refuse") -> JobTable:
    """Return the VMs of a slice. Its partner and its two maps are read from the same folder.

    With `bad_rows` "skip", a line that is wrong, or does not match that of the partner, is left out of both and told.

    The VMs of a line arrive in order, evenly over its 300 s. A finished VM runs for the middle of its
    duration bin; one still running at the end for the lower edge of its bin: its duration is a lower bound.
    GB are read as GiB.
    """
    partner = _partner(path)
    interval_map = path.with_name(f"{path.name.split('.')[0]}.interval_map.txt")
    sizes, ran = _flavours(path.with_name("flav_map.txt")), _durations(interval_map)
    skipped: list[str] = []
    partner_text = read_text(partner)
    if bad_rows == "skip":
        text, partner_text, skipped = _sound(text, partner_text, sizes, ran)
    arrivals, durations = _bins(path, text), _bins(partner, partner_text)
    _check_aligned(path, arrivals, partner, durations)
    flavour = _decode(path, arrivals, sizes, "VM size", "flav_map.txt")
    seconds = _decode(partner, durations, ran, "duration", interval_map.name)
    submit = [time + BIN_S * np.arange(len(vms)) / len(vms) for _, time, vms in arrivals if vms]
    censored = sum(token.startswith("C") for _, _, tokens in durations for token in tokens)
    notes = ["durations are known by bins only: the middle of the bin is used"]
    if censored:
        notes.append(f"{count(censored, 'VM')} still running at the end: the lower edge of the bin is used")
    notes += skipped
    jobs = len(seconds)
    return ordered_jobs(
        path,
        np.ones(jobs, dtype=bool),
        submit_s=np.concatenate(submit) if submit else np.zeros(0),
        duration_s=seconds[:, 0],
        vcpu_milli=flavour[:, 0],
        memory_mib=flavour[:, 1],
        gpu_milli=np.zeros(jobs),
        gpu_models=[()] * jobs,
        line=np.repeat([line for line, _, _ in arrivals], [len(vms) for _, _, vms in arrivals]),
        notes=notes,
    )


def _partner(path: Path) -> Path:
    pattern = re.compile(re.escape(path.stem) + r"\.c\d+\.txt(\.gz)?")
    found = sorted(other for other in path.parent.iterdir() if pattern.fullmatch(other.name))
    if len(found) != 1:
        what = ", ".join(other.name for other in found) or "none"
        raise DataError(
            f"{path}: duration partner: found {what}, expected one file {path.stem}.c<seconds>.txt "
            f"in {path.parent}: put the one that belongs to this slice there"
        )
    return found[0]


def _bins(path: Path, text: str) -> list[Bin]:
    bins = []
    for line, content in enumerate(text.split("\n"), start=1):
        if content.strip():
            time, tokens = _split(content)
            if not time.isdecimal():
                raise wrong(f"{path}:{line}", "time", time, "whole seconds", f"fetch the file again, {SKIP}")
            bins.append((line, float(time), tokens))
    return bins


def _sound(text: str, partner: str, sizes: Codes, ran: Codes) -> tuple[str, str, list[str]]:
    """Return both texts with nothing in the lines that are wrong in either, and what was left out."""
    lines, others = text.split("\n"), partner.split("\n")
    faults: dict[str, list[int]] = {}
    for i, (came, run) in enumerate(zip(lines, others, strict=False)):
        if fault := _fault(came, run, sizes, ran):
            faults.setdefault(fault, []).append(i + 1)
            lines[i] = others[i] = ""
    notes = [f"{count(len(at), 'line')} skipped: {fault}{lines_of(at)}" for fault, at in faults.items()]
    return "\n".join(lines), "\n".join(others), notes


def _fault(came: str, run: str, sizes: Codes, ran: Codes) -> str:
    """Say what is wrong with a line of a slice and that of its partner; "" if nothing is."""
    if not came.strip() or not run.strip():
        return ""  # where one alone is blank, a file is truncated: that is refused
    time, names = _split(came)
    other, codes = _split(run)
    if not time.isdecimal() or time != other:
        return "time that is no whole seconds, or not that of the partner"
    if len(names) != len(codes):
        return "another number of VMs than of durations"
    if not set(names) <= set(sizes) or not set(codes) <= set(ran):
        return "VM size or duration that is in no map"
    return ""


def _split(line: str) -> tuple[str, list[str]]:
    """Return the time and the tokens of VMs of a line."""
    time, _, tokens = line.strip().partition(" ")
    return time, [t for t in tokens.split(",") if t.strip("| ")]


def _check_aligned(path: Path, arrivals: list[Bin], partner: Path, durations: list[Bin]) -> None:
    advice = "the two files do not belong together or one is truncated; fetch both again"
    line_advice = f"{advice}, {SKIP}"
    for (line, time, vms), (other, other_time, tokens) in zip(arrivals, durations, strict=False):
        if time != other_time:
            raise wrong(f"{partner}:{other}", "time", f"{other_time:.0f}", f"{time:.0f} as in {path.name}", line_advice)
        if len(vms) != len(tokens):
            expected = f"{len(vms)} as in {path.name}:{line}"
            raise wrong(f"{partner}:{other}", "number of durations", str(len(tokens)), expected, line_advice)
    if len(arrivals) != len(durations):
        short, long = (arrivals, durations) if len(arrivals) < len(durations) else (durations, arrivals)
        name, other_name = (path, partner.name) if short is arrivals else (partner, path.name)
        found, expected = f"{len(short)} lines", f"{len(long)} as in {other_name}"
        raise wrong(f"{name}:{short[-1][0]}", "end of file", found, expected, advice)


def _decode(path: Path, bins: list[Bin], codes: dict[str, tuple[float, ...]], field: str, map_name: str) -> FloatArray:
    """Return what each token stands for, a row a VM."""
    try:
        return np.array([codes[token] for _, _, tokens in bins for token in tokens], dtype=float)
    except KeyError as error:
        token = error.args[0]
    line = next(line for line, _, tokens in bins if token in tokens)
    raise wrong(f"{path}:{line}", field, token, f"a code of {map_name}", f"correct it, fetch both files again, {SKIP}")


def _flavours(path: Path) -> dict[str, tuple[float, ...]]:
    """Return 1/1000 vCPU and MiB by letter; a line is "vCPU,GB letter"."""
    lines = read_text(path).replace(",", " ").split("\n")
    rows = field_rows(path, lines, ("vcpu", "memory_gb", "letter"))
    vcpu_milli = np.rint(1000 * rows.numbers("vcpu", low=0))
    memory_mib = np.rint(1024 * rows.numbers("memory_gb", low=0))
    rows.check(vcpu_milli > 0, "vcpu", "a number above 0")
    sizes = zip(vcpu_milli.tolist(), memory_mib.tolist(), strict=True)
    return dict(zip(rows.column("letter"), sizes, strict=True))


def _durations(path: Path) -> dict[str, tuple[float, ...]]:
    """Return seconds by code; a line is "seconds bin".

    Times in the trace are multiples of 300 s. A VM of 0 s ended in the 300 s it started in: 150 s are used.
    """
    rows = field_rows(path, read_text(path).split("\n"), ("seconds", "bin"))
    seconds, bins = rows.numbers("seconds", low=0), rows.whole("bin")
    codes: dict[str, tuple[float, ...]] = {}
    for bin_ in np.unique(bins):
        inside = seconds[bins == bin_]
        low, high = float(inside.min()), float(inside.max())
        codes[f"U{bin_}"] = (max((low + high) / 2, BIN_S / 2),)
        codes[f"C{bin_}"] = (max(low, BIN_S / 2),)
    return codes
