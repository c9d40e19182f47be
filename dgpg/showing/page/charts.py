"""Curves of training as plotly draws them: a line a group of runs, and a band over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dgpg.runs.differences import differences
from dgpg.showing.figures import smooth
from dgpg.showing.page.contents import Run
from dgpg.showing.style import DASHES, UNSURE, colour

Chart: TypeAlias = dict[str, Any]
"""`data` and `layout` of plotly.js."""
WATCHED = {
    "alpha": "alpha, weight of guidance",
    "entropy": "entropy of the policy",
    "kl": "KL to the policy before",
    "explained_variance": "variance that the critic explains",
    "block_fit": "variance that values of blocks foretell",
    "grad_norm": "norm of the policy's gradient",
}
"""Measures with a chart of their own, where the log has them."""
AXES = {"iteration": "iteration", "agent_steps": "agent steps", "wall_s": "seconds"}
"""What a curve of costs is over."""
POINTS = 600
"""Most points of a curve."""


def curves(groups: Sequence[Sequence[Run]], names: Sequence[str], unit: str) -> dict[str, Chart]:
    """The chart of costs, then one of each of `WATCHED` that any log has, by name."""
    drawn = {"cost": _chart(groups, names, "cost", unit, legend=len(groups) > 1 or len(groups[0]) > 1)}
    drawn["cost"]["layout"]["updatemenus"] = [_axes(drawn["cost"])]
    for name, title in WATCHED.items():
        if any(name in run.log[-1] for group in groups for run in group if run.log):
            drawn[name] = _chart(groups, names, name, title, legend=False)
    return drawn


def named(groups: Sequence[Sequence[Run]]) -> list[str]:
    """What each group is called: its algorithm, and where several are of one, in what they differ from its first."""
    first, names = dict[str, Run](), list[str]()
    for group in groups:
        run = group[0]
        one = first.setdefault(run.config.algorithm, run)
        apart = [] if one is run else differences(_settings(one), _settings(run), between="here")
        more = ", ".join(line.split(" is ")[0].removeprefix("--set ") + "=" + line.rpartition(" ")[2] for line in apart)
        seeds = f", {len(group)} seeds" if len(group) > 1 else ""
        names.append(f"{run.config.algorithm}{f' ({more})' if more else ''}{seeds}")
    return names


def _settings(run: Run) -> dict[str, Any]:
    return run.config.model_dump(mode="json", exclude={"seed"})


def _chart(groups: Sequence[Sequence[Run]], names: Sequence[str], measure: str, title: str, legend: bool) -> Chart:
    data, used = list[dict[str, Any]](), dict[str, int]()
    for place, (group, name) in enumerate(zip(groups, names, strict=True)):
        algorithm = group[0].config.algorithm
        dash = DASHES[used.get(algorithm, 0) % len(DASHES)]
        used[algorithm] = used.get(algorithm, 0) + 1
        data += _traces(group, measure, name, f"g{place}", colour(algorithm), dash)
    layout = {
        "meta": title,
        "margin": {"l": 8, "r": 8, "t": 44 if measure == "cost" else 12, "b": 8},
        "height": 420 if measure == "cost" else 230,
        "showlegend": legend,
        "legend": {"orientation": "h", "y": -0.22, "yanchor": "top", "x": 0},
        "hovermode": "x unified",
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif"},
        "xaxis": {
            "title": {"text": "iteration", "standoff": 8},
            "gridcolor": UNSURE,
            "automargin": True,
            "zeroline": False,
        },
        "yaxis": {"gridcolor": UNSURE, "automargin": True, "zeroline": False},
    }
    return {"data": data, "layout": layout}


def _traces(group: Sequence[Run], measure: str, name: str, key: str, shade: str, dash: str) -> list[dict[str, Any]]:
    """The band from the lowest to the highest seed, and the mean, as far as every seed's log goes."""
    logs = [run.log for run in group if run.log and measure in run.log[-1]]
    if not logs:
        return []
    length = min(map(len, logs))
    lines = np.array([smooth(np.array([line.get(measure, np.nan) for line in log[:length]])) for log in logs])
    shown = np.unique(np.linspace(0, length - 1, min(length, POINTS)).round().astype(int))
    over = {axis: _column(logs, axis, length)[shown] for axis in AXES}
    common = {"legendgroup": key, "meta": {axis: _plain(x) for axis, x in over.items()}, "x": _plain(over["iteration"])}
    line = {
        **common, "y": _plain(lines.mean(0)[shown]), "name": name, "mode": "lines",
        "line": {"color": shade, "dash": dash, "width": 2}, "hovertemplate": "%{y:.4g}",
    }  # fmt: skip
    if len(logs) == 1:
        return [line]
    edge = {**common, "mode": "lines", "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip", "name": name}
    low, high = _plain(lines.min(0)[shown]), _plain(lines.max(0)[shown])
    return [{**edge, "y": low}, {**edge, "y": high, "fill": "tonexty", "fillcolor": _faint(shade)}, line]


def _column(logs: Sequence[Sequence[dict[str, float]]], name: str, length: int) -> NDArray[np.float64]:
    """Mean over seeds of a measure, `[T]`."""
    found: NDArray[np.float64] = np.array([[line.get(name, np.nan) for line in log[:length]] for log in logs]).mean(0)
    return found


def _plain(values: NDArray[Any]) -> list[float | None]:
    """Seven digits, and null for what is not finite: JSON has no word for it."""
    return [float(f"{x:.7g}") if np.isfinite(x) else None for x in values.tolist()]


def _faint(shade: str) -> str:
    red, green, blue = (int(shade[k : k + 2], 16) for k in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.22)"


def _axes(chart: Chart) -> dict[str, Any]:
    """Buttons that choose what the costs are over."""
    buttons = [
        {
            "label": label,
            "method": "update",
            "args": [{"x": [trace["meta"][axis] for trace in chart["data"]]}, {"xaxis.title.text": label}],
        }
        for axis, label in AXES.items()
    ]
    return {
        "type": "buttons", "direction": "right", "buttons": buttons, "x": 0, "xanchor": "left", "y": 1.02,
        "yanchor": "bottom", "pad": {"t": 0, "b": 4}, "font": {"size": 12},
    }  # fmt: skip
