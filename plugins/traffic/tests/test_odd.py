"""Odd networks in odd files: equilibrium and optimum over all routes, and what is said of given routes."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from dgpg.errors import DataError
from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM, USER_EQUILIBRIUM, assign
from dgpg_traffic.assignment.equilibrium import solve
from dgpg_traffic.data import load_network
from dgpg_traffic.network.bpr import Bpr
from dgpg_traffic.network.incidence import Incidence

from .made import STATIC, built
from .odd import judged, odd_network, write_gmns, write_tntp


@pytest.mark.parametrize("seed", range(40))
def test_an_odd_network(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    odd = odd_network(rng)
    (write_gmns if seed % 2 else write_tntp)(rng, odd, tmp_path)
    scale, toll, distance = (float(rng.choice(x)) for x in ([0.5, 1, 5], [0, 1.5], [0, 0.7]))
    factors = {"toll_factor": toll, "distance_factor": distance}
    fixed = toll * odd.toll + distance * odd.length
    if judged(odd, 0 * fixed, scale, fixed, True) is None:
        with pytest.raises(DataError, match="no route leads along pair"):
            load_network(str(tmp_path), **factors)
        return
    network = load_network(str(tmp_path), **factors).scaled(scale)
    few = built(network=str(tmp_path), routes=2, **factors, **STATIC | {"demand": STATIC["demand"] | {"scale": scale}})
    (told,) = (note for note in few.notes if "on these routes" in note)
    most = re.search(r"at most (\S+) %", told)
    for objective, beckmann in ((USER_EQUILIBRIUM, True), (SYSTEM_OPTIMUM, False)):
        found = solve(network, objective)
        best = judged(odd, found.flow, scale, fixed, beckmann)
        assert best is not None and best.off < 1e-6 * found.flow.sum()
        assert best.value == pytest.approx(found.value, rel=1e-9) and best.gap <= 1.01e-7
        demand = torch.tensor(np.array(network.demand))[None]
        flow = assign(Bpr.of(network), Incidence(few.routes, network.num_links), demand, objective).flow[0].numpy()
        rest = judged(odd, flow, scale, fixed, beckmann)
        assert rest is not None and rest.off < 1e-6 * flow.sum()
        if most is not None:  # otherwise it may be many times that
            assert rest.value <= best.value * (1 + 1.06e-2 * float(most[1])) + 1e-6
