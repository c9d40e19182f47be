"""Networks that the tests of this folder share, and what they take from data."""

from typing import Any

import numpy as np

from dgpg_traffic.network import Network


def made(**changes: Any) -> Network:
    """Two routes from node 1 to node 4, by node 2 and by node 3, and a way back; pairs 1 to 4 and 4 to 1.

    Args:
        changes: fields that differ.
    """
    fields: dict[str, Any] = {
        "name": "diamond",
        "node_number": [1, 2, 3, 4],
        "through": [True] * 4,
        "place": np.full((4, 2), np.nan),
        "tail": [0, 0, 1, 2, 3],
        "head": [1, 2, 3, 3, 0],
        "capacity": [10.0, 20.0, 10.0, 20.0, 30.0],
        "free_time": [1.0, 2.0, 1.0, 2.0, 3.0],
        "b": [0.15, 0.15, 1.0, 1.0, 0.0],
        "power": [4.0, 4.0, 2.0, 1.0, 1.0],
        "length": [1.0] * 5,
        "origin": [0, 3],
        "destination": [3, 0],
        "demand": [25.0, 5.0],
    }
    return Network(**(fields | changes))
