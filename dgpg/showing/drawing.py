"""Empty figures and files of them, drawn with matplotlib where it is installed (extra `figures`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from dgpg.errors import ConfigError

if TYPE_CHECKING:
    from dgpg.domain import Policy

Figure: TypeAlias = Any
"""`matplotlib.figure.Figure`; matplotlib ships no types and may be absent."""
Axes: TypeAlias = Any

SETTINGS: Any = {"svg.hashsalt": "dgpg", "axes.spines.top": False, "axes.spines.right": False}
"""matplotlib's settings while a figure is made and saved."""


def blank(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """An empty figure, inches, with its axes row by row; `options` are those of `Figure.subplots`."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.flat)


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as SVG, the same bytes for the same content; returns the path."""
    from matplotlib import rc_context

    from dgpg.runs.atomic import write_atomic  # after torch, for which not every command waits

    def write(file: Any) -> None:
        with rc_context(SETTINGS):
            figure.savefig(file, format="svg", metadata={"Date": None})

    write_atomic(path, write)
    return path


def held_against(policies: Mapping[str, Policy], optimum: str) -> str:
    """Name of the policy to draw, the first of `policies`, beside that of the domain's `optimum`.

    Raises:
        ConfigError: the optimum is not among them, or nothing else is.
    """
    name = next(iter(policies), optimum)
    if optimum not in policies or name == optimum:
        raise ConfigError(
            f"policies = {list(policies)}: expected the policy to draw first and {optimum} to hold it against; "
            "take the latter from domain.baselines(config)"
        )
    return name
