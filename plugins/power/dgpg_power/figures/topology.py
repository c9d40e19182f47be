"""The grid as a one-line map: how full its lines are, under a policy and under the optimum, and hour by hour."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dgpg.showing import blank, save
from dgpg.showing.figures import Axes
from dgpg.showing.maps import moving, placed
from dgpg.showing.style import APART, FULLNESS, STREET, VERMILION
from dgpg_power.figures.lines import OVER, spread
from dgpg_power.judge.replay import Replay
from dgpg_power.network import FloatArray, Network

GAP = 0.008
"""Between parallel lines, share of the map's longer side."""
THIN, THICK = 0.6, 5.0
"""Points, of lines without flow and of that with the most."""
DAY = 24
"""Steps of the first episode that move."""


def one_line(path: Path, network: Network, place: FloatArray, replays: Mapping[str, Replay]) -> Path:
    """Loading that is exceeded in 5 % of the steps, under two policies, and what differs.

    `place` are coordinates of the buses, `[nb, 2]`, NaN where there are none: then the lines between them place them.
    """
    where, note = placed(place, network.line_from, network.line_to)
    figure, panels = blank(14, 2.3 + 4.3 * max(float(where[:, 1].max()), 0.4), columns=3)
    figure.get_layout_engine().set(h_pad=0.3)  # maps keep their proportions, and would push titles over the edge
    flows = [np.abs(shown.flow).mean((0, 1)) for shown in replays.values()]
    loads = [spread(network, shown)[-1] for shown in replays.values()]
    most = max(*(float(flow.max()) for flow in flows), 1e-9)
    for axes, flow, load, name in zip(panels, flows, loads, replays, strict=False):
        drawn = _lines(axes, network, where, load, flow / most, FULLNESS, (0.0, OVER))
        axes.set_title(f"{name}\n{int((load > OVER).sum())} lines above 101 % of their limit")
    label = "share of the limit that 5 % of the steps exceed"
    figure.colorbar(drawn, ax=panels[:2], location="bottom", shrink=0.5, aspect=40, label=label, extend="max")
    apart, moved = loads[0] - loads[1], np.abs(flows[0] - flows[1])
    reach = max(float(np.abs(apart).max()), 1e-3)
    drawn = _lines(panels[2], network, where, apart, moved / max(float(moved.max()), 1e-9), APART, (-reach, reach))
    bar = figure.colorbar(drawn, ax=panels[2], location="bottom", aspect=20, label="difference in it")
    bar.ax.locator_params(nbins=5)
    panels[2].set_title(f"{' less '.join(replays)}\nwidest: {moved.max():.3g} MW")
    steps = next(iter(replays.values())).demand.size
    caption = f"{network.name}, {steps} steps; lines as wide as their mean flow, grey without a limit; squares: units"
    figure.supxlabel(caption + note, fontsize=9, color="#555555")
    return save(figure, path)


def hours(path: Path, network: Network, place: FloatArray, name: str, shown: Replay) -> Path:
    """Loading of each line in each step of the first day, as a moving picture."""
    where, note = placed(place, network.line_from, network.line_to)
    load = network.loading(shown.flow[:DAY, 0])
    moments = [f"step {t + 1}" for t in range(len(load))]
    title = f"{name} on {network.name}, the first {len(load)} steps of the first episode{note}"
    return moving(path, segments(network, where), load, moments, "share of the line's limit", title)


def segments(network: Network, where: FloatArray) -> FloatArray:
    """Ends of each line as drawn, `[L, 2, 2]`: parallel lines lie beside each other."""
    ends = np.stack([network.line_from, network.line_to], 1)
    low, high = np.sort(ends, 1).T
    _, pair, count = np.unique(low * network.num_buses + high, return_inverse=True, return_counts=True)
    order = np.argsort(pair, kind="stable")
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    turn = np.empty(len(pair))
    turn[order] = np.arange(len(pair)) - first[pair[order]]  # 0, 1, ... within a pair
    along = where[high] - where[low]
    aside = np.stack([-along[:, 1], along[:, 0]], -1) / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
    shift = GAP * (turn - (count[pair] - 1) / 2)
    drawn: FloatArray = where[ends] + (shift[:, None] * aside)[:, None]
    return drawn


def _lines(
    axes: Axes, network: Network, where: FloatArray, load: FloatArray, share: FloatArray, colours: str,
    limits: tuple[float, float],
) -> Any:  # fmt: skip
    """Every line as wide as its share; what a colour bar needs."""
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    lines, width = segments(network, where), THIN + (THICK - THIN) * share
    free = ~np.isfinite(network.reach)
    axes.add_collection(LineCollection(list(lines[free]), colors=STREET, linewidths=width[free], zorder=1))
    order = np.flatnonzero(~free)[np.argsort(np.abs(load[~free]), kind="stable")]  # the fullest on top
    shades = colormaps[colours].with_extremes(over=VERMILION)
    drawn = LineCollection(list(lines[order]), array=load[order], cmap=shades, linewidths=width[order], zorder=2)
    drawn.set_clim(*limits)
    axes.add_collection(drawn)
    units = np.unique(network.unit_bus)
    size = min(10.0, 900.0 / len(units))
    axes.scatter(*where[units].T, s=size, marker="s", color="#555555", linewidths=0, zorder=3)
    high = float(where[:, 1].max())
    axes.set(aspect="equal", xlim=(-0.05, float(where[:, 0].max()) + 0.05), ylim=(-0.05, high + 0.05))
    axes.axis("off")
    return drawn
