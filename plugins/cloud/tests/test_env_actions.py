"""What actions do: choices that are not allowed, and the state that the mapping says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dgpg.domain import Influence
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.env import CloudEnv

from .made import CPU, SMALL, any_actions, hand_made, loaded, only, pick, placed, seeds, some, with_jobs

# --- choices that are not allowed --------------------------------------------------------------


@some
@given(config=st.sampled_from(SMALL).map(lambda c: only(c, waiting=1.0)), seed=seeds)
def test_the_mask_allows_what_can_ever_run_where_a_place_is_free(config: Config, seed: int) -> None:
    env = domain.make_env(config, 2, CPU, seed)
    rng = np.random.default_rng(seed)
    env.reset()
    instance, length = env.instance, env.tape.length
    for t in range(config.horizon):
        mask = env.decision.observation.mask
        for b, n, k in np.ndindex(*mask.shape):
            i, m = int(env.cluster.placed[b, n]), instance.candidates[n, k]
            allowed = i < env.tape.arrived[t, b, n]
            if allowed:
                demand = env.tape.demand[(b * config.num_agents + n) * length + i, :-1].numpy()
                room = env.cluster.length[b * config.machine_count + m] < config.machines.queue_places
                allowed = bool((demand <= instance.capacity[m]).all() and room)
            assert mask[b, n, k] == allowed
        if t < config.horizon - 1:
            env.step(any_actions(rng, env))


@pytest.mark.parametrize("config", [only(c, waiting=1.0) for c in (SMALL[0], SMALL[3], SMALL[4])])
def test_a_choice_that_is_not_allowed_places_nothing_and_the_job_goes_on_waiting(config: Config) -> None:
    rng, refused = np.random.default_rng(1), 0
    for seed in range(20):
        env = domain.make_env(config, 2, CPU, seed)
        env.reset()
        for t in range(config.horizon - 1):
            before = env.decision
            mask = before.observation.mask
            wrong = pick(rng, ~mask)
            stubborn = ~mask.gather(-1, wrong.unsqueeze(-1)).squeeze(-1)
            has_job = before.context["has_job"]
            cluster = env.cluster
            step, taken = placed(env, wrong)
            assert not (taken & stubborn).any()
            still = has_job & stubborn
            assert step.decision.context["has_job"][still].all()
            for name in ("demand", "steps"):
                assert torch.equal(step.decision.context[name][still], before.context[name][still])
            buffered = env.tape.arrived[t] - cluster.placed
            waiting = buffered.sum(-1) + cluster.length.view(2, -1).sum(-1)
            # Length and placed are those of after the step: starts took place, nothing was placed since.
            assert torch.equal(-step.reward, waiting.float())
            assert (buffered[still] >= 1).all()
            refused += int(still.sum())
    assert refused > 10


def test_a_job_that_waits_in_the_buffer_is_placed_later_and_charged_until_then() -> None:
    instance = hand_made(waiting=1.0, price=0.0, stranded=0.0)
    large = replace(instance.pool, demand=np.array([[8000, 4096]] * 3))
    env = CloudEnv(replace(instance, pool=large), 1, CPU, 0)
    env.reset()
    decision = with_jobs(env, [[0], [0]], [[1, 0]] * 5)
    assert decision.observation.mask.tolist() == [[[False, True], [False, False]]]
    assert decision.observation.active.tolist() == [[True, False]]
    for _ in range(2):
        step = env.step(torch.tensor([[0, 0]]))  # machine 0 is too small
        assert step.reward.tolist() == [-1.0] and step.local_reward.tolist() == [[-1.0, 0.0]]
        assert not step.state.any()
    step = env.step(torch.tensor([[1, 0]]))
    assert step.reward.tolist() == [0.0]
    assert step.state[0].flatten().tolist() == pytest.approx([0, 0, 0, 0, 8, 4, 24, 12])


# --- the mapping -------------------------------------------------------------------------------


def dense(influence: Influence, blocks: int) -> Tensor:
    """z_i(k) as what is added to every block, `[B, N, K, G, m]`."""
    index, value = influence.index, influence.value
    result = torch.zeros(*index.shape[:3], blocks, value.shape[-1])
    return result.scatter_add(3, index.unsqueeze(-1).expand(value.shape), value)


def chosen(z: Tensor, actions: Tensor) -> Tensor:
    """z_i(a_i), `[B, N, G, m]`."""
    at = actions[:, :, None, None, None].expand(-1, -1, 1, *z.shape[3:])
    return z.gather(2, at).squeeze(2)


@some
@given(config=st.sampled_from(SMALL), seed=seeds)
def test_the_state_is_the_base_state_plus_the_influence_of_every_job_sent(config: Config, seed: int) -> None:
    env, mapping = domain.make_env(config, 2, CPU, seed), domain.agent_mapping(config)
    rng = np.random.default_rng(seed)
    env.reset()
    for _ in range(config.horizon + 1):
        decision = env.decision
        actions = any_actions(rng, env)
        # A job that a full queue refuses was sent all the same: x_t is what the joint action asked for.
        sent = decision.observation.mask.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        step = env.step(actions)
        z = dense(mapping.influence(decision.observation, decision.context), config.machine_count)
        expected = mapping.base_state(decision.context) + (chosen(z, actions) * sent[..., None, None]).sum(1)
        # Both are sums of the same numbers below 1e5 in float32, in other orders.
        torch.testing.assert_close(step.state, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("config", [SMALL[2], SMALL[4], SMALL[0].model_copy(update={"everywhere": True})])
def test_another_choice_moves_exactly_the_blocks_that_the_influence_says(config: Config) -> None:
    mapping, moved = domain.agent_mapping(config), 0
    env = domain.make_env(config, 1, CPU, 5)
    rng = np.random.default_rng(5)
    decision = env.reset()
    for _ in range(min(config.horizon - 1, 3)):
        state, mask = env.state_dict(), decision.observation.mask
        actions = pick(rng, mask)
        z = dense(mapping.influence(decision.observation, decision.context), config.machine_count)
        step = env.step(actions)
        for n, k in mask[0].nonzero().tolist():
            other = actions.clone()
            other[0, n] = k
            difference = loaded(config, state)[0].step(other).state - step.state
            expected = z[:, n, k] - z[:, n, int(actions[0, n])]
            torch.testing.assert_close(difference, expected, rtol=1e-5, atol=1e-3)
            assert torch.equal(difference.abs().amax(-1) > 1e-3, expected.abs().amax(-1) > 1e-3)
            moved += int(k != actions[0, n])
        decision = step.decision
    assert moved > 5 or config.candidate_count == 1
