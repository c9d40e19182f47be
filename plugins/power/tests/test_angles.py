"""Phase shifts, taps and angle limits, against linear programs over angles and PYPOWER's DC optimal power flow."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pypower import api

from dgpg.errors import ConfigError, DataError
from dgpg_power.config import Config, Flow
from dgpg_power.data.build import to_network
from dgpg_power.data.case import Case, Matrix
from dgpg_power.data.load import load_case, load_network
from dgpg_power.dynamics import after_outage
from dgpg_power.factors import bridges, lodf, loop_flows, ptdf
from dgpg_power.grid import Grid, make_grid
from dgpg_power.network import Network
from dgpg_power.programs import opf
from dgpg_power.system import made_of

from .angles import angle_optimum
from .made import CPU, built
from .oracle import angle_flows

FloatArray = NDArray[np.float64]
ANGLES = [
    (0.0, 0.0),
    (-360.0, 360.0),
    (-30.0, 0.0),
    (0.0, 3.0),
    (-2.0, 30.0),
    (-1.0, 1.0),
    (-8.0, 2.0),
    (1.0, 20.0),
    (-360.0, 2.0),
]
"""Degrees, as a branch may have them; (0, 0) and (-360, 360) are no limit."""


def grid_of(network: Network) -> Grid:
    return make_grid(made_of(Config(), network), CPU, torch.float64)


def solved(network: Network, lines: torch.Tensor | None = None) -> opf.Optimum:
    """The hard DC optimum of the network's own load."""
    grid, load = grid_of(network), torch.tensor(network.load)[None]
    return opf.optimum(grid, load, load.sum(-1), grid.unit_min[None], grid.unit_max[None], None, opf.HARD, lines)


def case_of(bus: Any, gen: Any, branch: Any, price: Any, flow: Flow = "matpower") -> Case:
    """A case whose units cost `price`, $ per MWh."""

    def matrix(name: str, rows: Any) -> Matrix:
        return Matrix("made", f"mpc.{name}", tuple(map(tuple, np.asarray(rows, float).tolist())))

    cost = [[2.0, 0.0, 0.0, 2.0, c, 0.0] for c in price]
    matrices = (matrix("bus", bus), matrix("gen", gen), matrix("branch", branch), matrix("gencost", cost))
    return Case("made", "made", 100.0, *matrices, flow=flow)


