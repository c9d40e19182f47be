"""Of a case with several islands one is taken: the optimum over angles of all is the sum of theirs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dgpg.errors import ConfigError, DataError
from dgpg_power.ac import read_source
from dgpg_power.config import Config
from dgpg_power.data.islands import island
from dgpg_power.data.load import load_case, load_network
from dgpg_power.data.write import matpower_text, with_network
from dgpg_power.domain import domain
from dgpg_power.env import PowerEnv
from dgpg_power.grid import make_grid
from dgpg_power.instance import build
from dgpg_power.programs import opf
from dgpg_power.system import made_of

from ..made import CPU
from ..odd import Odd, Rng, odd_case, optimum, text_of
from ..test_odd import REFUSED, told


def both(one: Odd, other: Odd) -> Odd:
    """Two cases in one, the buses of the second numbered from 100 on."""
    bus, gen, branch = other.bus.copy(), other.gen.copy(), other.branch.copy()
    bus[:, 0], gen[:, 0], branch[:, :2] = bus[:, 0] + 100, gen[:, 0] + 100, branch[:, :2] + 100
    width = max(one.gen.shape[1], gen.shape[1])
    gens = [np.pad(x, ((0, 0), (0, width - x.shape[1]))) for x in (one.gen, gen)]
    cost = [*one.cost, *other.cost]
    widest = max(map(len, cost))
    cost = [row + [0.0] * (widest - len(row)) for row in cost]
    rows = (np.concatenate(pair) for pair in ((one.bus, bus), gens, (one.branch, branch)))
    return Odd(one.base, *rows, cost, one.pglib)


def least(path: Path, bus: int) -> float | None:
    """Least cost of an island, with what notes say that units cost at rest; None where there is none."""
    network = load_network(str(path), bus=bus)
    grid, load = make_grid(made_of(Config(), network), CPU, torch.float64), torch.tensor(network.load)[None]
    found = opf.optimum(grid, load, load.sum(-1), grid.unit_min[None], grid.unit_max[None], None, opf.HARD)
    if not found.solved[0]:
        return None
    return float(network.cost(found.output[0].double().numpy()).sum()) + told(network.notes)


def written(rng: Rng, folder: Path) -> tuple[Odd, Path]:
    one, other = odd_case(rng), odd_case(rng)
    case, path = both(one, replace(other, base=one.base, pglib=one.pglib)), folder / "two.m"
    path.write_bytes(text_of(rng, case).encode())
    return case, path


@pytest.mark.parametrize("seed", range(25))
def test_the_optimum_of_a_case_is_the_sum_of_its_islands(tmp_path: Path, seed: int) -> None:
    case, path = written(np.random.default_rng(1000 + seed), tmp_path)
    number = case.bus[:, 0]
    try:
        parts = [least(path, int(number[number < 100][0])), least(path, int(number[number > 100][0]))]
    except DataError as error:
        assert any(words in str(error) for words in REFUSED)
        return
    expected = optimum(case)
    assert (None in parts) == (expected is None)
    if expected is not None:
        assert sum(x for x in parts if x is not None) == pytest.approx(expected, rel=1e-4, abs=0.02)


def two(folder: Path) -> Path:
    """case9, and a copy of it with buses from 101 on."""
    case = load_case("case9")
    moved = [tuple(tuple((*(x + 100 for x in row[:n]), *row[n:])) for row in matrix.rows)
             for matrix, n in ((case.bus, 1), (case.gen, 1), (case.branch, 2))]  # fmt: skip
    bus, gen, branch = (replace(matrix, rows=(*matrix.rows, *rows)) for matrix, rows in zip(
        (case.bus, case.gen, case.branch), moved, strict=True))  # fmt: skip
    path = folder / "two.m"
    cost = replace(case.gencost, rows=case.gencost.rows * 2)
    path.write_text(matpower_text(replace(case, bus=bus, gen=gen, branch=branch, gencost=cost), "two"))
    return path


def test_an_island_is_played_judged_and_written_as_the_case_that_it_is(tmp_path: Path) -> None:
    config = Config(network=str(two(tmp_path)), island=104, horizon=4)
    instance, alone = build(config), build(Config(network="case9", horizon=4))
    np.testing.assert_array_equal(instance.network.bus_number, alone.network.bus_number + 100)
    assert instance.network.unit_name == ("gen4", "gen5", "gen6")
    envs = [PowerEnv(one, 2, CPU, 3) for one in (instance, alone)]
    for env in envs:
        env.reset()
    actions = torch.full((2, 3, 2), 0.5)
    torch.testing.assert_close(*(env.step(actions).reward for env in envs))
    source = read_source(config, instance.network)
    assert len(source.kept.branch) == 9 and np.isfinite(source.rate).all()
    rows = domain.judge(config, {rule.name: rule for rule in domain.baselines(config)[:1]}, 1, 0)
    same = domain.judge(Config(network="case9", horizon=4), {
        rule.name: rule for rule in domain.baselines(Config(network="case9", horizon=4))[:1]}, 1, 0)  # fmt: skip
    assert rows[0]["generation, $ per hour"] == pytest.approx(same[0]["generation, $ per hour"], rel=1e-9)
    again = tmp_path / "again.m"
    again.write_text(matpower_text(with_network(load_case(config.network, bus=104), instance.network), "again"))
    np.testing.assert_array_equal(load_network(str(again)).bus_number, instance.network.bus_number)


def test_several_islands_are_named_with_the_way_to_take_one(tmp_path: Path) -> None:
    path = two(tmp_path)
    said = (
        r"mpc\.branch: 2 islands, expected one connected grid: buses 1, 2, 3, 4, 5 and 4 more; buses 101, .*island=1,"
    )
    with pytest.raises(DataError, match=said):
        load_network(str(path))
    with pytest.raises(DataError, match=r"two\.m:\d+: mpc\.bus: island = 7000: this bus is not in mpc\.bus"):
        load_network(str(path), bus=7000)
    isolated = island(load_case(str(path)), 1)
    with pytest.raises(DataError, match=r"island = 101: this bus is isolated \(type 4\)"):
        island(isolated, 101)
    with pytest.raises(ConfigError, match="island = 3: synthetic-10 is one connected grid; leave island out"):
        build(Config(network="synthetic-10", island=3))


def test_another_island_is_another_grid(tmp_path: Path) -> None:
    path = str(two(tmp_path))
    trained = Config(network=path, island=1)
    assert domain.transfer(trained, Config(network=path, island=1, limit_scale=0.9)).trained == trained
    assert domain.transfer(trained, Config(network=path, island=101)).trained is None
