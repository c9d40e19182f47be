"""Loggers of a run, opened by name; what one of them raises is told once, and then it is left alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

from dgpg.domain import registry
from dgpg.errors import ConfigError, unknown
from dgpg.runs.atomic import write_json
from dgpg.runs.loggers.contract import Logger

Make: TypeAlias = Callable[[Path, Mapping[str, Any], int | None], Logger]
GROUP = "dgpg.loggers"
OWN = {"tensorboard": "TensorBoard", "csv": "Csv", "wandb": "Wandb", "mlflow": "MlFlow"}
"""Loggers that come with dgpg: a module of this room each, and the class in it."""
NEEDS = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}
"""Packages that they need, which the extra of the same name installs."""
FAILURES = (Exception, SystemExit)
"""What may come of a logger and stops no run: some libraries end the process where they find no account."""
FILE = "loggers.json"
NONE = "none"


def usual() -> list[str]:
    """Loggers of a run of which nobody said anything."""
    return ["tensorboard"] if find_spec("tensorboard") is not None else []


def chosen(text: str) -> list[str]:
    """The names in `--log a,b`; `none` for none.

    Raises:
        ConfigError: one is not known, or what it needs is not installed.
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if names == [NONE]:
        return []
    others = registry.find(GROUP)
    for name in names:
        if name not in OWN and name not in others:
            raise ConfigError(f"--log {text}: {unknown('logger', name, sorted({*OWN, *others, NONE}))}")
        if name in OWN and name in NEEDS and find_spec(NEEDS[name]) is None:
            raise ConfigError(f"--log {name}: it is not installed: pip install 'dgpg[{name}]'")
    if not names:
        raise ConfigError(f"--log {text!r}: name loggers ({', '.join(sorted({*OWN, *others}))}), or {NONE}")
    return names


def keep(folder: Path, names: Sequence[str]) -> None:
    """Note them in a run's folder: the run goes on with them, and its evaluations are logged there."""
    write_json(folder / FILE, list(names))


def kept(folder: Path) -> list[str]:
    """Those of a run; the usual ones where nothing is noted."""
    try:
        names = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return usual()
    return [str(name) for name in names] if isinstance(names, list) else usual()


class Loggers:
    """All of a run. None stops it: one that raises is told of, once, and hears nothing more."""

    def __init__(
        self, folder: Path, config: Mapping[str, Any], iteration: int | None, told: Callable[[str], None]
    ) -> None:
        self._told = told
        self._open = dict[str, Logger]()
        for name in kept(folder):
            try:
                self._open[name] = _make(name)(folder, config, iteration)
            except FAILURES as error:  # of others' code, and of networks
                told(_said(name, error))

    def log(self, metrics: Mapping[str, float]) -> None:
        """Measures of one iteration."""
        self._each(lambda one: one.log(metrics))

    def evaluation(self, rows: Sequence[Mapping[str, Any]], figures: Sequence[Path]) -> None:
        """The rows of an evaluation's table, and files of its figures."""
        self._each(lambda one: one.evaluation(rows, figures))

    def flush(self) -> None:
        """To disk or away."""
        self._each(lambda one: one.flush())

    def close(self) -> None:
        """Nothing more comes."""
        self._each(lambda one: one.close())
        self._open.clear()

    def _each(self, tell: Callable[[Logger], None]) -> None:
        for name, one in list(self._open.items()):
            try:
                tell(one)
            except FAILURES as error:  # of others' code, and of networks
                del self._open[name]
                self._told(_said(name, error))


def _make(name: str) -> Make:
    if name in OWN:
        made: Make = getattr(import_module(f"dgpg.runs.loggers.{name}"), OWN[name])
        return made
    points = registry.find(GROUP).get(name)
    if not points:
        raise ConfigError("it is not installed any more")
    other: Make = points[0].load()
    return other


def _said(name: str, error: BaseException) -> str:
    why = (str(error) or repr(error)).splitlines()[0]
    return (
        f"note: logger {name} is left out from here on ({type(error).__name__}: {why}); the run itself is not touched"
    )
