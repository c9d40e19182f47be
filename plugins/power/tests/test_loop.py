"""A snapshot in files or tables, set-points back: the same as the environment's outputs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dgpg.errors import DataError
from dgpg_power.deploy import Scales, Snapshot
from dgpg_power.deploy.loop import Loop
from dgpg_power.deploy.tables import read, read_pandapower, write, write_pandapower
from dgpg_power.domain import domain

from .made import EXACT, built, environment

for _name in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(_name, reason="needs the extra export")

SETS = {"network": "case9", "horizon": 6, "mismatch": EXACT}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    place = tmp_path_factory.mktemp("power")
    sets = ["--set", "network=case9", "--set", "horizon=6"]
    sets += [part for key, x in EXACT.items() for part in ("--set", f"mismatch.{key}={json.dumps(x)}")]
    run = [sys.executable, "-m", "dgpg"]
    train = [*run, "train", "power", *sets, "--iterations", "2", "--num-envs", "2", "--out", place / "run"]
    subprocess.run(train, check=True, capture_output=True)
    export = [*run, "export", place / "run", "--out", place / "out", "--decisions", "200"]
    subprocess.run(export, check=True, capture_output=True)
    return place / "run", place / "out"


def files(folder: Path, scales: Scales, now: Snapshot) -> Path:
    """As a control room would write them."""
    folder.mkdir(exist_ok=True)
    for name, key, column, names, values in (
        ("buses", "bus", "load_mw", scales.buses, now.load),
        ("units", "unit", "output_mw", scales.units, now.output),
        ("lines", "line", "flow_mw", range(len(scales.lines)), now.flow),
    ):
        rows = [f"{one},{x}" for one, x in zip(names, np.asarray(values).tolist(), strict=True)]
        (folder / f"{name}.csv").write_text("\n".join([f"{key},{column}", *reversed(rows)]) + "\n")
    return folder


def test_a_day_by_the_loop_is_the_environments(exported: tuple[Path, Path]) -> None:
    """Hour after hour the loop's set-points are the outputs of the environment under the same policy."""
    from dgpg.deploy import Policy
    from dgpg.runs import open_trained

    run, out = exported
    trained, loop = open_trained(run, {}), Loop(Policy.load(out))
    env = environment(1, 4, **SETS)
    decision = env.reset()
    for _ in range(5):
        context, clock = decision.context, env.tape.clock[env.t, 0].tolist()
        now = Snapshot(
            load=env.tape.forecast[env.t, 0].numpy(), last_load=context["last_load"][0].numpy(),
            output=env.past.output[0].numpy(), flow=env.past.flow[0].numpy(),
            hour=float(np.arctan2(*clock) * 12 / np.pi),
        )  # fmt: skip
        found = loop.step(now, float(context["demand"][0]))
        with torch.no_grad():
            actions = trained.team.kind.to_env(trained.team.kind.greedy(trained.team.policy(decision)))
        decision = env.step(actions).decision
        assert not found.by_rule
        assert found.set_point == pytest.approx(env.past.output[0].numpy(), rel=1e-3, abs=0.05)
        assert loop.residual == pytest.approx(float(env.past.residual[0]), abs=0.1)