@st.composite
def grids(draw: st.DrawFn) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Rings of 3 to 6 buses with chords: buses, units, branches in MATPOWER's columns, and prices."""
    nb = draw(st.integers(3, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    chords = [(a, b) for a in range(nb) for b in range(a + 2, nb) if (a, b) != (0, nb - 1) and rng.random() < 0.4]
    ends = [(k, (k + 1) % nb) for k in range(nb)] + chords
    bus, branch = np.zeros((nb, 13)), np.zeros((len(ends), 13))
    bus[:, 0], bus[:, 1], bus[0, 1] = 10 * np.arange(1, nb + 1), 1, 3
    bus[:, 2] = np.round(rng.uniform(0, 80, nb) * (rng.random(nb) < 0.7), 1)
    bus[1, 2] += 10.0
    for row, (a, b) in zip(branch, ends, strict=True):
        turn = rng.random() < 0.5
        row[:2] = bus[[b, a] if turn else [a, b], 0]
        row[2], row[3] = rng.uniform(0, 0.05), rng.uniform(0.05, 0.3)
        row[5] = rng.choice([0.0, 30.0, 60.0, 200.0])
        row[8], row[9] = rng.choice([0.0, 1.0, 0.95, 1.06]), rng.choice([0.0, 0.0, 5.0, -3.0])
        row[10], (row[11], row[12]) = 1, ANGLES[rng.integers(len(ANGLES)) if rng.random() < 0.5 else 0]
    if draw(st.booleans()):
        branch[0, 3] *= -0.2  # a series capacitor
    gen = np.zeros((3, 10))
    gen[:, 0], gen[:, 7] = bus[rng.integers(0, nb, 3), 0], 1
    gen[:, 8], gen[:, 9] = rng.uniform(60, 250, 3), rng.choice([0.0, 10.0], 3)
    return bus, gen, branch, rng.permutation([10.0, 23.0, 41.0]) + rng.uniform(0, 3, 3)


@given(grids(), st.sampled_from(["matpower", "pglib"]))
def test_the_optimum_is_that_over_angles(rows: Any, flow: Flow) -> None:
    bus, gen, branch, price = rows
    case = case_of(bus, gen, branch, price, flow)
    try:
        network = to_network(case)
    except DataError as error:  # a rate and an angle limit that exclude each other
        assert "leave flows from" in str(error) and angle_optimum(bus, gen, branch, price, 100.0, flow) is None
        return
    expected = angle_optimum(bus, gen, branch, price, 100.0, flow)
    for lines in (None, torch.zeros(network.num_lines, dtype=torch.bool)):  # limits from the start, or once broken
        found = solved(network, lines)
        assert bool(found.solved[0]) == (expected is not None)
        if expected is None:
            continue
        output = found.output[0].double().numpy()
        assert float(price @ output) == pytest.approx(expected.cost, rel=1e-4)
        injection = np.bincount(network.unit_bus, output, network.num_buses) - network.load
        flows = ptdf(network) @ injection + loop_flows(network, ptdf(network))
        np.testing.assert_allclose(found.flow[0].numpy(), flows, atol=2e-3)
        assert (flows <= network.flow_max + 1e-2).all() and (flows >= network.flow_min - 1e-2).all()


@given(grids())
def test_flows_and_outages_are_those_of_angles(rows: Any) -> None:
    network = to_network(case_of(*rows[:2], np.where(np.arange(13) > 10, 0.0, rows[2]), rows[3]))
    factors, rng = ptdf(network), np.random.default_rng(0)
    injection = rng.normal(0, 50, network.num_buses)
    injection -= injection.mean()
    scale = 1e-7 * (np.abs(injection).sum() + np.abs(network.shift_flow).sum())
    flow = factors @ injection + loop_flows(network, factors)
    np.testing.assert_allclose(flow, angle_flows(network, injection), atol=scale)
    for line in np.flatnonzero(~bridges(network)):
        kept = np.arange(network.num_lines) != line
        columns = ("line_from", "line_to", "susceptance", "resistance", "shift_flow", "flow_min", "flow_max")
        without = replace(network, **{name: getattr(network, name)[kept] for name in columns})
        column = torch.zeros(network.num_lines, network.num_lines).double()
        column[:, line] = torch.tensor(lodf(network, int(line), factors))
        after = after_outage(torch.tensor(flow)[None], torch.tensor([line]), column)[0].numpy()
        np.testing.assert_allclose(after[kept], angle_flows(without, injection), atol=1e3 * scale)


BUILT_IN = ["case6ww", "case9", "case14", "case24_ieee_rts", "case30", "case39", "case57", "case118", "case300"]


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("shift", [0.0, 5.0])
@pytest.mark.parametrize("name", BUILT_IN)
def test_the_optimum_is_pypowers(name: str, shift: float) -> None:
    """Unmodified cases with their taps, then with one phase shifter in a loop."""
    case, data = load_case(name), getattr(api, name)()
    made = to_network(case)
    line = int(np.flatnonzero(~bridges(made))[1])
    for key in ("bus", "gen", "branch"):
        data[key] = data[key].astype(float)  # PYPOWER writes into them, and whole numbers would cut that off
    data["branch"][line, 9] = shift
    rows = tuple(map(tuple, data["branch"].tolist()))
    network = to_network(replace(case, branch=replace(case.branch, rows=rows)))
    assert bool(network.shift_flow.any()) == (shift > 0)
    expected = api.rundcopf(data, api.ppoption(VERBOSE=0, OUT_ALL=0))
    found = solved(network)
    assert bool(found.solved[0]) == bool(expected["success"])
    if expected["success"]:
        cost = float(network.cost(found.output[0].double().numpy()).sum())
        assert cost == pytest.approx(expected["f"], rel=1e-4)


TWO = """function mpc = two
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [1 3 0 0 0 0 1 1 0 0 1 1.1 0.9; 2 1 80 0 0 0 1 1 0 0 1 1.1 0.9];
mpc.gen = [1 0 0 0 0 1 100 1 200 0; 2 0 0 0 0 1 100 1 60 0];
mpc.branch = [1 2 0 0.1 0 0 0 0 TAP SHIFT 1 LOW HIGH];
mpc.gencost = [2 0 0 2 10 0; 2 0 0 2 30 0];
"""


def two(tmp_path: Any, angles: tuple[float, float], tap: float = 0.0, shift: float = 0.0) -> str:
    path = tmp_path / "two.m"
    text = TWO.replace("LOW", str(angles[0])).replace("HIGH", str(angles[1]))
    path.write_text(text.replace("TAP", str(tap)).replace("SHIFT", str(shift)))
    return str(path)


def test_each_angle_has_its_own_sign_by_hand(tmp_path: Any) -> None:
    per_degree = np.pi / 180 / 0.1 * 100  # MW
    for angles, least, most in [
        *[((0, 0), -np.inf, np.inf), ((-360, 360), -np.inf, np.inf), ((-30, 0), -30, 0), ((-2, 30), -2, 30)],
        *[((0, 1), 0, 1), ((1, 20), 1, 20), ((-360, 2), -np.inf, 2), ((-200, 200), -200, 200)],
    ]:
        network = load_network(two(tmp_path, angles))
        np.testing.assert_allclose([network.flow_min[0], network.flow_max[0]], [least * per_degree, most * per_degree])
    # A shift of 5 degrees takes as much off the flow at every angle, a tap of 1.25 a fifth.
    network = load_network(two(tmp_path, (-2, 30), 1.25, 5.0))
    np.testing.assert_allclose(
        [network.flow_min[0], network.flow_max[0]], [-7 * 0.8 * per_degree, 25 * 0.8 * per_degree]
    )
    np.testing.assert_allclose(network.shift_flow, [-5 * 0.8 * per_degree])


def test_a_limit_of_zero_degrees_forbids_what_the_other_side_allows(tmp_path: Any) -> None:
    # Bus 2 needs at least 20 MW over the line: 0 degrees at most is impossible, 30 is not, whatever the other side.
    with pytest.raises(ConfigError, match="no sampled demand can be served within the line limits"):
        built(network=two(tmp_path, (-30, 0)))
    assert built(network=two(tmp_path, (-2, 30))).tariff.overload > 0
    assert built(network=two(tmp_path, (0, 0))).tariff.overload > 0


def test_an_overload_is_charged_in_its_own_direction(tmp_path: Any) -> None:
    instance = built(network=two(tmp_path, (-2, 3)))  # -34.9 to 52.4 MW
    grid = grid_of(instance.network)
    none, demand = torch.zeros(2, 2).double(), torch.zeros(2).double()
    flow = torch.tensor([[60.0], [-60.0]]).double()
    limits = np.deg2rad([3, 2]) * 1000
    expected = grid.tariff.overload * (60 - torch.tensor(limits))
    torch.testing.assert_close(grid.cost(none, flow, demand, none), expected)
    np.testing.assert_allclose(instance.network.loading([[limits[0]], [-limits[1]]]), [[1], [1]])
    torch.testing.assert_close(grid.loading(torch.tensor([[limits[0]], [-limits[1]]])).abs(), torch.ones(2, 1).double())


def test_a_line_with_one_limit_has_a_loading(tmp_path: Any) -> None:
    network = load_network(two(tmp_path, (-360, 2)))
    most = np.deg2rad(2) * 1000
    np.testing.assert_allclose(network.loading([[most], [most / 2], [-5 * most]]), [[1], [0.5], [0]])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("LOW HIGH", "5 -5", "angmin is above angmax"),
        ("LOW HIGH", "nan 5", "angmin is nan, expected a number"),
        ("TAP SHIFT", "-1 0", "tap ratio is -1, expected 0 for a line"),
        ("TAP SHIFT", "0 inf", "phase shift is inf, expected a number"),
        ("0 0 0 TAP SHIFT 1 LOW HIGH", "10 0 0 0 0 1 5 30", "leave flows from 87.2665 to 10 MW"),
    ],
)
def test_a_branch_that_no_flow_suits_is_named(tmp_path: Any, old: str, new: str, message: str) -> None:
    path = tmp_path / "two.m"
    text = TWO.replace(old, new)
    for word, value in (("TAP", "0"), ("SHIFT", "0"), ("LOW", "0"), ("HIGH", "0")):
        text = text.replace(word, value)
    path.write_text(text)
    with pytest.raises(DataError, match=f"two.m:6: mpc.branch row 1: .*{message}"):
        load_network(str(path))


