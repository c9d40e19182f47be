"""Alibaba GPU cluster trace 2023 (openb): node list and pod list, CSV.

Weng et al., "Beware of Fragmentation", USENIX ATC 2023. Times are seconds from the start of the trace.
"""

from __future__ import annotations

import numpy as np

from dgpg.files import Rows

from .tables import BoolArray, FloatArray, IntArray, JobTable, MachineTable, ordered_jobs
from .text import count

NODE_COLUMNS = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
POD_COLUMNS = (
    *("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec"),
    *("pod_phase", "creation_time", "deletion_time", "scheduled_time"),
)

# The trace has no prices. These rates are rounded from EC2 on-demand prices (Linux, us-east-1, price file of
# 2026-07-20). A least-squares fit of the relative error over 258 types (families m, c and r of generations 6
# to 8 with suffix a, i or g, not metal) gives 0.0346 USD per vCPU and 0.00334 USD per GiB and hour. A GPU
# costs what that leaves of the price of g4dn.xlarge (T4: 0.33), g5.xlarge (A10G: 0.81) and p3dn.24xlarge
# (8 V100: 3.2 each).
USD_PER_VCPU = 0.035
USD_PER_GIB = 0.0033
USD_PER_GPU = {"T4": 0.35, "A10": 0.80, "V100M16": 3.00, "V100M32": 3.00}
USD_PER_OTHER_GPU = 1.00
"""USD per hour of a GPU that EC2 does not sell: P100, and G1 to G3, whose names are not disclosed."""


def openb_machines(rows: Rows) -> MachineTable:
    """Return the nodes at speed 1, with prices estimated in USD per hour."""
    vcpu_milli = rows.whole("cpu_milli", low=1)
    memory_mib = rows.whole("memory_mib", low=1)
    gpus = rows.whole("gpu")
    models = rows.column("model")
    named = np.array([model != "" for model in models])
    rows.check((gpus == 0) | named, "model", "a GPU model for a node with GPUs")
    gpu_model = tuple(model if number else "" for model, number in zip(models, gpus, strict=True))
    gpu_rate = np.array([USD_PER_GPU.get(model, USD_PER_OTHER_GPU) for model in gpu_model])
    price = USD_PER_VCPU * vcpu_milli / 1000 + USD_PER_GIB * memory_mib / 1024 + gpu_rate * gpus
    return MachineTable(
        name=tuple(rows.column("sn")),
        vcpu_milli=vcpu_milli,
        memory_mib=memory_mib,
        gpu_milli=1000 * gpus,
        gpu_model=gpu_model,
        speed=np.ones(len(models)),
        price=price,
        source=rows.path.name,
        notes=(_price_note(gpu_model), "the file has no speeds: every node has speed 1"),
    )


def _price_note(gpu_model: tuple[str, ...]) -> str:
    note = (
        "the file has no prices: they are estimated from EC2 on-demand rates, "
        f"{USD_PER_VCPU:g} USD/h per vCPU, {USD_PER_GIB:g} USD/h per GiB and a rate per GPU"
    )
    others = sorted(set(gpu_model) - set(USD_PER_GPU) - {""})
    return f"{note} ({', '.join(others)}: {USD_PER_OTHER_GPU:g} USD/h, not sold by EC2)" if others else note


def openb_jobs(rows: Rows) -> JobTable:
    """Return the pods that ran: from creation_time, for deletion_time - scheduled_time seconds.

    The GPU demand is num_gpu * gpu_milli. Pods without a scheduled_time never ran and are skipped.
    """
    vcpu_milli = rows.whole("cpu_milli", low=1)
    memory_mib = rows.whole("memory_mib")
    submit = rows.numbers("creation_time", low=0)
    deleted = rows.numbers("deletion_time", low=0)
    duration = deleted - rows.numbers("scheduled_time", low=0, blank=np.nan)
    rows.check(~(duration < 0), "deletion_time", "a time not before the scheduled_time of the row")
    keep = duration > 0
    return ordered_jobs(
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


def _gpu_milli(rows: Rows) -> IntArray:
    gpus, share = rows.whole("num_gpu"), rows.whole("gpu_milli")
    fits = (gpus == 0) | ((share > 0) & (share <= 1000))
    rows.check(fits, "gpu_milli", "1 to 1000 (1/1000 of each GPU) for a pod with GPUs")
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
    last = deleted.max()
    if open_end := int((keep & running & (deleted == last)).sum()):
        notes.append(f"{count(open_end, 'pod')} still running at the end ({last:.0f} s): cut short there")
    if lines := [rows.line[i] for i in np.flatnonzero(keep & (memory_mib == 0))]:
        shown = ", ".join(map(str, lines[:5])) + (" ..." if len(lines) > 5 else "")
        notes.append(f"{count(len(lines), 'pod')} asking 0 MiB of memory, taken as it is: line {shown}")
    return notes
