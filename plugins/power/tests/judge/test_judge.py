"""The AC power flow that judges policies: balance, divergence, agreement with the DC model, and what is refused."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pypower.api import ppoption, runpf
from torch import Tensor
from typer.testing import CliRunner

from dgpg.cli import app
from dgpg.domain import SupportsJudge
from dgpg.errors import ConfigError, DataError
from dgpg.measuring.evaluate import judge_of
from dgpg_power import ac
from dgpg_power.baselines import baselines
from dgpg_power.config import Config
from dgpg_power.data.branch import TAP, R
from dgpg_power.data.load import load_case
from dgpg_power.data.write import matpower_text
from dgpg_power.domain import domain
from dgpg_power.factors import ptdf
from dgpg_power.instance import build
from dgpg_power.judge import judge

CASE9 = Config(network="case9", horizon=6)


def source_of(config: Config) -> ac.Source:
    return ac.read_source(config, build(config).network)


def moment(config: Config, level: float = 1.0, output: Any = None) -> ac.Moment:
    """The network's own load times `level`, shared by size unless said otherwise."""
    network = build(config).network
    load = level * network.load
    share = network.unit_max / network.unit_max.sum()
    return ac.Moment(load, load.sum() * share if output is None else output, -1)


def test_losses_are_positive_and_the_slack_takes_them() -> None:
    source = source_of(CASE9)
    asked = moment(CASE9)
    found = ac.solve(source, asked)
    assert found is not None and 0 < found.losses < 0.05 * asked.load.sum()
    # Outputs equal the load, so all that the AC grid loses comes from the slack on top.
    assert found.slack == pytest.approx(found.losses, abs=1e-4)
    real = asked.output.copy()
    real[source.slack] += found.slack
    assert found.cost == pytest.approx(source.network.cost(real).sum(), rel=1e-9)


def test_what_the_slack_was_told_does_not_change_the_power_flow() -> None:
    source = source_of(CASE9)
    asked = moment(CASE9)
    more = asked.output.copy()
    more[source.slack] += 5
    one, two = ac.solve(source, asked), ac.solve(source, replace(asked, output=more))
    assert one is not None and two is not None
    assert two.slack == pytest.approx(one.slack - 5, abs=1e-4) and two.cost == pytest.approx(one.cost, rel=1e-6)


def test_a_divergence_is_counted_and_left_out_of_the_means(capsys: pytest.CaptureFixture[str]) -> None:
    source = source_of(CASE9)
    fine, absurd = (ac.solve(source, moment(CASE9, level)) for level in (1.0, 50.0))
    assert fine is not None and absurd is None
    found = judge.summary([fine, absurd])
    assert found["judged, steps"] == 2 and found["diverged, steps"] == 1
    assert found["generation, $ per hour"] == fine.cost
    none = judge.summary([absurd])
    assert none["diverged, steps"] == 1 and math.isnan(float(none["generation, $ per hour"]))
    assert capsys.readouterr().out == ""


def test_moments_one_after_the_other_come_out_as_each_by_itself() -> None:
    source = source_of(CASE9)
    moments = [moment(CASE9, level) for level in (1.0, 50.0, 0.9, 1.1)]
    for one, alone in zip(ac.solve_all(source, moments), [ac.solve(source, each) for each in moments], strict=True):
        assert (one is None) == (alone is None)
        if one is not None and alone is not None:
            np.testing.assert_allclose(one.flow, alone.flow, atol=1e-4)  # 1e-8 per unit, Newton's last step


def test_dc_and_ac_flows_agree_on_a_lightly_loaded_lossless_grid() -> None:
    source = source_of(CASE9)
    rows = np.array(source.case.branch.rows)
    rows[:, [R, TAP]] = 0
    rows[:, 4] = 0  # no charging of lines
    bus, gen = np.array(source.case.bus.rows), np.array(source.case.gen.rows)
    bus[:, ac.QD], gen[:, 5] = 0, 1.0  # no reactive loads, all voltages at 1

    def matrix(name: str, values: Any) -> Any:
        return replace(getattr(source.case, name), rows=tuple(map(tuple, values.tolist())))

    case = replace(source.case, bus=matrix("bus", bus), gen=matrix("gen", gen), branch=matrix("branch", rows))
    network = replace(source.network, susceptance=1 / rows[:, 3])
    asked = moment(CASE9, 0.3)
    found = ac.solve(replace(source, case=case, network=network), asked)
    injection = np.bincount(network.unit_bus, asked.output, network.num_buses) - asked.load
    flow = np.abs(ptdf(network) @ injection) / source.rate
    assert found is not None and abs(found.losses) < 1e-6
    np.testing.assert_allclose(found.loading, flow, atol=0.03 * flow.max())