def test_the_source_chooses_the_convention_and_the_setting_overrides_it(tmp_path: Any) -> None:
    r, x, tap = 0.02, 0.1, 0.95
    text = TWO.replace("0 0.1 0 0", f"{r} {x} 0 0").replace("TAP SHIFT", f"{tap} 5").replace("LOW HIGH", "0 0")
    for name, chosen in (("pglib_opf_two", "pglib"), ("two", "matpower")):
        path = tmp_path / "any.m"
        path.write_text(text.replace("mpc = two", f"mpc = {name}"))
        for flow, expected in ((None, chosen), ("pglib", "pglib"), ("matpower", "matpower")):
            network = load_network(str(path), flow=flow)  # type: ignore[arg-type]
            b = 1 / (x * tap) if expected == "matpower" else x / (r**2 + x**2)
            assert network.susceptance[0] == pytest.approx(b)
            assert bool(network.shift_flow[0]) == (expected == "matpower")
            assert f"flow = {expected}: " in " ".join(network.notes)
            assert f"1 line {'counted' if expected == 'matpower' else 'left out'}" in " ".join(network.notes)
    assert load_case("case39").flow == "matpower"


def test_networks_of_our_own_keep_the_convention_of_their_figures() -> None:
    (own,) = (note for note in built(network="case24-tight").notes if note.startswith("flow = "))
    assert own.startswith("flow = pglib") and "5 lines left out" in own
    r, x = np.array(load_case("case24_ieee_rts").branch.rows)[:, [2, 3]].T
    np.testing.assert_allclose(built(network="case24-tight").network.susceptance, x / (r**2 + x**2))
    assert built(network="case24-tight", flow="matpower").network.susceptance[0] == pytest.approx(1 / x[0])
    with pytest.raises(ConfigError, match="synthetic-10 is generated for flow = pglib"):
        built(network="synthetic-10", flow="matpower")