def test_the_command_reads_and_writes_files(exported: tuple[Path, Path], tmp_path: Path) -> None:
    scales = Scales.read(domain.plain(built(**SETS).config))
    half = (scales.unit_min + scales.unit_max) / 2
    load = np.full(len(scales.buses), half.sum() / len(scales.buses), np.float32)
    files(tmp_path / "now", scales, Snapshot(load, load, half, scales.middle, 12.0))
    command = [sys.executable, "-m", "dgpg_power.deploy.loop", exported[1], tmp_path / "now", tmp_path / "points.csv"]
    ran = subprocess.run([*command, "--hour", "12"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["set_points_mw"] == pytest.approx(told["load_mw"], rel=1e-4) and not told["by_rule"]
    rows = (tmp_path / "points.csv").read_text().splitlines()
    assert rows[0] == "unit,set_point_mw,base_point_mw,share" and len(rows) == 1 + len(scales.units)
    (tmp_path / "now" / "lines.csv").unlink()
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 1 and "lines.csv: cannot be read" in ran.stderr and "Traceback" not in ran.stderr


def test_where_the_policy_fails_units_follow_the_load(exported: tuple[Path, Path]) -> None:
    from dgpg.deploy import Policy

    policy = Policy.load(exported[1])
    policy.run = lambda *_: [np.full((3, 2), np.nan)]  # type: ignore[method-assign]
    loop = Loop(policy)
    half = (loop.scales.unit_min + loop.scales.unit_max) / 2
    load = np.full(len(loop.scales.buses), half.sum() / len(loop.scales.buses), np.float32)
    found = loop.step(Snapshot(load, load, half, loop.scales.middle, 12.0))
    assert found.by_rule and found.set_point == pytest.approx(half, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("buses", "bus,load\n1,2\n", r"buses.csv:2: expected the columns bus and load_mw"),
        ("buses", "bus,load_mw\n99,2\n", r"buses.csv:2: bus '99' is none of the policy's"),
        ("units", "unit,output_mw\ngen1,2\ngen1,3\n", r"units.csv:3: unit 'gen1' stands twice"),
        ("units", "unit,output_mw\ngen1,much\n", r"units.csv:2: output_mw: expected a number, got 'much'"),
        ("units", "unit,output_mw\ngen1,2\n", r"units.csv: no row for unit 'gen2' \(2 are missing\)"),
        ("lines", "line,flow_mw\n", r"lines.csv: it has no rows"),
    ],
)
def test_wrong_files_are_told(tmp_path: Path, name: str, text: str, said: str) -> None:
    scales = Scales.read(domain.plain(built(**SETS).config))
    load = np.zeros(len(scales.buses), np.float32)
    folder = files(tmp_path / "now", scales, Snapshot(load, load, scales.unit_min, scales.middle, 0.0))
    assert read(folder, scales, 0.0).output == pytest.approx(scales.unit_min)
    (folder / f"{name}.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read(folder, scales, 0.0)


def test_a_net_of_pandapower_is_read_and_written(tmp_path: Path) -> None:
    """Tables as pandapower has them (its power flow does not run with the pandas that is pinned here)."""
    scales = Scales.read(domain.plain(built(**SETS).config))
    units = [("ext_grid", 0), ("gen", 0), ("gen", 1)]
    lines = [("line", n) for n in range(len(scales.lines) - 1)] + [("trafo", 0)]
    net: dict[str, Any] = {
        "load": pd.DataFrame(
            {"bus": [4, 4, 6, 8], "p_mw": [90.0, 10.0, 100.0, 50.0], "scaling": [1, 1, 0.5, 1.0],
             "in_service": [True, True, True, False]}
        ),
        "gen": pd.DataFrame({"p_mw": [163.0, 85.0]}),
        "res_ext_grid": pd.DataFrame({"p_mw": [72.0]}),
        "res_gen": pd.DataFrame({"p_mw": [163.0, 85.0]}),
        "res_line": pd.DataFrame({"p_from_mw": np.arange(len(lines) - 1.0)}),
        "res_trafo": pd.DataFrame({"p_hv_mw": [-5.0]}),
    }  # fmt: skip
    now = read_pandapower(net, scales, 3.0, units, lines, {bus: bus - 1 for bus in scales.buses})
    assert np.asarray(now.load).tolist() == [0, 0, 0, 0, 100, 0, 50, 0, 0]
    assert np.asarray(now.output).tolist() == [72, 163, 85]
    assert np.asarray(now.flow).tolist() == [*range(len(lines) - 1), -5]
    write_pandapower(net, units, np.array([70.0, 160.0, 90.0], np.float32))
    assert net["gen"]["p_mw"].tolist() == [160, 90]
    write(tmp_path / "x.csv", scales, np.array([1, 2, 3]), np.array([[1, 0.5]] * 3))
    assert (tmp_path / "x.csv").read_text().splitlines()[1] == "gen1,1.000,1.0000,0.5000"
