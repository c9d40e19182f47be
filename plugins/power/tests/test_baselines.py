"""Rules: actions within bounds, what each is told, and an oracle that nobody beats."""

from typing import Any

import pytest
import torch
from torch import Tensor

from dgpg.domain import Decision
from dgpg_power.baselines import Rule, baselines, redispatch
from dgpg_power.config import Config
from dgpg_power.env import PowerEnv
from dgpg_power.programs import opf

from .made import CPU, EXACT, built, environment, random_actions


def rules(**values: Any) -> dict[str, Rule]:
    found = baselines(Config.model_validate({"network": "case9", "horizon": 6} | values))
    return {rule.name: rule for rule in found}  # type: ignore[misc]


ROLES = {
    "merit-order": ("baseline", "same"),
    "redispatch": ("baseline", "more"),
    "last-opf": ("baseline", "more"),
}


def costs(rule: Rule | None, steps: int, **values: Any) -> tuple[Tensor, Tensor]:
    """Costs and overloads `[steps, B]` of a rule, or of random actions for None."""
    env, draw = environment(4, 3, **values), torch.Generator().manual_seed(0)
    decision, found = env.reset(), []
    for _ in range(steps):
        random = random_actions(env, draw)
        step = env.step(random if rule is None else rule.act(decision, torch.full_like(random, 0.5)))
        found.append(torch.stack([-step.reward, step.measures["overload_mw"]]))
        decision = step.decision
    return tuple(torch.stack(found, 1))  # type: ignore[return-value]


def told(**values: Any) -> dict[str, tuple[str, str]]:
    return {name: (rule.role, rule.information) for name, rule in rules(**values).items()}


def test_names_kinds_and_information() -> None:
    assert told() == ROLES | {"dc-opf": ("baseline", "more"), "bound": ("oracle", "more")}


@pytest.mark.parametrize(("ramp", "role"), [(None, "oracle"), (1.0, "oracle"), (0.5, "baseline")])
def test_the_optimum_of_each_step_is_the_bound_where_no_step_binds_the_next(ramp: float | None, role: str) -> None:
    found = told(mismatch={"losses": False}, ramp=ramp)
    assert found["dc-opf"] == (role, "more") and ("bound" in found) == (role == "baseline")


@pytest.mark.parametrize("action", ["participation", "set-point"])
def test_actions_lie_within_bounds(action: str) -> None:
    env = environment(network="case24-tight", action=action)
    decision = env.reset()
    low, high = (torch.from_numpy(x) for x in (env.action_space.low, env.action_space.high))  # type: ignore[attr-defined]
    noise = torch.full((3, *low.shape), 0.5)
    for rule in rules(network="case24-tight", action=action).values():
        actions = rule.act(decision, noise)
        assert actions.shape == noise.shape
        assert (actions >= low - 1e-3).all() and (actions <= high + 1e-3).all()


@pytest.mark.parametrize("name", ["case9", "case24-tight", "case30pwl"])
def test_nobody_beats_the_oracle_in_any_step_of_an_exact_model(name: str) -> None:
    # without ramps no step binds the next, so that the optimum of each step is the optimum of all
    values = {"network": name, "mismatch": EXACT, "ramp": 2.0}
    every = rules(**values)
    least = costs(every["dc-opf"], 6, **values)[0]
    for rule in (*every.values(), None):
        assert (least <= costs(rule, 6, **values)[0] * (1 + 1e-4)).all(), rule
    assert (costs(None, 6, **values)[0] > 1.01 * least).any()


def test_the_oracle_knows_of_outages() -> None:
    values = {"network": "case24-tight", "ramp": 2.0, "mismatch": {"outages": 1.0, "losses": False}}
    env, oracle = environment(4, 3, **values), rules(**values)["dc-opf"]
    decision, state = env.reset(), env.state_dict()
    unaware = dict(decision.context) | {"oracle_outage": torch.full((4,), -1)}
    noise, found = torch.full((4, env.num_agents, 2), 0.5), list[Tensor]()
    for context in (decision.context, unaware):
        env.load_state_dict(state)
        found.append(-env.step(oracle.act(Decision(decision.observation, context), noise)).reward)
    knowing, ignoring = found
    assert (knowing <= ignoring * (1 + 1e-4)).all() and (knowing < ignoring - 1).any()


def test_redispatch_relieves_lines_that_merit_order_overloads() -> None:
    values = {"network": "case24-tight", "mismatch": EXACT}
    every = rules(**values)
    blind, relieved = (costs(every[name], 6, **values)[1][1:].mean() for name in ("merit-order", "redispatch"))
    assert blind > 10 and relieved < 0.5 * blind


def test_redispatch_is_merit_order_where_no_line_binds() -> None:
    instance = built(network="case9", limit_scale=100.0, mismatch=EXACT)
    env = PowerEnv(instance, 3, CPU, 0)
    decision: Decision = env.reset()
    merit = rules(network="case9", limit_scale=100.0, mismatch=EXACT)["merit-order"]
    base = merit.act(decision, torch.full((3, 3, 1), 0.5))[..., 0]
    torch.testing.assert_close(redispatch(env.grid, decision.context), base, rtol=1e-4, atol=1e-2)


def test_a_rule_solves_a_moment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    env, every = environment(3), rules()
    decision, noise = env.reset(), torch.full((3, 3, 2), 0.5)
    first = {name: every[name].act(decision, noise) for name in ("last-opf", "dc-opf")}
    monkeypatch.setattr(opf, "optimum", None)
    for name, action in first.items():
        assert torch.equal(rules()[name].act(decision, noise), action)
