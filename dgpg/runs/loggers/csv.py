"""Tables that any program reads: `metrics.csv`, a row an iteration, and `evaluation.csv`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dgpg.runs.atomic import write_atomic


class Csv:
    """Columns are those of the first row; what later rows have beside them is in metrics.jsonl."""

    def __init__(self, folder: Path, config: Mapping[str, Any], iteration: int | None) -> None:
        self._folder, self._path = folder, folder / "metrics.csv"
        self._columns = list[str]()
        if iteration is not None:
            self._cut(iteration)

    def _cut(self, iteration: int) -> None:
        """Rows beyond `iteration` go."""
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        self._columns = lines[0].split(",") if lines else list[str]()
        kept = [row for row in lines[1:] if int(float(row.split(",")[self._columns.index("iteration")])) <= iteration]
        text = "".join(f"{line}\n" for line in (*lines[:1], *kept))
        write_atomic(self._path, lambda file: file.write(text.encode()))

    def log(self, metrics: Mapping[str, float]) -> None:
        """A row, on disk before this returns."""
        with self._path.open("a", encoding="utf-8", newline="") as file:
            if not self._columns:
                self._columns = list(metrics)
                file.write(",".join(self._columns) + "\n")
            file.write(",".join(repr(metrics[name]) if name in metrics else "" for name in self._columns) + "\n")

    def evaluation(self, rows: Sequence[Mapping[str, Any]], figures: Sequence[Path]) -> None:
        """A row a policy or rule; intervals and differences as JSON in their cells."""
        text = io.StringIO()
        table = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
        table.writeheader()
        for row in rows:
            table.writerow({k: v if isinstance(v, str | int | float) else json.dumps(v) for k, v in row.items()})
        write_atomic(self._folder / "evaluation.csv", lambda file: file.write(text.getvalue().encode()))

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is held open."""
