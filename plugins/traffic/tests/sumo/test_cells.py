"""Who meets whom by the timetable, counted by hand and again."""

from typing import Any

import numpy as np
import pytest
import torch

from dgpg_traffic.sumo.cells import CARS, Cells, make, mean_times, timetable
from dgpg_traffic.sumo.config import Config
from dgpg_traffic.sumo.instance import Instance, build

WINDOW = 30.0


@pytest.fixture(scope="module", params=["fleet", "all"])
def town_of(request: pytest.FixtureRequest, settings: dict[str, Any]) -> tuple[Instance, Cells]:
    instance = build(Config.model_validate({**settings, "objective": request.param}))
    return instance, make(instance, WINDOW)


def counted_again(instance: Instance, choice: np.ndarray) -> dict[tuple[str, int], list[float]]:
    """Cars, those that count and those that cross, by edge and window, driver by driver."""
    found: dict[tuple[str, int], list[float]] = {}
    net, table = instance.network, timetable(instance, WINDOW)
    for i, k in enumerate(choice.tolist()):
        for edge, window in zip(instance.days.edges[i, k].tolist(), table.window[i, k].tolist(), strict=True):
            if edge < 0:
                continue
            own = found.setdefault((net.edges[edge], window), [0, 0, 0])
            own[0] += 1
            own[1] += float(instance.counted[i])
            for other in range(len(net.edges)):
                if other != edge and net.head[other] == net.head[edge]:
                    found.setdefault((net.edges[other], window), [0, 0, 0])[2] += 1
    return found


def test_people_and_routes_add_up_to_a_recount(town_of: tuple[Instance, Cells]) -> None:
    instance, cells = town_of
    net, table = instance.network, timetable(instance, WINDOW)
    generator = np.random.default_rng(0)
    choice = instance.humans.choice.copy()
    taken = np.array([generator.choice(np.flatnonzero(row)) for row in instance.mask])
    choice[instance.fleet] = taken
    state = cells.people.copy()
    for n, k in enumerate(taken):
        np.add.at(state, cells.index[n, k], cells.value[n, k])
    again = counted_again(instance, choice)
    for cell, edge in enumerate(cells.edge.tolist()):
        i, k, place = np.argwhere(cells.of == cell)[0]
        window = int(table.window[i, k, place])
        assert state[cell].tolist() == again.get((net.edges[edge], window), [0, 0, 0])
    routes = state[len(cells.edge) :, 1].reshape(instance.mask.shape)
    assert (routes == np.eye(instance.mask.shape[1])[taken]).all()


def test_who_counts_is_the_fleet_or_everybody(settings: dict[str, Any]) -> None:
    fleet, everyone = (build(Config.model_validate({**settings, "objective": who})) for who in ("fleet", "all"))
    assert fleet.counted.sum() == 6 == len(fleet.fleet) and everyone.counted.all()
    assert fleet.fleet.tolist() == everyone.fleet.tolist()
    other = build(Config.model_validate({**settings, "fleet": {"share": 0.5, "seed": 1}}))
    assert other.fleet.tolist() != fleet.fleet.tolist()


def test_windows_follow_what_edges_took_people(settings: dict[str, Any]) -> None:
    instance = build(Config.model_validate(settings))
    takes = mean_times(instance)
    first = instance.network.number["oa"]
    passed = [day[:, 0] for day in instance.humans.passed]  # every driver begins on it
    assert takes[first] == pytest.approx(np.mean(passed))
    table = timetable(instance, WINDOW)
    i = 7
    assert table.window[i, 0, 1] == (instance.days.depart[i] + takes[first]) // WINDOW


def test_blocks_of_a_choice_are_distinct(town_of: tuple[Instance, Cells]) -> None:
    cells = town_of[1]
    used = torch.from_numpy((cells.value != 0).any(-1))
    for index, there in zip(cells.index.reshape(-1, cells.index.shape[-1]), used.flatten(0, 1), strict=True):
        kept = index[there.numpy()]
        assert len(set(kept.tolist())) == len(kept)
    assert cells.value[..., CARS].sum() > 0
