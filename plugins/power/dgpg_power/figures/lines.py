"""How near lines come to their limits and how far beyond, as bars and on a map, a policy beside the optimum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dgpg.showing import COLOURS, blank, colour, save
from dgpg.showing.figures import Axes
from dgpg_power.baselines import OPTIMUM
from dgpg_power.judge.replay import Replay
from dgpg_power.network import FloatArray, IntArray, Network

LOADED, MOST_LINES = 0.5, 40
"""Lines are shown that come above this share of their limit, and no more than so many."""
FEWEST = 12
"""Lines that there is room for where there are fewer, so that bars stay bars."""
OVER = 1.01
"""Loading above which a line counts as overloaded, as in the measure `overload_share`."""
TAILS = (5, 50, 95)
"""Percentiles over steps: ends and middle of the range that is shown."""


def spread(network: Network, shown: Replay) -> FloatArray:
    """Loading of each line, percentiles `TAILS` over steps, `[3, L]`; 0 where a line has no limit."""
    loading = network.loading(shown.flow).reshape(-1, network.num_lines)
    found: FloatArray = np.percentile(loading, TAILS, axis=0)
    return found


def loaded(network: Network, replays: Mapping[str, Replay]) -> IntArray:
    """Lines that come above `LOADED` under either policy, by falling loading of the optimum."""
    upper = np.max([spread(network, shown)[-1] for shown in replays.values()], axis=0)
    order = np.argsort(-spread(network, replays[OPTIMUM])[-1], kind="stable")
    lines: IntArray = order[upper[order] > LOADED][:MOST_LINES]
    return lines


def line_loading(path: Path, network: Network, replays: Mapping[str, Replay], lines: IntArray) -> Path:
    """Range and median of each line's loading, the policies side by side."""
    figure, (axes,) = blank(11, 4.2)
    for side, (name, shown) in zip((-0.2, 0.2), replays.items(), strict=True):
        place = np.arange(len(lines), dtype=np.float64) + side
        _ranges(axes, place, 100 * spread(network, shown)[:, lines], shade_of(name), name)
    axes.axhline(100, color="black", linewidth=1, linestyle="--")
    axes.annotate(
        "limit", (1, 100), (2, 0), xycoords=("axes fraction", "data"), textcoords="offset points", va="center"
    )  # fmt: skip
    axes.set_xticks(np.arange(len(lines)), _line_labels(network, lines), rotation=90)
    steps = replays[OPTIMUM].demand.size
    axes.set(
        ylabel="loading, % of the line's limit", xlabel="line, from bus to bus", xlim=(-0.6, len(lines) - 0.4),
        ylim=(0, None),
    )  # fmt: skip
    axes.set_title(f"line loading over {steps} steps: median, and range from 5 to 95 % of the steps", loc="left")
    axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    return save(figure, path)


def _ranges(axes: Axes, place: FloatArray, percent: FloatArray, colour: str, name: str) -> None:
    low, middle, high = percent
    axes.bar(place, high - low, bottom=low, width=0.34, color=colour, edgecolor=colour, linewidth=1.5, label=name)
    axes.hlines(middle, place - 0.17, place + 0.17, color="black", linewidth=1.5)  # visible where a line always binds


def _line_labels(network: Network, lines: Sequence[int] | IntArray) -> list[str]:
    """Numbers of the buses at both ends; parallel lines are counted."""
    ends = network.bus_number[np.stack([network.line_from, network.line_to], 1)]
    pairs = [tuple(sorted(pair)) for pair in ends.tolist()]
    again = [pairs[:k].count(pair) for k, pair in enumerate(pairs)]
    return [f"{ends[k][0]}–{ends[k][1]}" + (f" ({again[k] + 1})" if again[k] else "") for k in lines]


def overload(network: Network, shown: Replay) -> tuple[FloatArray, FloatArray]:
    """Of each line, mean MW beyond its limit and the share of steps in which it is overloaded, `[L]` both."""
    flow = shown.flow.reshape(-1, network.num_lines)
    beyond = np.maximum(np.maximum(flow - network.flow_max, network.flow_min - flow), 0.0)
    return beyond.mean(0), (network.loading(flow) > OVER).mean(0)


def overloaded(network: Network, replays: Mapping[str, Replay]) -> IntArray:
    """Lines that are overloaded in some step, by falling MW of the first policy, then of the others."""
    found = [overload(network, shown) for shown in replays.values()]
    order = np.lexsort([-mean for mean, _ in reversed(found)])
    lines: IntArray = order[np.max([share for _, share in found], axis=0)[order] > 0][:MOST_LINES]
    return lines


def overloads(path: Path, network: Network, replays: Mapping[str, Replay], lines: IntArray) -> Path:
    """Mean MW beyond the limit of each line, and the share of steps in which it is overloaded."""
    figure, (beyond, often) = blank(11, 5.6, rows=2, sharex=True)
    for side, (name, shown) in zip((-0.2, 0.2), replays.items(), strict=True):
        mean, share = overload(network, shown)
        place, shade = np.arange(len(lines)) + side, shade_of(name)
        beyond.bar(place, mean[lines], 0.36, color=shade, label=f"{name}: {mean.sum():.2f} MW over all lines")
        often.bar(place, 100 * share[lines], 0.36, color=shade)
    beyond.set_ylabel("mean MW beyond the limit")
    often.set(ylabel=f"% of steps above {100 * OVER:.0f} %", xlabel="line, from bus to bus")
    often.set_xticks(np.arange(len(lines)), _line_labels(network, lines), rotation=90)
    often.set_xlim(-0.6, max(len(lines), FEWEST) - 0.4)
    steps = next(iter(replays.values())).demand.size
    beyond.set_title(f"overload by line over {steps} steps", loc="left")
    beyond.legend(frameon=False, loc="upper right")
    return save(figure, path)


def shade_of(name: str) -> str:
    """Colour of a policy's replay."""
    return COLOURS["oracle"] if name == OPTIMUM else colour(name)
