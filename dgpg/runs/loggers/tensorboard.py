"""TensorBoard's events, in `events/` of a run's folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Hook = Callable[[threading.ExceptHookArgs], object]


class TensorBoard:
    """Scalars by the names of the log; an evaluation as texts and a scalar a row."""

    def __init__(self, folder: Path, config: Mapping[str, Any], iteration: int | None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._hook: Hook | None = threading.excepthook
        threading.excepthook = _told_elsewhere(threading.excepthook)
        try:
            self._events = SummaryWriter(
                str(folder / "events"), purge_step=None if iteration is None else iteration + 1
            )
        except BaseException:
            self._unhook()
            raise

    def log(self, metrics: Mapping[str, float]) -> None:
        """One scalar each."""
        try:
            for name, value in metrics.items():
                self._events.add_scalar(name, value, metrics["iteration"])
        except BaseException:
            self._unhook()
            raise

    def evaluation(self, rows: Sequence[Mapping[str, Any]], figures: Sequence[Path]) -> None:
        """The table as text; TensorBoard shows no SVG, so figures are named."""
        head = "| name | mode | cost | 95 % interval |\n|---|---|---|---|\n"
        table = "".join(
            f"| {row['name']} | {row['mode'] or ''} | {row['cost']:.4f} | {row['ci95']} |\n" for row in rows
        )
        self._events.add_text("evaluation", head + table)
        self._events.add_text("figures", "\n\n".join(map(str, figures)))

    def flush(self) -> None:
        """Events to disk."""
        try:
            self._events.flush()
        except BaseException:
            self._unhook()
            raise

    def close(self) -> None:
        """Events to disk, and no more of them."""
        try:
            self._events.close()
        finally:
            self._unhook()

    def _unhook(self) -> None:
        if self._hook is not None:
            threading.excepthook, self._hook = self._hook, None


def _told_elsewhere(before: Hook) -> Hook:
    """A hook that leaves to who writes events what their thread raises, as on a full disk: it raises that again."""

    def hook(raised: threading.ExceptHookArgs) -> None:
        if not type(raised.thread).__module__.startswith("tensorboard."):
            before(raised)

    return hook