def test_an_outage_empties_its_line() -> None:
    found = ac.solve(source_of(CASE9), replace(moment(CASE9), outage=2))
    assert found is not None and found.loading[2] == 0 and found.loading[[0, 1]].min() > 0


def test_a_row_a_policy_on_the_steps_of_the_environment() -> None:
    rules = {rule.name: rule for rule in baselines(CASE9)}
    rows = domain.judge(CASE9, rules, 2, 1)
    assert [row["name"] for row in rows] == list(rules) and all(next(iter(row)) == "name" for row in rows)
    assert all(row["judged, steps"] == 12 and row["diverged, steps"] == 0 for row in rows)
    played = list(judge.play(CASE9, rules["dc-opf"], 2, 1))
    again = list(judge.play(CASE9, rules["merit-order"], 2, 1))
    for one, two in zip(played, again, strict=True):  # the same loads whatever the policy
        np.testing.assert_array_equal(one.load, two.load)
    many = list(judge.play(CASE9, rules["dc-opf"], 100, 1))
    assert len(many) == judge.STEPS and np.array_equal(many[0].output, played[0].output)


def test_outputs_are_those_of_the_step_they_are_judged_in() -> None:
    class Full:
        def act(self, decision: Any, noise: Tensor) -> Tensor:
            return torch.full_like(noise, 0.5)

    quiet = CASE9.model_copy(update={"mismatch": CASE9.mismatch.model_copy(update={"losses": False})})
    for one in judge.play(quiet, Full(), 2, 3):
        assert one.output.sum() == pytest.approx(one.load.sum(), rel=1e-5)


def test_a_grid_without_a_source_case_is_refused() -> None:
    with pytest.raises(ConfigError, match="generated grid has no reactive power"):
        source_of(Config(network="synthetic-10"))


def test_a_recorded_series_is_refused(data_file: Any) -> None:
    folder = data_file("rts_gmlc")
    with pytest.raises(ConfigError, match="recorded series"):
        source_of(Config(network=str(folder / "RTS_GMLC.m")))


def test_a_domain_without_a_judge_is_refused() -> None:
    class Trained:
        domain = object()
        run = type("Run", (), {"domain": "cloud"})

    with pytest.raises(ConfigError, match="--judge: domain cloud has no independent simulator"):
        judge_of(Trained())  # type: ignore[arg-type]
    assert isinstance(domain, SupportsJudge)


def test_the_command_line_shows_the_judge_where_it_is_asked_for(tmp_path: Path) -> None:
    def dgpg(*args: str) -> str:
        ended = CliRunner().invoke(app, args)
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    run = str(tmp_path / "run")
    small = ("--set", "network=case9", "--set", "horizon=4", "--set", "train.horizon=2")
    dgpg("train", "power", *small, "--iterations", "1", "--num-envs", "2", "--device", "cpu", "--out", run)
    found = json.loads(dgpg("evaluate", run, "--episodes", "2", "--judge", "--json"))
    assert found["judge"][0]["name"] == "dg-pg" and len(found["judge"]) == 5
    assert all(row["judged, steps"] == 8 and row["AC losses, MW"] > 0 for row in found["judge"])
    assert "judge" not in json.loads(dgpg("evaluate", run, "--episodes", "1", "--json"))
    assert "judged by an independent simulator" in dgpg("evaluate", run, "--episodes", "1", "--judge")


def edited(folder: Path, gen: dict[tuple[int, int], float], bus: dict[tuple[int, int], float] | None = None) -> Config:
    """case9 with some numbers of mpc.gen and mpc.bus changed."""
    case = load_case("case9")
    for name, changes in (("gen", gen), ("bus", bus or {})):
        rows = [list(row) for row in getattr(case, name).rows]
        for (row, column), value in changes.items():
            rows[row][column] = value
        case = replace(case, **{name: replace(getattr(case, name), rows=tuple(map(tuple, rows)))})
    path = folder / "grid.m"
    path.write_text(matpower_text(case, "grid"))
    return Config(network=str(path), horizon=6)


def test_the_slack_is_the_unit_that_pypower_moves(tmp_path: Path) -> None:
    for gen, bus in (({}, {}), ({(0, 7): 0.0}, {}), ({(0, 7): 0.0}, {(1, 1): 1.0}), ({}, {(0, 1): 2.0, (2, 1): 3.0})):
        config = edited(tmp_path, gen, bus)
        build.cache_clear()
        source, asked = source_of(config), moment(config, 0.5)
        case = ac._posed(source, asked)
        found, success = runpf(case, ppoption(VERBOSE=0, OUT_ALL=0))
        assert success, (gen, bus)
        moved = np.flatnonzero(np.abs(found["gen"][source.kept.gen, 1] - asked.output) > 1e-3)
        assert moved.tolist() == [source.slack], (gen, bus)


