"""Weights & Biases; its own environment variables say where to (WANDB_PROJECT, WANDB_MODE=offline and so on)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

NAME = ".wandb-id"
"""The run's id there, by which it goes on."""


class Wandb:
    """A run of its own, continued where this one is."""

    def __init__(self, folder: Path, config: Mapping[str, Any], iteration: int | None) -> None:
        import wandb

        known = folder / NAME
        if not known.exists():
            known.write_text(uuid4().hex[:12], encoding="utf-8")
        project = os.environ.get("WANDB_PROJECT") or "dgpg"
        self._run = wandb.init(
            project=project, id=known.read_text(encoding="utf-8").strip(), resume="allow", name=folder.resolve().name,
            dir=str(folder), config=dict(config), settings=wandb.Settings(silent=True),
        )  # fmt: skip
        self._run.define_metric("*", step_metric="iteration")  # iterations that are done again have a later step

    def log(self, metrics: Mapping[str, float]) -> None:
        """One point of each curve."""
        self._run.log(dict(metrics))

    def evaluation(self, rows: Sequence[Mapping[str, Any]], figures: Sequence[Path]) -> None:
        """A table, and the figures as files."""
        import wandb

        columns = ["name", "mode", "kind", "information", "cost", "episodes"]
        table = wandb.Table(columns=columns, data=[[row[name] for name in columns] for row in rows])
        self._run.log({"evaluation": table})
        for figure in figures:
            self._run.save(str(figure), base_path=str(figure.parent), policy="now")

    def flush(self) -> None:
        """It sends by itself."""

    def close(self) -> None:
        """All is sent, or kept where there is no network."""
        self._run.finish()
