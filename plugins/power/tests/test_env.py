"""The environment: what it is told and charges, that it repeats itself, and what its measures count."""

from typing import Any

import pytest
import torch

from dgpg.domain import Step
from dgpg_power.env import PowerEnv
from dgpg_power.reward import generation

from .made import EXACT, environment, limited, random_actions


def started(**values: Any) -> PowerEnv:
    env = environment(**values)
    env.reset()
    return env


def randomly(env: PowerEnv, steps: int, seed: int = 0) -> list[Step]:
    draw = torch.Generator().manual_seed(seed)
    return [env.step(random_actions(env, draw)) for _ in range(steps)]


def same(a: Step, b: Step) -> bool:
    seen, again = a.decision.observation, b.decision.observation
    return torch.equal(a.reward, b.reward) and torch.equal(a.state, b.state) and torch.equal(seen.agent, again.agent)


def test_the_seed_decides_across_episodes() -> None:
    first, again = (randomly(started(seed=5), 13) for _ in range(2))
    other = randomly(started(seed=6), 13)
    assert all(map(same, first, again)) and not any(map(same, first, other))


def test_an_environment_depends_on_its_own_seed_alone() -> None:
    three, one = environment(3, seed=4), environment(1, seed=6)
    torch.testing.assert_close(three.reset().observation.agent[2:], one.reset().observation.agent)


@pytest.mark.parametrize("before", [2, 8])
def test_a_restored_state_goes_on_exactly(before: int) -> None:
    env = started(mismatch={"outages": 0.5})
    randomly(env, before)
    state = env.state_dict()
    expected = randomly(env, 9, seed=1)
    for other in (env, started(seed=77, mismatch={"outages": 0.5})):
        other.load_state_dict(state)
        assert all(map(same, randomly(other, 9, seed=1), expected))


def test_an_episode_is_cut_off_at_its_horizon_and_never_ends() -> None:
    steps = randomly(started(), 13)
    assert [bool(s.truncated.all()) for s in steps] == [i in (5, 11) for i in range(13)]
    assert [s.final is not None for s in steps] == [i in (5, 11) for i in range(13)]
    assert not any(s.terminated.any() for s in steps)


@pytest.mark.parametrize("action", ["participation", "set-point"])
def test_actions_out_of_bounds_are_clipped(action: str) -> None:
    env, again = started(action=action), started(action=action)
    low, high = (torch.from_numpy(x) for x in (env.action_space.low, env.action_space.high))  # type: ignore[attr-defined]
    wild = low + (high - low) * (0.5 + 2 * torch.randn(3, *low.shape, generator=torch.Generator().manual_seed(0)))
    assert (wild < low).any() and (wild > high).any()
    step, clipped = env.step(wild), again.step(wild.clamp(low, high))
    torch.testing.assert_close(step.state, clipped.state)
    torch.testing.assert_close(step.reward, clipped.reward)


@pytest.mark.parametrize("name", ["case9", "case24-tight", "case30pwl"])
def test_own_rewards_are_generation_and_imbalance(name: str) -> None:
    env = started(network=name)
    for step in randomly(env, 3):
        assert step.local_reward is not None
        expected = step.measures["generation_cost"] + 1000 * step.measures["imbalance_mw"]
        torch.testing.assert_close(-step.local_reward.sum(-1), expected, rtol=1e-4, atol=0.1)
        torch.testing.assert_close(
            generation(step.state[..., 0], env.grid.curves).sum(-1), step.measures["generation_cost"]
        )


def test_the_reward_is_its_measures_priced() -> None:
    env = started(network="case24-tight")
    for step in randomly(env, 4):
        m, tariff = step.measures, env.grid.tariff
        cost = m["generation_cost"] + tariff.overload * m["overload_mw"] + tariff.imbalance * m["imbalance_mw"]
        torch.testing.assert_close(-step.reward, cost, rtol=1e-4, atol=0.1)
    assert any((s.measures["overload_mw"] > 0).any() for s in randomly(env, 4))


def test_an_overload_counts_from_one_percent_on() -> None:
    env = started(mismatch=EXACT)
    actions = random_actions(env, torch.Generator().manual_seed(0))
    state = env.state_dict()
    env.step(actions)
    flow = env.past.flow.abs().max(0).values  # what the same actions will bring again
    line = int(flow.argmax())
    at = int(env.past.flow[:, line].abs().argmax())
    for over, counted in ((0.98, 0.0), (1.009, 0.0), (1.011, 1.0), (1.5, 1.0)):
        env.load_state_dict(state)
        limit = torch.full_like(env.plant.reach, torch.inf)
        limit[line] = float(flow[line]) / over
        env.plant = limited(env.plant, limit)
        step = env.step(actions)
        assert step.measures["overload_share"][at] == counted
        assert step.measures["overload_mw"][at] == pytest.approx(max(0.0, 1 - 1 / over) * float(flow[line]), abs=1e-2)


def test_what_ramps_keep_units_from_is_an_imbalance() -> None:
    env = started(mismatch=EXACT, ramp=0.001)
    missed = []
    for _ in range(5):
        demand, high, low = (env.decision.context[k] for k in ("demand", "high", "low"))
        (step,) = randomly(env, 1)
        expected = (demand - demand.clamp(low.sum(-1), high.sum(-1))).abs()
        torch.testing.assert_close(step.measures["imbalance_mw"], expected, rtol=1e-3, atol=1e-2)
        missed.append(expected)
    assert torch.stack(missed).amax() > 1


def test_losses_of_one_step_are_generated_in_the_next() -> None:
    env, dry = started(network="case39"), started(network="case39", mismatch={"losses": False})
    for which in (env, dry):
        randomly(which, 1)
    lost = (env.grid.resistance * env.past.flow.square()).sum(-1)
    assert (lost > 1).all() and (dry.past.losses == 0).all()
    torch.testing.assert_close(env.decision.context["demand"], env.tape.load[1].sum(-1) + lost)
    torch.testing.assert_close(dry.decision.context["demand"], dry.tape.load[1].sum(-1))


def test_the_first_outputs_are_those_of_merit_order() -> None:
    env = started(network="case39", mismatch=EXACT)
    output = env.past.output
    torch.testing.assert_close(output.sum(-1), env.tape.forecast[0].sum(-1))
    assert ((output >= env.grid.unit_min - 1e-3) & (output <= env.grid.unit_max + 1e-3)).all()


def test_ramps_hold_from_step_to_step() -> None:
    env = started(ramp=0.05)
    for _ in range(5):
        before = env.past.output
        (step,) = randomly(env, 1)
        assert ((step.state[..., 0] - before).abs() <= env.grid.ramp * (1 + 1e-4)).all()
