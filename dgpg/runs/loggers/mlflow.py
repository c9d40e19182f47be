"""MLflow; MLFLOW_TRACKING_URI and MLFLOW_EXPERIMENT_NAME say where to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

NAME = ".mlflow-id"
"""The run's id there, by which it goes on."""


class MlFlow:
    """A run of its own, continued where this one is."""

    def __init__(self, folder: Path, config: Mapping[str, Any], iteration: int | None) -> None:
        from mlflow.tracking import MlflowClient

        self._client, known = MlflowClient(), folder / NAME
        if not known.exists():
            known.write_text(self._begun(folder, config), encoding="utf-8")
        self._id = known.read_text(encoding="utf-8").strip()
        self._trains = iteration is not None
        if self._trains:
            self._client.update_run(self._id, "RUNNING")

    def _begun(self, folder: Path, config: Mapping[str, Any]) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "dgpg"
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        run = self._client.create_run(experiment, run_name=folder.resolve().name)
        for key, value in config.items():
            if not isinstance(value, Mapping):
                self._client.log_param(run.info.run_id, key, value)
        self._client.log_dict(run.info.run_id, dict(config), "config.json")
        return str(run.info.run_id)

    def log(self, metrics: Mapping[str, float]) -> None:
        """One point of each curve."""
        for name, value in metrics.items():
            self._client.log_metric(self._id, name, value, step=int(metrics["iteration"]), synchronous=False)

    def evaluation(self, rows: Sequence[Mapping[str, Any]], figures: Sequence[Path]) -> None:
        """The table and the figures as artifacts."""
        self._client.log_dict(self._id, {"rows": [dict(row) for row in rows]}, "evaluation.json")
        for figure in figures:
            self._client.log_artifact(self._id, str(figure))

    def flush(self) -> None:
        """It sends by itself."""

    def close(self) -> None:
        """Nothing more comes for now."""
        if self._trains:
            self._client.set_terminated(self._id)
