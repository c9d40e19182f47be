"""SUMO's own assignment gives every driver a route from its first edge to its last."""

from typing import Any

import numpy as np
import pytest

from dgpg.errors import DataError
from dgpg_traffic.sumo import dua
from dgpg_traffic.sumo.config import Config
from dgpg_traffic.sumo.instance import build


@pytest.mark.parametrize("marginal_cost", [False, True])
def test_every_driver_gets_a_route_of_its_own_ends(settings: dict[str, Any], marginal_cost: bool) -> None:
    instance = build(Config.model_validate(settings))
    assigned = dua.assign(instance.days, 2, marginal_cost=marginal_cost)
    names = instance.network.edges
    assert assigned.edges.shape == (12, 1, 4)
    assert {names[e] for e in assigned.edges[:, 0, 0]} == {"oa"} and {names[e] for e in assigned.edges[:, 0, -1]} == {
        "bz"
    }
    outcome = assigned.play(np.zeros(12, int), 0)
    assert outcome.arrived.all() and outcome.minutes.mean() < 2


def test_what_it_says_is_told_where_it_fails(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    instance = build(Config.model_validate(settings))
    monkeypatch.setattr(dua, "_trips", lambda days: "<routes><trip")
    with pytest.raises(DataError, match=r"duaIterate\.py failed: "):
        dua.assign(instance.days, 1, marginal_cost=False)
