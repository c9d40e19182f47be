"""The two tables every loader returns: machines and jobs, one array a column, in fixed units."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgpg.errors import DataError

BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MachineTable:
    """Machines, or machine types, one row each. The arrays are copies and read-only.

    Attributes:
        name: machine or type name.
        vcpu_milli: processing capacity, 1/1000 vCPU.
        memory_mib: memory, MiB.
        gpu_milli: GPU capacity, 1/1000 GPU; 0 where there is none.
        gpu_model: GPU model; "" where there is none.
        speed: relative speed, 1 = reference: a job of duration d runs for d / speed.
        price: USD per hour.
        source: where the rows come from.
        notes: what a user should know: estimated prices, rows left out and why.
    """

    name: tuple[str, ...]
    vcpu_milli: IntArray
    memory_mib: IntArray
    gpu_milli: IntArray
    gpu_model: tuple[str, ...]
    speed: FloatArray
    price: FloatArray
    source: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _freeze(self, ("vcpu_milli", "memory_mib", "gpu_milli"), np.int64)
        _freeze(self, ("speed", "price"), np.float64)
        _same_length(self, ("name", "vcpu_milli", "memory_mib", "gpu_milli", "gpu_model", "speed", "price"))

    def __len__(self) -> int:
        return len(self.name)

    def take(self, rows: Iterable[int] | Iterable[bool] | IntArray | BoolArray) -> MachineTable:
        """Return the table of the rows given by number (repeats allowed) or by a mask of length M."""
        index = np.arange(len(self))[list(rows)]
        return MachineTable(
            name=tuple(self.name[i] for i in index),
            vcpu_milli=self.vcpu_milli[index],
            memory_mib=self.memory_mib[index],
            gpu_milli=self.gpu_milli[index],
            gpu_model=tuple(self.gpu_model[i] for i in index),
            speed=self.speed[index],
            price=self.price[index],
            source=self.source,
            notes=self.notes,
        )


@dataclass(frozen=True, eq=False)
class JobTable:
    """Jobs in the order of their submission, one row each. The arrays are copies and read-only.

    Attributes:
        submit_s: time of submission, seconds from that of the first job; ascending.
        before: how many of the first jobs came before the recording, and are known because they ran when it began.
        duration_s: run time on a machine of speed 1, seconds, above 0.
        vcpu_milli: processing demand, 1/1000 vCPU, above 0.
        memory_mib: memory demand, MiB.
        gpu_milli: GPU demand over all GPUs of the job, 1/1000 GPU; 0 where it needs none.
        gpu_models: the GPU models each job may use; empty means any.
        line: line of the job in its file, counted from 1.
        source: where the rows come from.
        notes: what a user should know: rows skipped and why, values assumed.
    """

    submit_s: FloatArray
    duration_s: FloatArray
    vcpu_milli: IntArray
    memory_mib: IntArray
    gpu_milli: IntArray
    gpu_models: tuple[tuple[str, ...], ...]
    line: IntArray
    source: str
    notes: tuple[str, ...] = ()
    before: int = 0

    def __post_init__(self) -> None:
        _freeze(self, ("submit_s", "duration_s"), np.float64)
        _freeze(self, ("vcpu_milli", "memory_mib", "gpu_milli", "line"), np.int64)
        columns = ("submit_s", "duration_s", "vcpu_milli", "memory_mib", "gpu_milli", "gpu_models", "line")
        _same_length(self, columns)

    def __len__(self) -> int:
        return len(self.submit_s)

    def noted(self, notes: Iterable[str]) -> JobTable:
        """Return the table with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    def take(self, rows: BoolArray) -> JobTable:
        """Return the jobs of a mask `[jobs]` with at least one; the first of them is submitted at 0."""
        kept = np.flatnonzero(rows)
        return replace(
            self,
            submit_s=self.submit_s[kept] - self.submit_s[kept[0]],
            duration_s=self.duration_s[kept],
            vcpu_milli=self.vcpu_milli[kept],
            memory_mib=self.memory_mib[kept],
            gpu_milli=self.gpu_milli[kept],
            gpu_models=tuple(self.gpu_models[i] for i in kept),
            line=self.line[kept],
            before=int((kept < self.before).sum()),
        )

    def part(self, start: float, end: float) -> slice:
        """Return the rows between two shares of what was recorded."""
        recorded = len(self) - self.before
        return slice(self.before + int(recorded * start), self.before + int(recorded * end))


def ordered_jobs(
    path: Path,
    keep: BoolArray,
    *,
    submit_s: FloatArray,
    duration_s: FloatArray,
    vcpu_milli: ArrayLike,
    memory_mib: ArrayLike,
    gpu_milli: ArrayLike,
    gpu_models: list[tuple[str, ...]],
    line: ArrayLike,
    notes: Iterable[str],
    from_s: float = -np.inf,
) -> JobTable:
    """Return the jobs of `path` that `keep` marks, by time of submission (equal times in file order).

    The columns are as in `JobTable`, but in file order and with the clock of the file; by that clock the recording
    begins at `from_s`, and jobs that came earlier are only known if they still ran then.

    Raises:
        DataError: no row is kept.
    """
    if not keep.any():
        raise DataError(
            f"{path}: found no job that can be replayed among {keep.size} rows ({'; '.join(notes)}), "
            "expected at least one: check that this is the right file"
        )
    kept = np.flatnonzero(keep)
    order = kept[np.argsort(submit_s[kept], kind="stable")]
    return JobTable(
        submit_s=submit_s[order] - submit_s[order[0]],
        duration_s=duration_s[order],
        vcpu_milli=np.asarray(vcpu_milli)[order],
        memory_mib=np.asarray(memory_mib)[order],
        gpu_milli=np.asarray(gpu_milli)[order],
        gpu_models=tuple(gpu_models[i] for i in order),
        line=np.asarray(line)[order],
        source=path.name,
        notes=tuple(notes),
        before=int((submit_s[order] < from_s).sum()),
    )


def _freeze(table: object, columns: tuple[str, ...], dtype: type[np.generic]) -> None:
    for column in columns:
        values = np.array(getattr(table, column), dtype=dtype)
        values.flags.writeable = False
        object.__setattr__(table, column, values)


def _same_length(table: object, columns: tuple[str, ...]) -> None:
    lengths = {column: len(getattr(table, column)) for column in columns}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{type(table).__name__}: columns differ in length, expected one value a row, found {lengths}")
