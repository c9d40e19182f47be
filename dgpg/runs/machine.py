"""What a run takes of the machine: a device, threads, memory that is kept."""

from __future__ import annotations

import ctypes
import os
import sys

import torch

from dgpg.errors import ConfigError
from dgpg.learning import TrainConfig

SMALL = 800
"""Agents times environments below which a second thread costs more than it brings."""


def device_of(name: str) -> torch.device:
    """`auto` is the GPU where there is one; asking for one where there is none is an error.

    Raises:
        ConfigError: an unknown device, or one that is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"--device {name}: expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: this torch sees no GPU; use --device cpu or auto")
    return torch.device(name)


def with_threads(train: TrainConfig, rows: int, said: int | None) -> TrainConfig:
    """As many as agents in all environments keep busy, unless the user says; no more than there are cores.

    Shards are for several processes, each of which has a core: numbers may depend on threads, so there is one.

    Args:
        train: settings of the trainer.
        rows: agents in all environments.
        said: threads that somebody asked for.

    Raises:
        ConfigError: more were asked for than there are.
    """
    lent = cores()
    if said is not None and train.threads is not None and train.threads > lent:
        raise ConfigError(f"train.threads = {train.threads}: this machine lends {lent} cores; give at most that")
    if train.threads is not None:
        return train
    return train.model_copy(update={"threads": 1 if rows < SMALL or train.shards > 1 else min(2, lent)})


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_memory() -> None:
    """Tell glibc's allocator to keep large blocks: fresh pages for every tensor cost a quarter of time."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mmap_threshold, trim_threshold = -3, -1  # names in malloc.h
        mallopt(mmap_threshold, 2**30)
        mallopt(trim_threshold, 2**31 - 1)
