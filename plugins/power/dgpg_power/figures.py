"""Figures of a policy beside the optimum: who generates over a day, and how near lines come to their limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgpg.domain import Policy
from dgpg.showing import COLOURS, blank, colour, held_against, save
from dgpg.showing.figures import Axes
from dgpg_power.config import Config
from dgpg_power.instance import build
from dgpg_power.judge.replay import Replay, replay
from dgpg_power.network import FloatArray, IntArray, Network

OPTIMUM = "dc-opf"
EPISODES = 8
"""Episodes that line loading is measured on; the dispatch is that of the first."""
MANY = 200
"""Units above which one episode does: an optimum takes a second there."""
DAY = 24
"""Steps of it that are shown."""
BANDS = 6
"""Classes of price that thermal units are shown in: a hundred areas could not be told apart."""
LOADED, MOST_LINES = 0.5, 40
"""Lines are shown that come above this share of their limit, and no more than so many."""
TAILS = (5, 50, 95)
"""Percentiles over steps: ends and middle of the range that is shown."""
SUN_AND_WIND = {"wind": "#0072b2", "pv": "#f0e442"}
"""Blue and yellow of Okabe and Ito's palette, which all kinds of colour vision can tell apart."""


@dataclass(frozen=True)
class Band:
    """Units that are shown as one area."""

    label: str
    units: IntArray
    colour: object


def draw(config: Config, policies: Mapping[str, Policy], folder: Path, seed: int) -> list[Path]:
    """`dispatch.svg` and, where a line comes near its limit, `line_loading.svg`: the first policy and the optimum.

    Raises:
        ConfigError: `policies` has no `dc-opf`, or nothing beside it.
    """
    name = held_against(policies, OPTIMUM)
    network = build(config).network
    episodes = EPISODES if network.num_units <= MANY else 1
    replays = {key: replay(config, policies[key], episodes, seed) for key in (name, OPTIMUM)}
    drawn = [dispatch(folder / "dispatch.svg", network, replays)]
    if (lines := loaded(network, replays)).size:
        drawn.append(line_loading(folder / "line_loading.svg", network, replays, lines))
    return drawn


def dispatch(path: Path, network: Network, replays: Mapping[str, Replay]) -> Path:
    """Outputs stacked over the first day, a panel a policy, the cheapest at the bottom, demand on top."""
    figure, panels = blank(11, 4.4, columns=len(replays), sharey=True)
    groups = bands(network)
    best = replays[OPTIMUM].cost[:DAY, 0].mean()
    for axes, (name, shown) in zip(panels, replays.items(), strict=True):
        hours = np.arange(len(shown.output[:DAY]) + 1)
        stack = np.stack([shown.output[:DAY, 0, group.units].sum(-1) for group in groups])
        axes.stackplot(
            hours, _held(stack), step="post", colors=[group.colour for group in groups],
            labels=[group.label for group in groups], edgecolor="white", linewidth=0.4,
        )  # fmt: skip
        axes.step(hours, _held(shown.demand[:DAY, 0]), where="post", color="black", linewidth=1.4, label="demand")
        cost = shown.cost[:DAY, 0].mean()
        over = "" if name == OPTIMUM else f", {100 * (cost / best - 1):+.1f} %"
        axes.set(title=f"{name}: {cost:,.0f} $ per hour{over}", xlabel="hour", xlim=(0, hours[-1]), ylim=(0, None))
        axes.set_xticks(np.linspace(0, hours[-1], 5).round())
    panels[0].set_ylabel("output, MW")
    handles, labels = panels[0].get_legend_handles_labels()
    order = [len(groups), *reversed(range(len(groups)))]  # from top to bottom, as the areas lie
    figure.legend(
        [handles[i] for i in order], [labels[i] for i in order], loc="outside right center", frameon=False
    )  # fmt: skip
    return save(figure, path)


def _held(values: FloatArray) -> FloatArray:
    """Steps `[..., T]` with the last one again, so that it has a width, `[..., T + 1]`."""
    held: FloatArray = np.concatenate([values, values[..., -1:]], -1)
    return held


def bands(network: Network) -> list[Band]:
    """Wind, sun, then thermal units in classes of about the same capacity by their price; the cheapest first."""
    from matplotlib import colormaps

    kinds = np.array(network.unit_kind)
    found = []
    for kind, shade in SUN_AND_WIND.items():
        if (units := np.flatnonzero(kinds == kind)).size:
            found.append(Band(_counted({"pv": "sun"}.get(kind, kind), units), units, shade))
    others = np.flatnonzero(~np.isin(kinds, list(SUN_AND_WIND)))
    price = full_price(network).round()
    classes = _classes(price[others], network.unit_max[others])
    shades = np.linspace(0.2, 0.95, max(len(classes), 2))
    for shade, members in zip(shades, classes, strict=False):
        units = others[members]
        low, high = (f"{x:.0f}" for x in (price[units].min(), price[units].max()))
        prices = low if low == high else f"{low} to {high}"
        found.append(Band(_counted(f"{prices} $/MWh", units), units, colormaps["OrRd"](shade)))
    return found


def _counted(label: str, units: IntArray) -> str:
    return f"{label}, {len(units)} {'unit' if len(units) == 1 else 'units'}"


def full_price(network: Network) -> FloatArray:
    """What a MWh costs on the way from standstill to full output, $ per MWh, `[N]`."""
    span = np.maximum(network.unit_max, 1e-9)
    price: FloatArray = (network.cost(network.unit_max) - network.cost(np.zeros(network.num_units))) / span
    return price


def _classes(price: FloatArray, capacity: FloatArray) -> list[IntArray]:
    """At most `BANDS` sets of units by rising price; units of one price stay together."""
    values, which = np.unique(price, return_inverse=True)
    size = np.bincount(which, capacity, len(values))
    middle = (np.cumsum(size) - size / 2) / max(size.sum(), 1e-9)
    place = np.minimum((BANDS * middle).astype(np.int64), BANDS - 1)[which]
    return [np.flatnonzero(place == k) for k in np.unique(place)]


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
    colours = [COLOURS["oracle"] if name == OPTIMUM else colour(name) for name in replays]
    for side, shade, (name, shown) in zip((-0.2, 0.2), colours, replays.items(), strict=True):
        _ranges(
            axes, np.arange(len(lines), dtype=np.float64) + side, 100 * spread(network, shown)[:, lines], shade, name
        )
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
