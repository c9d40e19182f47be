"""What the cluster and its operator decide."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from dgpg.errors import ConfigError, unknown
from dgpg_cloud.kubernetes.amounts import GPUS, Object

LOG = logging.getLogger("dgpg.kubernetes")
PREFIX = "dgpg.github.io/"
RUN_TIME, PRICE, SPEED = (PREFIX + name for name in ("run-time-seconds", "price-usd-per-hour", "speed"))
"""Annotations: of a pod, its run time at speed 1; of a node, its price and its speed."""


@dataclass(frozen=True)
class Settings:
    """How pods and nodes are read, and how long a picture of them is good for: `--set kubernetes.NAME=VALUE`."""

    scheduler: str | None = None
    """Pods of this `schedulerName` wait for the policy; of any by default."""
    run_time_s: float = 3600.0
    """Run time of pods that say none, neither by the annotation nor by `activeDeadlineSeconds`."""
    step_s: float = 60.0
    """Seconds of a step, of policies that were trained on synthetic jobs."""
    assumed_s: float = 30.0
    """How long a pod counts where it was advised to go, until it is seen there."""
    silent_s: float = 90.0
    """Silence of the API server after which a watch is renewed; it sends bookmarks once a minute."""
    stale_s: float = 10.0
    """Time without a watch after which the rule decides instead of the policy."""
    gpus: Mapping[str, int] = field(default_factory=lambda: dict(GPUS))
    """Extended resources that are GPUs, and milli-GPU in one."""

    @classmethod
    def read(cls, options: Mapping[str, str]) -> Settings:
        """From the command line: `gpus` as `NAME:MILLI,...`.

        Raises:
            ConfigError: an unknown name or an impossible value.
        """
        names = {one.name for one in fields(cls)}
        found: dict[str, Any] = {}
        for name, text in options.items():
            if name not in names:
                raise ConfigError(unknown("setting", f"kubernetes.{name}", [f"kubernetes.{one}" for one in names]))
            found[name] = text if name == "scheduler" else _gpus(text) if name == "gpus" else _seconds(name, text)
        return cls(**found)


def _seconds(name: str, text: str) -> float:
    value = number(text)
    if value is None:
        raise ConfigError(f"kubernetes.{name} = {text}: expected seconds, a number above 0")
    return value


def _gpus(text: str) -> dict[str, int]:
    pairs = [part.rpartition(":") for part in text.split(",")]
    if not all(name and milli.isdigit() and int(milli) for name, _, milli in pairs):
        raise ConfigError(
            f"kubernetes.gpus = {text}: expected resources with milli-GPU in one of each, as nvidia.com/gpu:1000"
        )
    return {name: int(milli) for name, _, milli in pairs}


def number(text: str) -> float | None:
    """A number above 0; None of text that is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def annotated(thing: Object, name: str) -> float | None:
    """A number above 0 among the annotations; None where there is none, or none that makes sense (told in the log)."""
    metadata = thing.get("metadata") or {}
    text = (metadata.get("annotations") or {}).get(name)
    if text is None:
        return None
    value = number(text)
    if value is not None:
        return value
    LOG.warning("%s: annotation %s is %r, expected a number above 0; ignored", metadata.get("name"), name, text)
    return None
