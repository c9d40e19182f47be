"""Figures of a policy beside the optimum: how full the roads are, and how long a trip takes over the day."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.sparse.csgraph import shortest_path

from dgpg.errors import ConfigError
from dgpg.figures import COLOURS, Axes, Figure, blank, save
from dgpg.protocols import Policy

from .arrays import FloatArray
from .assignment import SYSTEM_OPTIMUM
from .config import Config
from .instance import build
from .network import Network
from .replay import Replay, replay

OPTIMUM = SYSTEM_OPTIMUM.name
DAYS = 8
"""Episodes that are drawn."""
TOO_SLOW = 1.5
"""Rules whose trips take this many times the optimum's are left out of the day: they would flatten it."""
ASIDE = 0.006
"""How far a link is drawn to the right of the line between its nodes, share of the map: each direction has its own."""
WIDEST = 5.0
"""Of a link, points."""
OTHERS = ("#e69f00", "#009e73", "#cc79a7", "#56b4e9")
"""Of Okabe and Ito's palette, which all kinds of colour vision can tell apart."""


def draw(config: Config, policies: Mapping[str, Policy], folder: Path, seed: int) -> list[Path]:
    """`roads.svg` and `day.svg`: the first policy, the optimum, and in the second the other rules.

    Raises:
        ConfigError: `policies` has no `system-optimum`, or nothing beside it.
    """
    name = next(iter(policies), OPTIMUM)
    if OPTIMUM not in policies or name == OPTIMUM:
        raise ConfigError(
            f"policies = {list(policies)}: expected the policy to draw first and {OPTIMUM} to hold it against; "
            "take the latter from domain.baselines(config)"
        )
    network = build(config).network
    replays = {key: replay(config, policy, DAYS, seed) for key, policy in policies.items()}
    return [
        roads(folder / "roads.svg", network, {key: replays[key] for key in (name, OPTIMUM)}),
        day(folder / "day.svg", replays),
    ]


def roads(path: Path, network: Network, replays: Mapping[str, Replay]) -> Path:
    """Flow over capacity of each link under two policies, mean over all periods, and the difference."""
    (name, shown), (_, best) = replays.items()
    place, note = places(network)
    figure, panels = blank(14, 1.4 + 3.8 * float(place[:, 1].max()), columns=3)
    loads = [loading(x) for x in (shown, best)]
    top = float(max(load.max() for load in loads))
    apart = loads[0] - loads[1]
    reach = max(float(np.abs(apart).max()), 1e-6)
    width = WIDEST * np.sqrt(best.flow.mean((0, 1)) / best.flow.mean((0, 1)).max())
    for axes, title, load in zip(panels, (name, OPTIMUM), loads, strict=False):
        shade = _links(axes, network, place, load, width, "viridis_r", (0.0, top))
        axes.set_title(title)
    figure.colorbar(shade, ax=panels[:2], label="flow over capacity, mean")
    shade = _links(axes := panels[2], network, place, apart, width, "RdBu_r", (-reach, reach))
    axes.set_title(f"{name} less {OPTIMUM}")
    figure.colorbar(shade, ax=axes, label="difference, capacities")
    figure.supxlabel(f"{network.name}: width as the optimum's flow{note}", fontsize=9, color="#555555")
    return save(figure, path)


def loading(shown: Replay) -> FloatArray:
    """Flow over capacity, mean over periods and days, `[L]`."""
    found: FloatArray = (shown.flow / shown.capacity).mean((0, 1))
    return found


def places(network: Network) -> tuple[FloatArray, str]:
    """Where nodes are drawn, `[V, 2]`, within a unit square, and what to say of it.

    Without coordinates they are laid out so that distances are about the numbers of links between nodes (classical
    scaling, W. S. Torgerson, Psychometrika 17, 1952).
    """
    place, note = np.array(network.place), ""
    if not np.isfinite(place).all():
        joined = np.zeros((network.num_nodes, network.num_nodes))
        joined[network.tail, network.head] = 1
        hops = shortest_path(joined, directed=False, unweighted=True)
        hops[~np.isfinite(hops)] = network.num_nodes
        centred = hops**2 - (hops**2).mean(0)
        values, vectors = np.linalg.eigh(-(centred - centred.mean(1, keepdims=True)) / 2)
        place = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
        place *= np.sign(place[np.abs(place).argmax(0), [0, 1]])  # an eigenvector's sign is anybody's
        note = "; it has no coordinates, nodes are placed by the links between them"
    span = float(np.ptp(place, 0).max()) or 1.0
    found: FloatArray = (place - place.min(0)) / span
    return found, note


def _links(
    axes: Axes, network: Network, place: FloatArray, load: FloatArray, width: FloatArray, colours: str,
    limits: tuple[float, float],
) -> Figure:  # fmt: skip
    """Every link as a line beside that of its other direction; what a colour bar needs."""
    from matplotlib.collections import LineCollection

    ends = np.stack([place[network.tail], place[network.head]], 1)
    along = ends[:, 1] - ends[:, 0]
    size = np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
    right = ASIDE * np.stack([along[:, 1], -along[:, 0]], -1) / size
    shade = LineCollection(ends + right[:, None], array=load, cmap=colours, linewidths=np.maximum(width, 0.8))
    shade.set_clim(*limits)
    axes.add_collection(shade)
    axes.scatter(*place.T, s=12, color="#333333", zorder=3)
    axes.set(aspect="equal", xlim=(-0.04, 1.04), ylim=(-0.04, float(place[:, 1].max()) + 0.04))
    axes.axis("off")
    return shade


def day(path: Path, replays: Mapping[str, Replay]) -> Path:
    """Travel time of a vehicle by the period of the day, over the optimum's."""
    figure, (plain, over) = blank(11, 4.2, columns=2)
    best = by_period(replays[OPTIMUM])
    first, colours = next(iter(replays)), iter(OTHERS)
    for name, shown in replays.items():
        time = by_period(shown)
        if time.mean() > TOO_SLOW * best.mean():
            continue
        known = {first: COLOURS["policy"], OPTIMUM: COLOURS["oracle"]}
        colour = known.get(name) or next(colours)
        hours = 24 * (np.arange(len(time)) + 0.5) / len(time)
        plain.plot(hours, time, color=colour, label=name, marker=".")
        if name != OPTIMUM:
            over.plot(hours, 100 * (time / best - 1), color=colour, label=name, marker=".")
    plain.set(xlabel="hour", ylabel="travel time of a vehicle, the network's unit", xlim=(0, 24), title="over the day")
    over.set(xlabel="hour", ylabel="%", xlim=(0, 24), title=f"above {OPTIMUM}")
    over.axhline(0, color=COLOURS["oracle"], linewidth=1)
    for axes in (plain, over):
        axes.set_xticks(range(0, 25, 4))
    plain.legend(frameon=False)
    return save(figure, path)


def by_period(shown: Replay) -> FloatArray:
    """Mean travel time of a vehicle in each period of the day, `[T]`."""
    total = np.bincount(shown.period.reshape(-1), shown.travel_time.reshape(-1))
    mean: FloatArray = total / np.bincount(shown.period.reshape(-1))
    return mean
