"""Networks: fields, copies, and what makes one unusable."""

from typing import Any

import numpy as np
import pytest
import torch

from dgpg.errors import DataError
from dgpg_traffic.network.bpr import Bpr, link_time, marginal
from dgpg_traffic.network.network import validate, weighed

from ..made import made


def test_fields_are_copies_and_read_only() -> None:
    demand = np.array([25.0, 5.0])
    network = made(demand=demand)
    demand[0] = 1.0
    assert network.demand[0] == 25.0
    assert (network.num_nodes, network.num_links, network.num_pairs) == (4, 5, 2)
    with pytest.raises(ValueError, match="read-only"):
        network.demand[0] = 1.0
    assert network.scaled(demand=0.5).demand.tolist() == [12.5, 2.5] and network.demand[0] == 25.0


def test_a_usable_network_is_returned() -> None:
    network = made()
    assert validate(network) is network
    assert (network.link_name(2), network.pair_name(1)) == ("link 2 to 4", "pair 4 to 1")


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no links": ({f: [] for f in ("tail", "head", "capacity", "free_time", "b", "power", "length")}, r"no link, expec"),
    "no pairs": ({f: [] for f in ("origin", "destination", "demand")}, r"no pair with demand, expected at least one"),
    "node number": ({"node_number": [1, 2, 2, 4]}, r"node number 2 occurs more than once"),
    "position": ({"head": [1, 2, 3, 4, 0]}, r"head 3 is the node position 4, expected 0 to 3"),
    "self loop": ({"head": [1, 2, 3, 2, 0]}, r"link 3 to 3 leads from a node to itself: remove it"),
    "negative toll": ({"toll": [0, 0, 0, -1, 0]}, r"link 3 to 4 has toll -1, expected a number of 0 or more"),
    "zero capacity": ({"capacity": [10, 0, 10, 20, 30]}, r"link 1 to 3 has capacity 0, expected a number above 0"),
    "infinite capacity": ({"capacity": [10, np.inf, 10, 20, 30]}, r"link 1 to 3 has capacity inf, expected"),
    "negative time": ({"free_time": [1, 2, -1, 2, 3]}, r"link 2 to 4 has free_time -1, expected a number of 0 or more"),
    "NaN b": ({"b": [np.nan, 1, 1, 1, 1]}, r"link 1 to 2 has b nan, expected a number of 0 or more"),
    "low power": ({"power": [4, 4, 0.5, 1, 1]}, r"link 2 to 4 has power 0.5, expected a number of 1 or more"),
    "inside": ({"destination": [0, 0]}, r"pair 1 to 1 starts where it ends: leave it out"),
    "same pair": ({"origin": [0, 0], "destination": [3, 3]}, r"pair 1 to 4 occurs twice: add up the two"),
    "negative demand": ({"demand": [25, -5]}, r"pair 4 to 1 has demand -5, expected a number above 0"),
    "NaN demand": ({"demand": [np.nan, 5]}, r"pair 1 to 4 has demand nan, expected a number above 0"),
    "unreachable": ({"origin": [0, 1], "head": [1, 2, 2, 3, 1]}, r"no route leads along pair 2 to 1: add links, or"),
    "closed": ({"through": [True, False, False, True]}, r"no route leads .* pair 1 to 4: .*; zones that may not be cr"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault: str) -> None:
    changes, message = FAULTS[fault]
    with pytest.raises(DataError, match=r"^diamond: " + message):
        validate(made(**changes))


def test_a_fault_is_named_with_its_place() -> None:
    places = [f"net:{line}" for line in range(5)]
    with pytest.raises(DataError, match=r"^net:3: link 3 to 3"):
        validate(made(head=[1, 2, 3, 2, 0]), "folder", places, ["trips:7", "trips:8"])
    with pytest.raises(DataError, match=r"^trips:8: pair 4 to 1 has demand -5"):
        validate(made(demand=[25, -5]), "folder", places, ["trips:7", "trips:8"])
    with pytest.raises(DataError, match=r"^trips:7: no route"):
        validate(made(through=[True, False, False, True]), "folder", places, ["trips:7", "trips:8"])


def test_columns_of_other_lengths_are_refused() -> None:
    with pytest.raises(DataError, match=r"diamond: columns differ in length, .*'demand': 1"):
        made(demand=[1.0])
    with pytest.raises(DataError, match=r"diamond: place has the shape \(4,\), expected \(nodes, 2\)"):
        made(place=np.zeros(4))


def test_tolls_and_lengths_are_added_to_times() -> None:
    network = made(toll=[10.0, 0, 0, 4, 0], free_time=[1.0, 2, 0, 2, 0])
    cost, flow = weighed(network, 0.5, 0.25), torch.tensor([3.0, 30.0, 7.0, 11.0, 5.0], dtype=torch.float64)
    fixed = torch.tensor([5.25, 0.25, 0.25, 2.25, 0.25], dtype=torch.float64)
    torch.testing.assert_close(link_time(Bpr.of(cost), flow), link_time(Bpr.of(network), flow) + fixed)
    torch.testing.assert_close(marginal(Bpr.of(cost), flow), marginal(Bpr.of(network), flow) + fixed)
    np.testing.assert_allclose(cost.fixed, fixed)
    assert cost.cost_name == "generalised cost" and network.cost_name == "travel time"


def test_without_factors_nothing_changes() -> None:
    network = weighed(made())
    for name in ("free_time", "b", "power", "capacity"):
        np.testing.assert_array_equal(getattr(network, name), getattr(made(), name))
    assert network.notes == ("length of links do not count: set distance_factor if they should",)
    assert weighed(made(length=[0.0] * 5)).notes == weighed(made(distance_factor=0.0)).notes == ()
