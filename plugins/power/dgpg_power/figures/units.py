"""Who generates over a day, a policy beside the optimum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dgpg.showing import blank, save
from dgpg.showing.style import BLUE, YELLOW
from dgpg_power.baselines import OPTIMUM
from dgpg_power.judge.replay import Replay
from dgpg_power.network import FloatArray, IntArray, Network

DAY = 24
"""Steps of it that are shown."""
BANDS = 6
"""Classes of price that thermal units are shown in: a hundred areas could not be told apart."""
SUN_AND_WIND = {"wind": BLUE, "pv": YELLOW}


@dataclass(frozen=True)
class Band:
    """Units that are shown as one area."""

    label: str
    units: IntArray
    colour: object


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
