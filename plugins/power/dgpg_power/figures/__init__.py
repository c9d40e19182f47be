"""Pictures of a policy beside the optimum: dispatch, lines as bars and on a map, overloads, prices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dgpg.domain import Policy
from dgpg.showing import held_against
from dgpg.showing.maps import MOVING
from dgpg_power.baselines import OPTIMUM
from dgpg_power.config import Config
from dgpg_power.data.coordinates import coordinates
from dgpg_power.figures.lines import line_loading, loaded, overloaded, overloads
from dgpg_power.figures.prices import durations, nodal
from dgpg_power.figures.topology import hours, one_line
from dgpg_power.figures.units import dispatch
from dgpg_power.instance import build
from dgpg_power.judge.replay import replay
from dgpg_power.system import source_of

EPISODES = 8
"""Episodes that pictures are of; the dispatch is that of the first."""
MANY = 200
"""Units above which one episode does: an optimum takes a second there."""


def draw(config: Config, policies: Mapping[str, Policy], folder: Path, seed: int) -> list[Path]:
    """The first policy beside the optimum.

    `dispatch.svg`, `map.svg`, `prices.svg` and `lines_day.moving.json`, which pages show; where a line comes near its
    limit `line_loading.svg`, and where one is beyond it `overload.svg`.

    Raises:
        ConfigError: `policies` has no `dc-opf`, or nothing beside it.
        DataError: coordinates beside the case file are no numbers.
    """
    name = held_against(policies, OPTIMUM)
    network = build(config).network
    place = coordinates(network, source_of(config).name)
    episodes = EPISODES if network.num_units <= MANY else 1
    replays = {key: replay(config, policies[key], episodes, seed) for key in (name, OPTIMUM)}
    drawn = [dispatch(folder / "dispatch.svg", network, replays)]
    if (lines := loaded(network, replays)).size:
        drawn.append(line_loading(folder / "line_loading.svg", network, replays, lines))
    if (lines := overloaded(network, replays)).size:
        drawn.append(overloads(folder / "overload.svg", network, replays, lines))
    prices, loads = nodal(config, policies[OPTIMUM], episodes, seed)
    drawn.append(durations(folder / "prices.svg", prices, loads, replays))
    drawn.append(one_line(folder / "map.svg", network, place, replays))
    if len(replays[name].demand) > 1:
        drawn.append(hours(folder / f"lines_day{MOVING}", network, place, name, replays[name]))
    return drawn