def test_the_environment_forms_the_same_flows(tmp_path: Any) -> None:
    """A shift in a loop, all the way through: plant, observation, model, and every rule's program."""
    from dgpg_power.baselines import baselines
    from dgpg_power.data.write import matpower_text

    from .made import EXACT, environment

    case = load_case("case14")
    rows = [list(row) for row in case.branch.rows]
    rows[2][9], rows[2][12] = 5.0, 10.0
    path = tmp_path / "shifted.m"
    path.write_text(matpower_text(replace(case, branch=replace(case.branch, rows=tuple(map(tuple, rows)))), "shifted"))
    env = environment(network=str(path), mismatch=EXACT)
    network = env.instance.network
    assert network.flow_max[2] < np.inf and network.shift_flow[2] < -1
    for rule in baselines(env.instance.config):
        decision = env.reset()
        for _ in range(3):
            load = decision.context["oracle_load"].double().numpy()
            step = env.step(rule.act(decision, torch.zeros(env.num_envs, env.num_agents, 2)))
            decision, output = step.decision, step.state[..., 0].double().numpy()
            for b in range(env.num_envs):
                injection = np.bincount(network.unit_bus, output[b], network.num_buses) - load[b]
                np.testing.assert_allclose(
                    env.past.flow[b], angle_flows(network, injection - injection.mean()), atol=2e-2
                )
