"""Calibration: known costs and limits come back from their own logs; what cannot be known is said."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from dgpg import cli
from dgpg.domain import SupportsCalibration
from dgpg.errors import ConfigError, DataError
from dgpg_power.calibration import fit
from dgpg_power.calibration import start as calibration
from dgpg_power.calibration.calibrate import calibrate
from dgpg_power.config import Config
from dgpg_power.data import load_network
from dgpg_power.domain import domain
from dgpg_power.grid import make_grid

from ..logged import operated, untold, write_log
from ..made import CPU, built

CASES: list[tuple[str, dict[str, Any], int]] = [
    *[("case9", {"limit_scale": 0.5}, seed) for seed in (0, 1)],
    *[("case24-tight", {}, seed) for seed in (0, 1)],
    *[("case30", {}, seed) for seed in (0, 1)],
]


def row(rows: Any, start: str) -> Any:
    (found,) = (r for r in rows if r["parameter"].startswith(start))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings", "seed"), CASES)
def test_known_parameters_come_back(tmp_path: Path, name: str, settings: dict[str, Any], seed: int) -> None:
    instance = built(network=name, **settings)
    true = untold(instance.network, seed)
    moments, bound = operated(instance, true)
    rows = calibrate(instance.config, write_log(tmp_path / "log.csv", true, moments), None, 50)
    span = true.unit_max - true.unit_min
    between = (moments.output > true.unit_min + 0.01 * span) & (moments.output < true.unit_max - 0.01 * span)
    often, checked = between.sum(0) >= 5, 0
    for n in np.flatnonzero(often):
        for what, column in (("quadratic", true.cost_quadratic), ("linear", true.cost_linear)):
            (found,) = (r["fitted"] for r in rows if r["parameter"] == f"{what} cost of {true.unit_name[n]}")
            assert found == pytest.approx(column[n], rel=0.02), (what, true.unit_name[n])
            checked += 1
    assert checked >= 6 and int((bound >= 3).sum()) >= (name != "case30" or seed)
    for line in np.flatnonzero(bound.numpy() >= 3):
        assert row(rows, f"limit of {true.line_name(line)}")["fitted"] == pytest.approx(true.flow_max[line], rel=0.02)
    error = row(rows, "error of outputs")
    assert error["fitted"] < 0.2 * error["start"]


def test_the_jacobian_agrees_with_differences() -> None:
    instance = built(network="case9", limit_scale=0.5)
    moments, bound = operated(instance, untold(instance.network, 1), 20)
    task = calibration.pose(make_grid(instance, CPU, torch.float64), moments)
    assert len(task.free) and bound.any()
    theta = 0.05 * torch.randn(fit._size(task), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    theta[-len(task.free) :] = -0.02  # limits below what the log shows: they bind
    jacobian, _ = fit._linearised(task, theta)
    for k in range(len(theta)):
        step = torch.zeros_like(theta).index_fill(0, torch.tensor([k]), 1e-5)
        change = (fit._residual(task, theta + step) - fit._residual(task, theta - step)) / 2e-5
        smooth = (jacobian[:, k] - change).abs() <= 1e-3 * change.abs().max() + 1e-6
        assert smooth.float().mean() > 0.97  # but for moments at a kink
    assert jacobian[:, -len(task.free) :].abs().max() > 1e-2


def test_the_fit_lowers_the_error_of_outputs_by_their_gradient() -> None:
    instance = built(network="case9", limit_scale=0.5)
    moments, _ = operated(instance, untold(instance.network, 1), 60)
    task = calibration.pose(make_grid(instance, CPU, torch.float64), moments)
    task = replace(task, start=replace(task.start, quadratic=task.own.quadratic, linear=task.own.linear))
    before = fit.error_of(task, fit.optimum(task, task.start)[1])
    # without the linear start a kink of the dispatch holds it up, at 6 % of the error that it came from
    assert fit.fit(task, 30).error < 0.1 * before


def test_without_prices_the_level_is_the_networks_own(tmp_path: Path) -> None:
    instance = built(network="case9", limit_scale=0.5)
    true = untold(instance.network, 0)
    moments, _ = operated(instance, true)
    rows = calibrate(instance.config, write_log(tmp_path / "log.csv", true, moments, prices=False), None, 50)
    assert "the network's own costs" in row(rows, "level of all costs")["note"]
    a, b = (
        np.array([r["fitted"] for r in rows if r["parameter"].startswith(what)]) for what in ("quadratic", "linear")
    )
    scale = a / true.cost_quadratic
    np.testing.assert_allclose(scale, scale[0], rtol=0.02)
    shift = b - scale * true.cost_linear
    np.testing.assert_allclose(shift, shift[0], atol=0.02 * true.cost_linear.max())
    known, own = (net.cost_linear + 2 * net.cost_quadratic * moments.output for net in (
        replace(true, cost_quadratic=a, cost_linear=b), instance.network))  # fmt: skip
    assert known.mean() == pytest.approx(own.mean(), rel=1e-3) and known.std() == pytest.approx(own.std(), rel=1e-3)


def test_prices_in_another_currency_scale_the_costs(tmp_path: Path) -> None:
    instance = built(network="case9", limit_scale=0.5)
    true = untold(instance.network, 0)
    moments, _ = operated(instance, true)
    assert moments.price is not None
    log = write_log(tmp_path / "log.csv", true, replace(moments, price=8.0 * moments.price))
    rows = calibrate(instance.config, log, None, 50)
    for n, name in enumerate(true.unit_name):
        assert row(rows, f"quadratic cost of {name}")["fitted"] == pytest.approx(8 * true.cost_quadratic[n], rel=0.02)


def test_limits_that_never_bind_stay_and_are_counted(tmp_path: Path) -> None:
    instance = built(network="case9")
    true = replace(instance.network, cost_linear=1.2 * instance.network.cost_linear)
    moments, bound = operated(instance, true)
    assert not bound.any()
    rows = calibrate(instance.config, write_log(tmp_path / "log.csv", true, moments), None, 50)
    found = row(rows, "limits of 9 other lines")
    assert found["fitted"] == "kept" and found["note"] == "not needed to explain the log"
    assert not [r for r in rows if r["parameter"].startswith("limit of")]


def test_the_written_case_is_what_was_fitted(tmp_path: Path) -> None:
    instance = built(network="case24-tight")
    true = untold(instance.network, 1)
    moments, _ = operated(instance, true, 60)
    out = tmp_path / "new.m"
    rows = calibrate(instance.config, write_log(tmp_path / "log.csv", true, moments), out, 2)
    again = built(network=str(out)).network
    for n, name in enumerate(instance.network.unit_name):
        for what, column in (("quadratic", again.cost_quadratic), ("linear", again.cost_linear)):
            (fitted,) = (r["fitted"] for r in rows if r["parameter"] == f"{what} cost of {name}")
            assert column[n] == fitted
    for found in (r for r in rows if r["parameter"].startswith("limit of ")):
        line = int(found["parameter"].split()[3])
        assert again.flow_max[line] == found["fitted"]


def test_straight_costs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gradient in them is zero almost everywhere"):
        calibrate(Config(network="case30pwl"), tmp_path / "log.csv", None, 5)


@pytest.mark.parametrize(
    ("settings", "out", "message"),
    [
        ({"network": "case9"}, "new.txt", "expected the name of a MATPOWER file"),
        ({"network": "case9"}, "there.m", "exists; name a new file"),
        ({"network": "synthetic-10"}, "new.m", "there is no case to write"),
        ({"network": "case9", "margin": 0.0}, "new.m", "a margin narrows the limits"),
    ],
)
def test_what_cannot_be_calibrated_or_written_is_refused_first(
    tmp_path: Path, settings: dict[str, Any], out: str, message: str
) -> None:
    (tmp_path / "there.m").touch()
    with pytest.raises(ConfigError, match=message):
        calibrate(Config.model_validate(settings), tmp_path / "no-log.csv", tmp_path / out, 5)


def test_units_always_at_a_limit_say_nothing(tmp_path: Path) -> None:
    network = load_network("case9")
    moments, _ = operated(built(network="case9"), network, 5)
    output = np.broadcast_to(network.unit_max, (len(moments.load), 3))
    load = moments.load * (output.sum(1) / moments.load.sum(1))[:, None]
    log = write_log(tmp_path / "log.csv", network, replace(moments, load=load, output=output))
    with pytest.raises(DataError, match="every unit is at a limit"):
        calibrate(built(network="case9").config, log, None, 5)


def test_the_command_prints_rows_and_notes(tmp_path: Path) -> None:
    instance = built(network="case9", limit_scale=0.5)
    moments, _ = operated(instance, untold(instance.network, 0), 30)
    log = write_log(tmp_path / "log.csv", instance.network, moments)
    args = ["calibrate", "power", "--data", str(log), "--set", "network=case9", "--set", "limit_scale=0.5"]
    shown = CliRunner().invoke(cli.app, [*args, "--json"])
    assert shown.exit_code == 0, shown.output
    rows = json.loads(shown.output)["parameters"]
    assert [*rows[0]] == ["parameter", "unit", "start", "fitted", "note"]
    table = CliRunner().invoke(cli.app, [*args, "--out", str(tmp_path / "new.m")])
    assert table.exit_code == 0 and (tmp_path / "new.m").exists()
    assert isinstance(domain, SupportsCalibration)


def test_a_domain_without_it_is_refused() -> None:
    shown = CliRunner().invoke(cli.app, ["calibrate", "cloud", "--data", "log.csv"])
    assert isinstance(shown.exception, ConfigError) and "cannot be calibrated" in str(shown.exception)
