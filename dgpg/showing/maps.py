"""Networks as pictures: where their nodes lie, and how full their links are, hour by hour, on a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dgpg.runs.atomic import write_atomic
from dgpg.showing.style import LOAD, LOADS, STREET

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
MOVING = ".moving.json"
"""How names of moving pictures end: data, layout and frames of plotly, which the page of a run draws with a slider."""
LINKS = 3000
"""Links that move; of more, those with the largest loads."""
FINE = 2000
"""Places along the longer side of a moving picture."""


def placed(place: Floats, tail: Whole, head: Whole) -> tuple[Floats, str]:
    """Where nodes are drawn, within a unit square, and what to say of it.

    Without coordinates they are laid out so that distances are about the numbers of links between nodes (classical
    scaling, W. S. Torgerson, Psychometrika 17, 1952).

    Args:
        place: coordinates of V nodes, `[V, 2]`, NaN where a source has none.
        tail: node at one end of each of L links, `[L]`.
        head: node at its other end, `[L]`.

    Returns:
        Places `[V, 2]`, and a remark that begins with a semicolon, empty where coordinates are the source's.
    """
    note, place = "", np.array(place, np.float64)
    if not np.isfinite(place).all():
        place = _laid_out(len(place), tail, head)
        note = "; it has no coordinates, nodes are placed by the links between them"
    span = float(np.ptp(place, 0).max()) or 1.0
    return (place - place.min(0)) / span, note


def _laid_out(count: int, tail: Whole, head: Whole) -> Floats:
    from scipy.linalg import eigh
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import shortest_path

    joined = csr_array((np.ones(len(tail)), (tail, head)), shape=(count, count))
    hops = shortest_path(joined, directed=False, unweighted=True)
    hops[~np.isfinite(hops)] = count
    centred = hops**2 - (hops**2).mean(0)
    product = -(centred - centred.mean(1, keepdims=True)) / 2
    values, vectors = eigh(product, subset_by_index=[max(count - 2, 0), count - 1])
    found = np.zeros((count, 2))
    found[:, : len(values)] = (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1]  # the longer side lies flat
    found *= np.where(found[np.abs(found).argmax(0), [0, 1]] < 0, -1.0, 1.0)  # an eigenvector's sign is anybody's
    return found


def moving(path: Path, lines: Floats, load: Floats, moments: Sequence[str], label: str, title: str) -> Path:
    """Write how full links are, moment by moment, to be looked at with a slider on the page of a run.

    Args:
        path: the file, whose name ends in `MOVING`.
        lines: ends of S links, `[S, 2, 2]`.
        load: of each link in T moments, 1 is full, `[T, S]`.
        moments: what each moment is called, T names.
        label: what a load is.
        title: what the picture is of.

    Returns:
        The path.
    """
    kept = np.sort(np.argsort(-load.max(0), kind="stable")[:LINKS])
    low, span = lines.min((0, 1)), float(np.ptp(lines, (0, 1)).max()) or 1.0
    ends = np.rint(FINE * (lines - low) / span).astype(np.int64)
    high = float(np.ptp(ends[..., 1])) / FINE
    still = [_line(ends, STREET, 1.0), _scale(label)]
    frames = [_shown(ends[kept], moment[kept]) for moment in load]
    first = [
        _line(at, shade, width)
        for at, (_, shade, width) in zip(_classes(ends[kept], load[0, kept]), LOADS, strict=True)
    ]
    traces = [len(still) + k for k in range(len(LOADS))]
    whole = {
        "data": [*still, *first],
        "layout": _layout(title, moments, min(max(high, 0.45), 1.0)),
        "frames": [
            {"name": name, "data": data, "traces": traces} for name, data in zip(moments, frames, strict=True)
        ],
    }  # fmt: skip
    text = json.dumps(whole, separators=(",", ":"))
    write_atomic(path, lambda file: file.write(text.encode()))
    return path


def _classes(ends: Whole, load: Floats) -> list[Whole]:
    """Links by class of load, those below the first left out: the street itself is drawn."""
    least = np.array([least for least, _, _ in LOADS])
    which = np.searchsorted(least, load, side="right") - 1
    return [ends[which == k] for k in range(len(LOADS))]


def _shown(ends: Whole, load: Floats) -> list[dict[str, Any]]:
    return [_path(at) for at in _classes(ends, load)]


def _path(ends: Whole) -> dict[str, Any]:
    """Both ends of each link and a gap."""
    return {
        axis: [one for a, b in ends[..., k].tolist() for one in (a, b, None)] or [None] for k, axis in enumerate("xy")
    }


def _line(ends: Whole, shade: str, width: float) -> dict[str, Any]:
    style = {"color": shade, "width": width}
    return {**_path(ends), "mode": "lines", "hoverinfo": "skip", "showlegend": False, "line": style}


def _scale(label: str) -> dict[str, Any]:
    """No points, and the bar that says what colours mean."""
    bar = {
        "title": {"text": label, "side": "top"}, "orientation": "h", "thickness": 10, "len": 0.7, "x": 0.5, "y": 1.0,
        "xanchor": "center", "yanchor": "bottom", "outlinewidth": 0, "tickformat": ".0%",
    }  # fmt: skip
    edges = [least for least, _, _ in LOADS]
    steps = [
        [x, shade]
        for k, (least, shade, _) in enumerate(LOADS)
        for x in (least / LOAD, (edges[k + 1] if k + 1 < len(edges) else LOAD) / LOAD)
    ]
    steps[0][0] = 0.0
    marker = {"color": [0], "cmin": 0, "cmax": LOAD, "colorscale": steps, "showscale": True, "colorbar": bar}
    return {"x": [None], "y": [None], "mode": "markers", "hoverinfo": "skip", "showlegend": False, "marker": marker}


def _layout(title: str, moments: Sequence[str], high: float) -> dict[str, Any]:
    axis = {"visible": False, "fixedrange": True}
    now = {"mode": "immediate", "frame": {"duration": 0, "redraw": False}, "transition": {"duration": 0}}
    play = {**now, "fromcurrent": True, "frame": {"duration": 350, "redraw": False}}
    return {
        "meta": title,
        "height": round(200 + 520 * high),
        "margin": {"l": 24, "r": 24, "t": 70, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif"},
        "xaxis": axis,
        "yaxis": {**axis, "scaleanchor": "x"},
        "sliders": [
            {
                "x": 0, "len": 1, "y": 0, "pad": {"t": 10}, "currentvalue": {"prefix": "", "xanchor": "right"},
                "steps": [{"label": name, "method": "animate", "args": [[name], now]} for name in moments],
            }
        ],
        "updatemenus": [
            {
                "type": "buttons", "direction": "right", "x": 0, "y": 0, "xanchor": "left", "yanchor": "top",
                "pad": {"t": 4}, "showactive": False,
                "buttons": [
                    {"label": "play", "method": "animate", "args": [None, play]},
                    {"label": "stop", "method": "animate", "args": [[None], now]},
                ],
            }
        ],
    }  # fmt: skip
