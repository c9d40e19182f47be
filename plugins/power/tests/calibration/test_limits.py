"""A calibration invents no limits: what recurs, lasts or peaks in a log is no limit while costs explain it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dgpg.errors import DataError
from dgpg_power.calibration.calibrate import calibrate
from dgpg_power.calibration.repeats import ALIKE, distinct, independent
from dgpg_power.data.load import load_case
from dgpg_power.data.moments import Moments
from dgpg_power.data.write import matpower_text
from dgpg_power.network import Network

from ..logged import operated, untold, write_log
from ..made import built


def limits(rows: Any) -> list[str]:
    return [row["parameter"] for row in rows if row["parameter"].startswith("limit of")]


def note(rows: Any, parameter: str) -> str:
    (found,) = (row["note"] for row in rows if row["parameter"] == parameter)
    return str(found)


def picked(moments: Moments, rows: list[int]) -> Moments:
    assert moments.price is not None
    return Moments(moments.load[rows], moments.output[rows], moments.price[rows])


def fitted(folder: Path, true: Network, moments: Moments, prices: bool, **settings: Any) -> Any:
    log, out = write_log(folder / "log.csv", true, moments, prices), folder / "fitted.m"
    return calibrate(built(**settings).config, log, out, 30)


@pytest.mark.parametrize("prices", [True, False])
@pytest.mark.parametrize("costs", [0.0, 0.3])
def test_a_peak_that_is_logged_three_times_is_no_limit(tmp_path: Path, prices: bool, costs: float) -> None:
    instance = built()
    true = untold(instance.network, 3, costs=costs, limits=0.0)
    moments, bound = operated(instance, true, 60)
    assert not bound.any()
    peak = int(moments.load.sum(1).argmax())
    rows = fitted(tmp_path, true, picked(moments, [*range(60), peak, peak]), prices)
    assert limits(rows) == []
    assert note(rows, "moments of the log") == "2 repeat another and count once"
    network = built(network=str(tmp_path / "fitted.m"), load={"scale": 1.2}).network
    np.testing.assert_array_equal(network.flow_max, instance.network.flow_max)


@pytest.mark.parametrize("prices", [True, False])
def test_a_plateau_is_no_limit(tmp_path: Path, prices: bool) -> None:
    instance = built()
    true = untold(instance.network, 4, limits=0.0)
    moments, _ = operated(instance, true, 40)
    assert moments.price is not None
    peak, rng = int(moments.load.sum(1).argmax()), np.random.default_rng(0)
    noise = 1 + 1e-5 * rng.standard_normal((20, 1))  # 20 hours of one level, none like another in the last digits
    load, output = (np.concatenate([x, x[peak] * noise]) for x in (moments.load, moments.output))
    price = np.concatenate([moments.price, np.full(20, moments.price[peak])])
    rows = fitted(tmp_path, true, Moments(load, output, price), prices)
    assert limits(rows) == []


def test_a_noisy_log_has_no_limits_either(tmp_path: Path) -> None:
    instance = built()
    for seed in range(3):
        true = untold(instance.network, seed, limits=0.0)
        moments, _ = operated(instance, true, 60)
        rng = np.random.default_rng(seed)
        output = moments.output * (1 + 0.005 * rng.standard_normal(moments.output.shape))
        folder = tmp_path / str(seed)
        folder.mkdir()
        assert limits(fitted(folder, true, replace(moments, output=output), True)) == []


@pytest.mark.parametrize("repeats", [0, 5])
def test_a_line_that_binds_is_found_however_often_it_is_logged(tmp_path: Path, repeats: int) -> None:
    instance = built(limit_scale=0.5)
    true = untold(instance.network, 1)
    moments, bound = operated(instance, true)
    (line,) = np.flatnonzero(bound.numpy() > 5)
    rows = fitted(tmp_path, true, picked(moments, [*range(len(moments.load)), *[7] * repeats]), True, limit_scale=0.5)
    name = f"limit of {true.line_name(int(line))}"
    (found,) = (row for row in rows if row["parameter"] == name)
    assert found["fitted"] == pytest.approx(true.flow_max[line], rel=0.01)
    assert found["note"] == f"binds in {int(bound[line])} moments"


@pytest.mark.parametrize("prices", [True, False])
def test_a_unit_that_never_runs_has_a_bound_and_its_line_no_limit(tmp_path: Path, prices: bool) -> None:
    instance = built()
    network = instance.network
    true = replace(network, cost_linear=network.cost_linear + np.array([200.0, 0, 0]))
    moments, _ = operated(instance, true, 60)
    assert (moments.output[:, 0] < network.unit_min[0] + 1e-3).all()
    rows = fitted(tmp_path, true, moments, prices)
    assert limits(rows) == []
    assert note(rows, "linear cost of gen1") == "always at its least output: at least this, or it would not be"
    again = built(network=str(tmp_path / "fitted.m")).network
    slope = again.cost_linear + 2 * again.cost_quadratic * moments.output
    dearest = slope[:, 1:].max()
    assert slope[0, 0] == pytest.approx(dearest, rel=1e-3)  # just too dear in the dearest moment


@pytest.mark.parametrize("prices", [True, False])
def test_a_unit_that_always_runs_full_keeps_its_own_costs(tmp_path: Path, prices: bool) -> None:
    instance = built()
    network = replace(instance.network, unit_max=np.array([30.0, 300, 270]))
    path = tmp_path / "small.m"
    case = load_case("case9")
    gen = [[*row[:8], most, *row[9:]] for row, most in zip(case.gen.rows, network.unit_max, strict=True)]
    path.write_text(matpower_text(replace(case, gen=replace(case.gen, rows=tuple(map(tuple, gen)))), "small"))
    instance = built(network=str(path))
    true = replace(instance.network, cost_linear=instance.network.cost_linear * 1.1)
    moments, _ = operated(instance, true, 60)
    full = moments.output[:, 0] > 29.99
    rows = fitted(tmp_path, true, picked(moments, np.flatnonzero(full).tolist()), prices, network=str(path))
    quadratic, linear = (r for r in rows if r["parameter"].endswith("cost of gen1"))
    assert linear["note"].startswith("always at its largest output: its own kept")
    factor = float(linear["note"].rsplit("x ", 1)[1].split()[0]) if prices else 1.0
    assert quadratic["fitted"] == pytest.approx(factor * quadratic["start"], rel=1e-3)
    assert linear["fitted"] == pytest.approx(factor * linear["start"], rel=1e-3)


def test_repeats_are_left_out_in_order() -> None:
    load, output = np.array([[1.0], [2], [1], [1]]), np.array([[1.0, 0], [2, 0], [1, 0], [0, 1]])
    found = distinct(Moments(load, output, None))
    np.testing.assert_array_equal(found.load, [[1], [2], [1]])
    np.testing.assert_array_equal(found.output, [[1, 0], [2, 0], [0, 1]])
    assert len(distinct(Moments(load, output, np.array([1.0, 2, 3, 4]))).load) == 4


def test_a_log_of_one_moment_over_and_over_is_refused(tmp_path: Path) -> None:
    instance = built()
    moments, _ = operated(instance, instance.network, 5)
    with pytest.raises(
        DataError, match="9 moments, all but 2 of which repeat another, expected at least 3 that differ"
    ):
        fitted(tmp_path, instance.network, picked(moments, [0, 1] + [0] * 7), True)


def test_moments_are_independent_where_loads_differ() -> None:
    base = torch.tensor([50.0, 50.0])
    alike = base + 100 * ALIKE * torch.tensor([[0.0, 0], [0.4, 0], [0, -0.4]])
    assert independent(alike, 100.0) == 1
    assert independent(torch.cat([alike, base.flip(0)[None] + 10]), 100.0) == 2
    assert independent(alike[:0], 100.0) == 0


def test_prices_that_contradict_the_outputs_are_told(tmp_path: Path) -> None:
    instance = built()
    true = untold(instance.network, 3, limits=0.0)
    moments, _ = operated(instance, true, 40)
    assert moments.price is not None
    rows = fitted(tmp_path, true, replace(moments, price=-moments.price), True)
    assert note(rows, "level of all costs").endswith("the network's own is above 0: check the sign of the prices")
    assert note(rows, "error of outputs, root mean square").startswith("more than with the network's own values")
    (tmp_path / "fitted.m").unlink()
    rows = fitted(tmp_path, true, moments, True)
    assert "sign" not in note(rows, "level of all costs") and note(rows, "error of outputs, root mean square") == ""


def test_a_price_that_is_none_is_named(tmp_path: Path) -> None:
    """One of the wrong sign bends all costs, under which outputs are as they were."""
    instance = built()
    true = untold(instance.network, 3, limits=0.0)
    moments, _ = operated(instance, true, 40)
    assert moments.price is not None
    rows = fitted(tmp_path, true, moments, True)
    (row,) = (row for row in rows if row["parameter"] == "error of prices, root mean square")
    assert row["note"] == "" and row["start"] > 0.1 and row["fitted"] < 1e-3
    (tmp_path / "fitted.m").unlink()
    price = np.where(np.arange(40) == 7, -moments.price, moments.price)
    rows = fitted(tmp_path, true, replace(moments, price=price), True)
    assert note(rows, "error of outputs, root mean square") == ""
    told = f"at a load of {moments.load[7].sum():.6g} MW it is {price[7]:.6g}"
    assert told in note(rows, "error of prices, root mean square")
    (tmp_path / "fitted.m").unlink()
    assert not [row for row in fitted(tmp_path, true, moments, False) if "of prices" in row["parameter"]]


@pytest.mark.parametrize("prices", [True, False])
def test_a_unit_on_a_schedule_has_no_limit_and_no_cost(tmp_path: Path, prices: bool) -> None:
    """Its output between its limits is explained by no cost, and was by a limit of its line and -1,720 $/MWh."""
    instance = built()
    true = untold(instance.network, 3, limits=0.0)
    low, high = true.unit_min.copy(), true.unit_max.copy()
    low[0] = high[0] = 70.7  # the operator's schedule, of which the case knows nothing
    high[0] += 1e-9
    moments, bound = operated(instance, replace(true, unit_min=low, unit_max=high), 60)
    assert not bound.any()
    rows = fitted(tmp_path, true, moments, prices)
    assert limits(rows) == []
    assert note(rows, "linear cost of gen1").startswith("always gives 70.7 MW, whatever is asked for: taken as a sch")
    for what in ("linear", "quadratic"):
        (row,) = (row for row in rows if row["parameter"] == f"{what} cost of gen1")
        assert row["fitted"] == pytest.approx(row["start"], rel=1e-9) or prices
        assert row["fitted"] / row["start"] > 0
    (error,) = (row for row in rows if row["parameter"].startswith("error of outputs"))
    assert error["fitted"] < 0.01
