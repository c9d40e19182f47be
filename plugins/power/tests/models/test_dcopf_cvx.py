"""DC optimal power flow by cvxpylayers: the reference of `power.dcopf`, and gradients at real size."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("cvxpylayers", reason="cvxpylayers (extra convex) is not installed")

from dgpg_power.config import Config
from dgpg_power.data.load import load_case
from dgpg_power.data.write import matpower_text
from dgpg_power.models.dcopf_cvx import ProgramDistance, dcopf_cvx, parameters_of
from dgpg_power.models.potentials import OptimumDistance
from dgpg_power.programs.program import PRICED, pose

from ..made import TWO_BUSES, built, environment, random_actions


def agree(most: float = 1e-4, **values: Any) -> None:
    """References differ by at most 1e-4 of a unit's range, in the first moment and after random actions."""
    env, draw = environment(4, **values), torch.Generator().manual_seed(0)
    ours, theirs = OptimumDistance(env.instance), ProgramDistance(env.instance)
    span = (env.grid.unit_max - env.grid.unit_min).unsqueeze(-1)
    context = env.reset().context
    for _ in range(2):
        gap = (ours.reference(context) - theirs.reference(context)).abs() / span
        assert gap.max() <= most
        context = env.step(random_actions(env, draw)).decision.context


@pytest.mark.parametrize("name", ["case9", "case24-tight"])
def test_references_agree(name: str) -> None:
    agree(network=name)


def test_references_agree_on_a_published_grid(data_file: Callable[[str], Path]) -> None:
    agree(network=str(data_file("pglib/pglib_opf_case118_ieee__api.m")))


def test_solutions_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    env = environment()
    model, context = dcopf_cvx(env.instance.config), env.reset().context
    first = model.reference(context)
    monkeypatch.setattr(model, "layer", lambda *_: pytest.fail("solved again"))
    assert torch.equal(model.reference(context), first)


def test_a_grid_without_limits_needs_no_lines(tmp_path: Path) -> None:
    (tmp_path / "two.m").write_text(TWO_BUSES.replace("0.1 0 50", "0.1 0 0"))
    assert len(built(network=str(tmp_path / "two.m")).network.flow_max) == 1
    agree(network=str(tmp_path / "two.m"))


def test_references_agree_with_a_shift_and_limits_that_differ_by_direction(tmp_path: Path) -> None:
    case = load_case("case14")
    rows = [list(row) for row in case.branch.rows]
    rows[0][12], rows[2][9] = 5.0, 4.0
    rows[4][5], rows[4][11], rows[4][12] = 0.0, -360.0, 1.5  # a limit in one direction alone
    case = replace(case, branch=replace(case.branch, rows=tuple(map(tuple, rows))))
    (tmp_path / "shifted.m").write_text(matpower_text(case, "shifted"))
    network = built(network=str(tmp_path / "shifted.m")).network
    assert network.shift_flow.any() and np.isinf(network.flow_min[4]) and np.isfinite(network.flow_max[4])
    agree(3e-4, network=str(tmp_path / "shifted.m"))  # its optimum is flat: 1.0e-4 measured


def differences(model: ProgramDistance, values: list[Tensor], which: int, weight: Tensor) -> None:
    """The gradient of weight'x in one parameter, along three directions, within 1e-3 of central differences."""
    inputs = [v.clone().requires_grad_(k == which) for k, v in enumerate(values)]
    (x,) = model.layer(*inputs)
    (gradient,) = torch.autograd.grad((weight * x).sum(), inputs[which])
    assert gradient.abs().max() > 1e-3
    draw, step = torch.Generator().manual_seed(2), 1e-4 * values[which].abs().mean()
    for _ in range(3):
        along = torch.randn(gradient.shape, generator=draw, dtype=torch.float64)
        ends = []
        for sign in (1, -1):
            moved = [v + sign * step * along if k == which else v for k, v in enumerate(values)]
            with torch.no_grad():
                (x,) = model.layer(*moved)
            ends.append((weight * x).sum(tuple(range(1, x.dim()))))
        expected = (ends[0] - ends[1]) / (2 * step)
        found = (gradient * along).reshape(len(gradient), -1).sum(-1)
        assert ((found - expected).abs() <= 1e-3 * expected.abs().clamp(min=1e-3 * float(expected.abs().max()))).all()


def posed(**values: Any) -> tuple[ProgramDistance, list[Tensor], Tensor]:
    """The model, parameters of four moments `[4, *]`, and weights of the solution."""
    instance = built(**values)
    model, draw = ProgramDistance(instance), torch.Generator().manual_seed(0)
    network = instance.network
    noise = 1 + 0.03 * torch.randn(4, network.num_buses, generator=draw)
    load = 0.97 * torch.tensor(network.load).float() * noise
    low, high = (x.expand(4, -1) for x in (model.grid.unit_min, model.grid.unit_max))
    problem = pose(model.grid, load, load.sum(-1), low, high, None, PRICED)
    weight = torch.randn(len(problem.owner), generator=draw, dtype=torch.float64)
    return model, list(parameters_of(problem)), weight


@pytest.mark.parametrize(("which", "what"), [(0, "costs"), (2, "limits"), (4, "demand")])
def test_gradients_at_the_size_of_118_buses(which: int, what: str) -> None:
    model, values, weight = posed(network="case118", limit_scale=0.02)  # 198 MW a line: some bind
    assert values[2].shape == (4, 186), what
    differences(model, values, which, weight)


@pytest.mark.parametrize(("which", "what"), [(2, "limits"), (4, "demand")])
def test_gradients_on_a_published_grid(data_file: Callable[[str], Path], which: int, what: str) -> None:
    model, values, weight = posed(network=str(data_file("pglib/pglib_opf_case118_ieee__api.m")))
    assert len(weight) == 19, what  # straight costs: outputs do not move with them, so they are not asked for
    differences(model, values, which, weight)


def test_the_model_is_made_from_a_configuration() -> None:
    assert isinstance(dcopf_cvx(Config(network="case9", horizon=6)), ProgramDistance)