def test_a_case_without_one_slack_bus_is_refused_by_bus(tmp_path: Path) -> None:
    def refused(message: str, gen: Any, bus: Any) -> None:
        config = edited(tmp_path, gen, bus)
        build.cache_clear()
        with pytest.raises(DataError, match=message):
            source_of(config)

    refused(r"grid.m: slack buses 1, 2, expected one: give type 3", {}, {(1, 1): 3.0})
    nowhere = {(1, 1): 1.0, (2, 1): 1.0}
    refused(r"no slack bus \(no unit is in service at bus 1, or at one of type 2\)", {(0, 7): 0.0}, nowhere)
    condenser = {(0, 8): 0.0, (0, 9): 0.0}
    refused(r"at slack bus 1 is a condenser \(mpc.gen row 1\)", condenser, {})


@pytest.mark.parametrize(
    ("matrix", "row", "column", "value", "message"),
    [
        ("bus", 4, ac.QD, np.nan, "mpc.bus row 5: Qd is nan, expected a finite number"),
        ("bus", 2, ac.VM, 0.0, "mpc.bus row 3: Vm is 0, expected per unit, above 0"),
        ("bus", 2, ac.VMAX, np.nan, "mpc.bus row 3: Vmax is nan, expected a number"),
        ("gen", 1, ac.VG, 0.0, "mpc.gen row 2: Vg is 0, expected per unit, above 0"),
        ("gen", 1, ac.QMIN, np.nan, "mpc.gen row 2: Qmin is nan, expected a number"),
        ("branch", 3, ac.B, np.inf, "mpc.branch row 4: b is inf, expected a finite number"),
    ],
)
def test_numbers_that_only_ac_power_flow_needs_are_named(
    tmp_path: Path, matrix: str, row: int, column: int, value: float, message: str
) -> None:
    """Every power flow diverged, and nothing said why; a limit of voltage that is none was never broken."""
    case = load_case("case9")
    rows = [list(cells) for cells in getattr(case, matrix).rows]
    rows[row][column] = value
    changed = replace(case, **{matrix: replace(getattr(case, matrix), rows=tuple(map(tuple, rows)))})
    (tmp_path / "odd.m").write_text(matpower_text(changed, "odd"))
    config = Config(network=str(tmp_path / "odd.m"))
    with pytest.raises(DataError, match=rf"odd\.m:\d+: {message}"):
        ac.read_source(config, build(config).network)


def test_a_bus_that_is_cut_off_is_no_part_of_the_power_flow(tmp_path: Path) -> None:
    case = load_case("case9")
    rows = (*case.bus.rows, (10.0, 1.0, *(0.0,) * 4, 1.0, 1.0, 0.0, 345.0, 1.0, 1.1, 0.9))
    path = tmp_path / "more.m"
    path.write_text(matpower_text(replace(case, bus=replace(case.bus, rows=rows)), "more"))
    config = Config(network=str(path), horizon=6)
    one, other = (
        ac.solve(source_of(config), moment(config)),
        ac.solve(source_of(CASE9), moment(CASE9)),
    )
    assert one is not None and other is not None and one.losses == pytest.approx(other.losses)


def test_reactive_load_goes_with_the_loads_where_feed_ins_come_near_them(tmp_path: Path) -> None:
    """By the net load, 1 MW of 101, reactive load at a bus without active one was times 11 where loads grew by 10 %."""
    case = load_case("case9")
    bus = [list(row) for row in case.bus.rows]
    for row, active, reactive in ((4, 101.0, 0.0), (6, -100.0, 0.0), (8, 0.0, 20.0)):
        bus[row][2:4] = active, reactive
    path = tmp_path / "near.m"
    path.write_text(matpower_text(replace(case, bus=replace(case.bus, rows=tuple(map(tuple, bus)))), "near"))
    config = Config.model_validate({"network": str(path), "commitment": "relaxed"})
    source = ac.read_source(config, build(config).network)
    load = source.network.load.copy()
    load[4] *= 1.1
    posed = ac._posed(source, ac.Moment(load, np.zeros(source.network.num_units), -1))
    assert posed["bus"][8, 3] == pytest.approx(1.1 * 20) and posed["bus"][4, 2] == pytest.approx(1.1 * 101)
