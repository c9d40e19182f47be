"""Azure Traces for Packing 2020 (Hadary et al., OSDI 2020), as published: one SQLite file.

Table `vm` has a row a request: vmId, tenantId, vmTypeId, priority, starttime and endtime in days (before 0: it ran when
the recording began; no end: it ran on). Table `vmType` says for each VM type and machine type which share of such a
machine a VM takes. Absolute sizes are nowhere: see `_sizes`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dgpg.errors import DataError
from dgpg.files import Rows

from .columns import Units
from .plain import plain_machines
from .screen import BadRows, lines_of
from .tables import BoolArray, FloatArray, IntArray, JobTable, MachineTable, ordered_jobs
from .text import count

MAGIC = b"SQLite format 3\x00"
DAY_S = 86_400.0
VCPU_MILLI, MEMORY_MIB = 64_000, 256 * 1024
"""What a machine type of geometric mean size is taken for."""
LEAST_SHARE = 1e-6
MOST_DAYS = 1e5
MOST_ID = 2.0**53
"""Beyond these no value is meant: a part of a machine, a time, a number that names something."""
PRIOR = 1e-3
"""Weight of taking machine types to be equally large: it settles what no VM type that fits on both of them does."""
OTHERS = ("hdd", "ssd", "nic")
TYPES = ("vmTypeId", "machineId", "core", "memory", *OTHERS)


def is_packing(path: Path) -> bool:
    """Tell whether a file starts as SQLite does; False if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


@dataclass(frozen=True)
class Types:
    """Which VM types fit on which machine types: P pairs, V VM types, M machine types."""

    vm: IntArray
    """VM type of each pair, index into `vm_id`, `[P]`."""
    machine: IntArray
    """Machine type of each pair, index into `machine_id`, `[P]`."""
    vm_id: IntArray
    machine_id: IntArray
    share: FloatArray
    """Part of the machine's vCPUs and memory, `[P, 2]`."""
    others: FloatArray
    """Part of its disks and network, 0 where unknown, `[P, 3]`."""

    def names(self, vm: int) -> tuple[str, ...]:
        """Machine types on which a VM type fits."""
        return tuple(_name(self.machine_id[m]) for m in np.sort(self.machine[self.vm == vm]))


def packing_jobs(path: Path, bad_rows: BadRows) -> JobTable:
    """Return the VMs, each on any of the machine types that its type fits on, and those that ran before the first.

    Raises:
        DataError: a table or column is missing, or a row is wrong and `bad_rows` is "refuse".
    """
    with _opened(path) as database:
        types = _types(path, database)
        row, kind, start, end = _table(path, database, "vm", ("rowid", "vmTypeId", "starttime", "endtime"))
    known = np.searchsorted(types.vm_id, kind).clip(max=len(types.vm_id) - 1)
    faults = {
        "vmTypeId: expected one of the table vmType": types.vm_id[known] != kind,
        "starttime: expected a number of days": ~(np.abs(start) <= MOST_DAYS),
        "endtime: expected days after starttime, or NULL": (end < start) | (end > MOST_DAYS),
    }
    good, notes = _sifted(path, row, faults, bad_rows)
    last = float(np.nanmax(end, initial=0.0))
    duration = (np.where(np.isnan(end), last, end) - start) * DAY_S
    open_end, never = good & np.isnan(end), good & ~(duration > 0)
    keep = good & (duration > 0)
    demand, off = _sizes(types)
    notes += [f"{count(int(never.sum()), 'VM')} with run time 0: skipped"] if never.any() else []
    if open_end.any():
        notes.append(f"{count(int(open_end.sum()), 'VM')} without an end: cut short at the last one, day {last:g}")
    if number := int((keep & (start < 0)).sum()):
        notes.append(f"{count(number, 'VM')} from before the recording, known because they ran when it began")
    allowed = [types.names(v) for v in range(len(types.vm_id))]
    return ordered_jobs(
        path, keep, submit_s=start * DAY_S, duration_s=duration, vcpu_milli=demand[known, 0],
        memory_mib=demand[known, 1], gpu_milli=np.zeros(len(row)), gpu_models=[allowed[v] for v in known], line=row,
        notes=[*notes, *_told(types, off, known[keep])], from_s=0.0,
    )  # fmt: skip


def packing_machines(path: Path) -> MachineTable:
    """Return the machine types, one row each, as large as the VM types that fit on them say.

    Raises:
        DataError: a table or column is missing.
    """
    with _opened(path) as database:
        types = _types(path, database)
    size = np.ceil(_machine_sizes(types)[0]).astype(int)
    names = tuple(_name(number) for number in types.machine_id)
    cells = [[name, str(cpu), str(memory)] for name, (cpu, memory) in zip(names, size.tolist(), strict=True)]
    rows = Rows(path, ("id", "cpu_milli", "memory_mib"), cells, list(range(1, len(cells) + 1)))
    return replace(plain_machines(rows, Units()), gpu_model=names)


def _name(machine: int) -> str:
    return f"machine type {machine}"


def _opened(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True))


