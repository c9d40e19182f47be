"""Units that stop at an output of which the network does not know: their own limit is tried before one of a line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dgpg_power.calibration.calibrate import calibrate
from dgpg_power.calibration.ends import Ends, hinted, own_ends
from dgpg_power.data.moments import Moments
from dgpg_power.grid import make_grid
from dgpg_power.instance import Instance
from dgpg_power.network import Network

from ..logged import operated, untold, write_log
from ..made import CPU, built


def rows_of(rows: Any, start: str) -> list[Any]:
    return [row for row in rows if row["parameter"].startswith(start)]


def fitted(folder: Path, instance: Instance, moments: Moments, prices: bool) -> Any:
    log = write_log(folder / "log.csv", instance.network, moments, prices)
    return calibrate(instance.config, log, folder / "fitted.m", 30)


def derated(network: Network, unit: int, most: float) -> Network:
    return replace(network, unit_max=np.where(np.arange(network.num_units) == unit, most, network.unit_max))


@pytest.mark.parametrize("prices", [True, False])
def test_a_derated_unit_behind_a_line_of_its_own_is_no_limit_of_the_line(tmp_path: Path, prices: bool) -> None:
    """Outputs that stop at a level say the same of either; the network's limit is three times as far."""
    instance = built()
    moments, bound = operated(instance, derated(instance.network, 0, 85.0), 40)
    assert not bound.any()
    rows = fitted(tmp_path, instance, moments, prices)
    assert rows_of(rows, "limit of") == []
    (row,) = rows_of(rows, "largest output of gen1")
    assert row["start"] == 250 and row["fitted"] == pytest.approx(85.0, rel=1e-4)
    assert row["note"].endswith("whatever is asked for; a limit of line 0 (bus 1 to bus 4) would say the same")
    assert built(network=str(tmp_path / "fitted.m")).network.unit_max[0] == row["fitted"]


def test_a_derated_unit_among_lines_in_loops_is_no_limit_of_any(tmp_path: Path) -> None:
    """On case30 no limit of a line says what the unit's own does: it cost -2.2 $/MWh instead of 2.5 before."""
    instance = built(network="case30")
    true = untold(instance.network, 3, limits=0.0)
    moments, bound = operated(instance, derated(true, 3, 20.0), 30)
    rows = fitted(tmp_path, instance, moments, True)
    for row in rows_of(rows, "limit of"):
        assert bound[int(row["parameter"].split()[3])]
    (row,) = rows_of(rows, "largest output of")
    assert row["parameter"].endswith("gen4") and row["fitted"] == pytest.approx(20.0, rel=1e-4)


def test_a_unit_that_must_run_has_a_least_output(tmp_path: Path) -> None:
    instance = built()
    low = np.array([10.0, 90.0, 10.0])
    moments, _ = operated(instance, replace(instance.network, unit_min=low), 40)
    rows = fitted(tmp_path, instance, moments, True)
    assert rows_of(rows, "limit of") == []
    (row,) = rows_of(rows, "least output of")
    assert row["parameter"].endswith("gen2") and row["fitted"] == pytest.approx(90.0, rel=1e-4)
    assert built(network=str(tmp_path / "fitted.m")).network.unit_min[1] == row["fitted"]
    (error,) = rows_of(rows, "error of outputs")
    assert error["fitted"] < 1e-3 and error["note"] == ""


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_a_log_without_stops_has_none(tmp_path: Path, noise: float) -> None:
    instance = built()
    true = untold(instance.network, 2, limits=0.0)
    moments, _ = operated(instance, true, 40)
    rng = np.random.default_rng(2)
    output = moments.output * (1 + noise * rng.standard_normal(moments.output.shape))
    rows = fitted(tmp_path, instance, replace(moments, output=output), True)
    assert rows_of(rows, "largest") == rows_of(rows, "least") == rows_of(rows, "limit of") == []


def test_outputs_stop_where_they_recur_in_independent_moments() -> None:
    grid = make_grid(built(), CPU, torch.float64)
    load = torch.linspace(50, 300, 9, dtype=torch.float64)[:, None].expand(-1, 9).clone()
    rising = torch.linspace(20, 200, 9, dtype=torch.float64)
    output = torch.stack([rising, rising.clamp(max=120.0), rising.clamp(min=100.0)], -1)
    none = torch.zeros(3, dtype=torch.bool)
    found, own = hinted(grid, load, output, none, none), own_ends(grid)
    assert found.beyond(own).tolist() == [[False, False, True], [False, True, False]]
    assert float(found.high[1]) == 120.0 and float(found.low[2]) == 100.0
    told = hinted(grid, load, output, none, torch.tensor([False, True, False]))
    assert not told.beyond(own)[1].any()
    idle = hinted(grid, load, grid.unit_min.expand(9, -1), none, none)  # at a limit that is known
    assert not idle.beyond(own).any()
    alike = hinted(grid, load[:1].expand_as(load), output, none, none)
    assert not alike.beyond(own).any()
    back = found.without(1, 1, own)
    assert isinstance(back, Ends) and back.beyond(own).tolist() == [[False, False, True], [False] * 3]


def test_a_limit_that_explains_one_moment_is_told_and_not_written(tmp_path: Path) -> None:
    instance = built(limit_scale=0.5)
    true = untold(instance.network, 1)
    moments, bound = operated(instance, true, 50)
    assert 0 < int(bound.max()) < 3
    rows = fitted(tmp_path, instance, moments, False)
    limits = rows_of(rows, "limit of")
    assert limits
    for row in limits:
        assert row["fitted"] == row["start"] and "too few to tell from chance: kept" in row["note"]


def test_costs_of_a_log_that_nothing_explains_are_not_to_be_trusted(tmp_path: Path) -> None:
    """One unit out of service in half of the log: its cost was 5 times too low, and nothing said so."""
    instance = built()
    running, _ = operated(instance, instance.network, 40)
    out, _ = operated(instance, replace(instance.network, cost_linear=np.array([1e3, 1.2, 1.0])), 40)
    half = Moments(*(np.concatenate([a[:20], b[20:]]) for a, b in zip(parts(running), parts(out), strict=True)))
    (row,) = rows_of(fitted(tmp_path, instance, half, True), "error of outputs")
    assert row["note"].startswith("nothing explains this log well, gen1 is missed by")


def parts(moments: Moments) -> tuple[Any, Any, Any]:
    return moments.load, moments.output, moments.price


def test_linear_costs_below_0_are_told_by_unit_and_number(tmp_path: Path) -> None:
    instance = built()
    true = replace(instance.network, cost_linear=np.array([5.0, 1.2, -40.0]))
    moments, _ = operated(instance, true, 40)
    for prices, cure in (
        (False, "the log has no prices, so that level is a guess"),
        (True, "outside of what was logged"),
    ):
        rows = fitted(tmp_path, instance, moments, prices)
        (tmp_path / "fitted.m").unlink()
        below = [r for r in rows if r["parameter"].startswith("linear cost of") and r["fitted"] < 0]
        (row,) = rows_of(rows, "costs below 0, linear ones")
        assert below and row["fitted"] == len(below) and cure in row["note"]
        for one in below:
            assert f"{one['parameter'].split()[-1]} {one['fitted']:.4g}" in row["note"]
    rows = fitted(tmp_path, instance, operated(instance, instance.network, 40)[0], True)
    assert rows_of(rows, "costs below 0") == []
