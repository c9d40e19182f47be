"""Amazon EC2 instance types: the catalogue CSV, and a dozen types embedded for use without any file."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from dgpg.files import Rows

from .plausible import machine_units, once
from .prices import SPEED, speeds
from .tables import FloatArray, MachineTable
from .text import count

COLUMNS = (
    *("instance_type", "vcpu", "memory_mib", "clock_mhz"),
    *("gpu_count", "gpu_name", "price_usd_per_hour"),
)
REFERENCE_MHZ = 3200.0
"""Clock of speed 1: that of m7i, c7i and r7i."""


def speed_of(clock_mhz: ArrayLike) -> FloatArray:
    """Return the relative speed: sqrt(clock / 3200 MHz), or 1 where the clock is unknown (0).

    The clock is the only measure of speed in the catalogue, and a poor one: work per cycle differs between
    processors, memory does not get faster with the clock, and a vCPU is a whole core on some types and half
    a core on others. The square root takes half of the difference (in logarithms) and gives 0.77 (1.9 GHz)
    to 1.25 (5 GHz) over the catalogue. Use a benchmark of your own jobs where you have one.
    """
    clock = np.asarray(clock_mhz, dtype=float)
    return np.where(clock > 0, np.sqrt(clock / REFERENCE_MHZ), 1.0)


def ec2_machines(rows: Rows) -> MachineTable:
    """Return the types of a catalogue at its prices, USD per hour. A column `speed` of your own replaces the clock."""
    vcpu = rows.whole("vcpu", low=1)
    memory_mib = rows.whole("memory_mib", low=1)
    gpus = rows.whole("gpu_count")
    clock = rows.numbers("clock_mhz", low=0)
    machine_units(rows, "vcpu", 1000 * vcpu, "memory_mib", memory_mib)
    once(rows, "instance_type")
    price = rows.numbers("price" if "price" in rows.header else "price_usd_per_hour", low=0)
    gpu_names = rows.column("gpu_name")
    partial = np.array([name != "" for name in gpu_names]) & (gpus == 0)
    speed, notes = _speeds(rows, clock)
    if partial.any():
        notes.append(f"{count(int(partial.sum()), 'type')} with part of a GPU (gpu_count 0): skipped")
    return MachineTable(
        name=tuple(rows.column("instance_type")),
        vcpu_milli=1000 * vcpu,
        memory_mib=memory_mib,
        gpu_milli=1000 * gpus,
        gpu_model=tuple(name if number else "" for name, number in zip(gpu_names, gpus, strict=True)),
        speed=speed,
        price=price,
        source=rows.path.name,
        notes=tuple(notes),
    ).take(~partial)


def _speeds(rows: Rows, clock: FloatArray) -> tuple[FloatArray, list[str]]:
    """Return the speeds `[rows]` and notes: the column `speed` if there is one, estimates from the clock if not."""
    if SPEED in rows.header:
        own, paced = speeds(rows)
        return own, list(paced)
    notes = ["speeds are estimated from the clock: sqrt(clock / 3200 MHz)"]
    if unknown := int((clock == 0).sum()):
        notes.append(f"{count(unknown, 'type')} with unknown clock (0): speed 1")
    return speed_of(clock), notes


# Type, vCPU, GiB, clock in MHz, USD per hour. Linux on-demand in us-east-1, price file generated 2026-07-20,
# as published in aws/karpenter-provider-aws (Apache-2.0): instance-types.md, zz_generated.pricing_aws.go.
# Generations 7 and 8 of general purpose (m, 4 GiB per vCPU), compute (c, 2) and memory (r, 8): Intel (i),
# AMD (a) and Graviton (g), 2 to 16 vCPU, 8 on average.
_EC2 = (
    ("c7g.2xlarge", 8, 16, 2600, 0.29),
    ("c7i.xlarge", 4, 8, 3200, 0.1785),
    ("c8a.2xlarge", 8, 16, 4500, 0.43108),
    ("c8g.4xlarge", 16, 32, 2800, 0.63808),
    ("m7g.xlarge", 4, 16, 2600, 0.1632),
    ("m7i.large", 2, 8, 3200, 0.1008),
    ("m8a.4xlarge", 16, 64, 4500, 0.97376),
    ("m8g.2xlarge", 8, 32, 2800, 0.35904),
    ("r7g.xlarge", 4, 32, 2600, 0.2142),
    ("r7i.large", 2, 16, 3200, 0.1323),
    ("r8g.2xlarge", 8, 64, 2800, 0.47128),
    ("r8i.4xlarge", 16, 128, 3900, 1.11136),
)

EC2_DEFAULT = MachineTable(
    name=tuple(row[0] for row in _EC2),
    vcpu_milli=np.array([1000 * row[1] for row in _EC2]),
    memory_mib=np.array([1024 * row[2] for row in _EC2]),
    gpu_milli=np.zeros(len(_EC2), dtype=np.int64),
    gpu_model=("",) * len(_EC2),
    speed=speed_of([row[3] for row in _EC2]),
    price=np.array([row[4] for row in _EC2]),
    source="EC2 us-east-1, Linux on-demand, 2026-07-20",
    notes=("speeds are estimated from the clock: sqrt(clock / 3200 MHz)",),
)
"""Twelve current EC2 types without GPU, with 2 to 16 vCPU (8 on average) and 2, 4 or 8 GiB per vCPU."""