def _table(path: Path, database: sqlite3.Connection, name: str, columns: tuple[str, ...]) -> list[FloatArray]:
    """Return columns of a table, NaN for NULL and -inf for what is no number."""
    numbers = ", ".join(
        f"CASE typeof({c}) WHEN 'text' THEN -9e999 WHEN 'blob' THEN -9e999 ELSE {c} END" for c in columns
    )
    try:
        rows = database.execute(f"SELECT {numbers} FROM {name}")
        flat = np.fromiter((np.nan if x is None else x for row in rows for x in row), np.float64)
    except sqlite3.Error as error:
        raise DataError(
            f"{path}: table {name} with the columns {', '.join(columns)}: {error}; expected the file of the "
            "Azure Traces for Packing 2020, unpacked: fetch it again"
        ) from None
    return list(flat.reshape(-1, len(columns)).T)


def _types(path: Path, database: sqlite3.Connection) -> Types:
    vm, machine, *shares = _table(path, database, "vmType", TYPES)
    share, others = np.stack(shares[:2], 1), np.nan_to_num(np.stack(shares[2:], 1)).clip(min=0)
    row, parts = np.arange(1, len(vm) + 1.0), (share >= LEAST_SHARE) & (share <= 1)
    named = (np.abs(vm) < MOST_ID) & (np.abs(machine) < MOST_ID)
    faults: dict[str, BoolArray] = {
        "vmTypeId or machineId: expected a number": np.asarray(~named),
        "core or memory: expected a part of a machine, above 0 and at most 1": np.asarray(~parts.all(1)),
    }
    _sifted(path, row, faults, "refuse", "of vmType", "correct them: sizes of all VMs hang together through them")
    if not len(vm):
        raise DataError(f"{path}: table vmType has no row, expected the VM types: fetch the file again")
    (vm_id, v), (machine_id, m) = (np.unique(x.astype(np.int64), return_inverse=True) for x in (vm, machine))
    return Types(v.reshape(-1), m.reshape(-1), vm_id, machine_id, share, others)


def _sifted(
    path: Path, row: FloatArray, faults: dict[str, BoolArray], bad_rows: BadRows, where: str = "of vm",
    advice: str = "correct them, or leave such rows out with workload.bad_rows=skip",
) -> tuple[BoolArray, list[str]]:  # fmt: skip
    """Return the rows without a fault, and notes on the others; DataError if they are refused."""
    good, told = np.ones(len(row), dtype=bool), []
    for what, mask in faults.items():
        wrong = mask & good
        good &= ~mask
        if wrong.any():
            told.append(f"{count(int(wrong.sum()), 'row')} {where}: {what}{lines_of(row[wrong].astype(int).tolist())}")
    if told and bad_rows == "refuse":
        raise DataError(f"{path}: {'; '.join(told)}: {advice}")
    return good, [f"skipped {one}" for one in told]


def _machine_sizes(types: Types) -> tuple[FloatArray, FloatArray]:
    """Return 1/1000 vCPU and MiB of machine types `[M, 2]` and of VM types `[V, 2]`.

    A VM is taken to be as large wherever it runs, so that machine types on which a VM type takes other shares are of
    other sizes: least squares of log share = log VM - log machine over all pairs.
    """
    pairs, vms, machines = len(types.vm), len(types.vm_id), len(types.machine_id)
    system = np.zeros((pairs + machines, vms + machines))
    at = np.arange(pairs)
    system[at, types.vm], system[at, vms + types.machine] = 1.0, -1.0
    system[pairs:, vms:] = PRIOR * np.eye(machines)
    known = np.concatenate([np.log(types.share), np.zeros((machines, 2))])
    found = np.exp(np.linalg.lstsq(system, known, rcond=None)[0]) * (VCPU_MILLI, MEMORY_MIB)
    return found[vms:], found[:vms]


def _sizes(types: Types) -> tuple[IntArray, float]:
    """Return 1/1000 vCPU and MiB of VM types `[V, 2]`, at most those of each machine type they fit on; and how far off.

    The second is the mean factor, less one, by which a share of the file differs from that of these sizes.
    """
    machine, vm = _machine_sizes(types)
    off = np.abs(np.log(vm[types.vm] / machine[types.machine] / types.share)).mean()
    least = np.full(vm.shape, np.inf)
    np.minimum.at(least, types.vm, machine[types.machine])
    whole: IntArray = np.maximum(np.floor(np.minimum(vm, least) * (1 + 1e-9)), 1).astype(np.int64)
    return whole, float(np.expm1(off))


def _told(types: Types, off: float, vm: IntArray) -> Iterable[str]:
    """Say what sizes are, and what of a VM is not simulated; `vm` are the types of those that are kept."""
    yield (
        f"sizes are shares of machines: an average machine type is taken for {VCPU_MILLI / 1000:g} vCPU and "
        f"{MEMORY_MIB / 1024:g} GiB, the others follow from VM types that fit on several"
        + (f" (shares differ from the file's by {100 * off:.2g} % on average)" if off > 0.001 else "")
    )
    larger = np.zeros(len(types.vm_id), dtype=bool)
    larger[types.vm[types.others.max(1) > types.share.max(1)]] = True
    if number := int(larger[vm].sum()):
        yield (
            f"{count(number, 'VM')} of {len(vm)} take a larger share of disks or network than of vCPU and memory: "
            "these are not simulated"
        )
