"""Figures of a run, drawn with matplotlib where it is installed (extra `figures`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dgpg.evaluate import Row
from dgpg.record import write_atomic

COLOURS = {"policy": "#1f5fa8", "untrained": "#b0b0b0", "baseline": "#d98b3a", "oracle": "#3a9d5d"}


def evaluation(path: Path, log: Sequence[Mapping[str, float]], unit: str, rows: Sequence[Row]) -> Path | None:
    """Cost while training, and every row with its interval; the path, or None without matplotlib."""
    try:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasSVG(figure)
    figure.suptitle(f"cost = {unit}", fontsize=9, color="#555555")
    curve, bars = figure.subplots(1, 2)
    curve.plot([m["iteration"] for m in log], [m["cost"] for m in log], color=COLOURS["policy"])
    best = min((r.cost for r in rows if r.kind == "baseline" and r.information == "same"), default=None)
    if best is not None:
        name = "best baseline, same information"
        curve.axhline(best, color=COLOURS["baseline"], linestyle="--", label=name)
        curve.legend(frameon=False)
    curve.set(xlabel="iteration", ylabel="cost", title="while training", ylim=(0, None))
    shown = sorted(rows, key=lambda r: r.cost, reverse=True)
    labels = [f"{r.name} ({r.mode or r.information})" for r in shown]
    bars.barh(labels, [r.cost for r in shown], color=[COLOURS[r.kind] for r in shown])
    for i, r in enumerate(shown):
        bars.plot(r.ci95, (i, i), color="black", linewidth=1)
    usual = sorted(r.cost for r in shown)[len(shown) // 2]
    bars.set(xlabel="cost", title="evaluation, same arrivals", xlim=(0, 2.5 * usual))
    for axes in (curve, bars):
        axes.spines[["top", "right"]].set_visible(False)
    write_atomic(path, lambda file: figure.savefig(file, format="svg", metadata={"Date": None}))
    return path
