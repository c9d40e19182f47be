"""Alibaba GPU cluster trace 2023 (openb): node list and pod list, CSV.

Weng et al., "Beware of Fragmentation", USENIX ATC 2023. Times are seconds from the start of the trace.
"""

from __future__ import annotations

import numpy as np

from dgpg.files import Rows

from .plausible import job_units, machine_units, once, seconds
from .prices import prices, speeds
from .tables import BoolArray, FloatArray, IntArray, JobTable, MachineTable, ordered_jobs
from .text import count

NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
POD_COLUMNS = (
    *("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec"),
    *("pod_phase", "creation_time", "deletion_time", "scheduled_time"),
)


def openb_machines(rows: Rows) -> MachineTable:
    """Return the nodes. The trace has neither prices nor speeds; columns `price` and `speed` of your own are used."""
    vcpu_milli = rows.whole("cpu_milli", low=1)
    memory_mib = rows.whole("memory_mib", low=1)
    gpus = rows.whole("gpu")
    models = rows.column("model")
    named = np.array([model != "" for model in models])
    rows.check((gpus == 0) | named, "model", "a GPU model for a node with GPUs")
    gpu_model = tuple(model if number else "" for model, number in zip(models, gpus, strict=True))
    machine_units(rows, "cpu_milli", vcpu_milli, "memory_mib", memory_mib)
    once(rows, "sn")
    price, priced = prices(rows, vcpu_milli, memory_mib, 1000 * gpus, gpu_model)
    speed, paced = speeds(rows)
    return MachineTable(
        name=tuple(rows.column("sn")),
        vcpu_milli=vcpu_milli,
        memory_mib=memory_mib,
        gpu_milli=1000 * gpus,
        gpu_model=gpu_model,
        speed=speed,
        price=price,
        source=rows.path.name,
        notes=priced + paced,
    )


def openb_jobs(rows: Rows) -> JobTable:
    """Return the pods that ran: from creation_time, for deletion_time - scheduled_time seconds.

    The GPU demand is num_gpu * gpu_milli. Pods without a scheduled_time never ran and are skipped.
    """
    vcpu_milli = rows.whole("cpu_milli", low=1)
    memory_mib = rows.whole("memory_mib")
    submit = rows.numbers("creation_time", low=0)
    scheduled = rows.numbers("scheduled_time", low=0, blank=np.nan)
    deleted = rows.numbers("deletion_time", low=0, blank=np.nan)
    rows.check(np.isnan(scheduled) | ~np.isnan(deleted), "deletion_time", "a time for a pod that was scheduled")
    for field, time in (("creation_time", submit), ("scheduled_time", scheduled), ("deletion_time", deleted)):
        seconds(rows, field, time)
    once(rows, "name")
    duration = deleted - scheduled
    rows.check(~(duration < 0), "deletion_time", "a time not before the scheduled_time of the row")
    keep = duration > 0
    jobs = ordered_jobs(
        rows.path,
        keep,
        submit_s=submit,
        duration_s=duration,
        vcpu_milli=vcpu_milli,
        memory_mib=memory_mib,
        gpu_milli=_gpu_milli(rows),
        gpu_models=[_models(spec) for spec in rows.column("gpu_spec")],
        line=rows.line,
        notes=_notes(rows, duration, deleted, memory_mib, keep),
    )
    return job_units(rows.path, jobs)


def _gpu_milli(rows: Rows) -> IntArray:
    gpus, share = rows.whole("num_gpu"), rows.whole("gpu_milli")
    fits = (gpus == 0) | ((share > 0) & (share <= 1000))
    rows.check(fits, "gpu_milli", "1 to 1000 (1/1000 of each GPU) for a pod with GPUs")
    advice = "write num_gpu = 1 if the pod asks for part of a GPU"
    rows.check((gpus > 0) | (share % 1000 == 0), "gpu_milli", "0 for a pod of num_gpu = 0", advice)
    return gpus * share


def _models(spec: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(model for model in spec.split("|") if model))


def _notes(rows: Rows, duration: FloatArray, deleted: FloatArray, memory_mib: IntArray, keep: BoolArray) -> list[str]:
    notes = []
    if never := int(np.isnan(duration).sum()):
        notes.append(f"{count(never, 'pod')} never scheduled (blank scheduled_time): skipped")
    if zero := int((duration == 0).sum()):
        notes.append(f"{count(zero, 'pod')} with run time 0 s: skipped")
    running = np.array([phase == "Running" for phase in rows.column("pod_phase")])
    last = np.nanmax(deleted, initial=0.0)
    if open_end := int((keep & running & (deleted == last)).sum()):
        notes.append(f"{count(open_end, 'pod')} still running at the end ({last:.0f} s): cut short there")
    whole = (rows.whole("num_gpu") == 0) & (rows.whole("gpu_milli") > 0)
    if number := int((keep & whole).sum()):
        notes.append(f"{count(number, 'pod')} of num_gpu = 0 with gpu_milli = 1000: taken to need no GPU")
    if lines := [rows.line[i] for i in np.flatnonzero(keep & (memory_mib == 0))]:
        shown = ", ".join(map(str, lines[:5])) + (" ..." if len(lines) > 5 else "")
        notes.append(f"{count(len(lines), 'pod')} asking 0 MiB of memory, taken as it is: line {shown}")
    return notes
