"""Tries of single dispatchers followed in one batch, as they are one after the other."""

import torch

from dgpg.domain import random
from dgpg.measuring.replays import Replays
from dgpg.measuring.tries import Moment, tries_of
from dgpg_cloud.domain import domain
from dgpg_cloud.env import CloudEnv

from .made import CPU, SMALL, assert_same


def test_tries_in_one_batch_cost_what_they_cost_in_turn_and_leave_the_same_behind() -> None:
    """To the end of the episode, and the draw of the next one with it."""
    config, made = SMALL[0], list[int]()

    def more(count: int) -> CloudEnv:
        made.append(count)
        return domain.make_env(config, count, CPU, 99)

    env, other = (domain.make_env(config, 3, CPU, 5) for _ in range(2))
    chance = random.Streams(1, 3)
    decision, saved = env.reset(), env.state_dict()
    way = tries_of(env, domain.agent_mapping(config))
    who = torch.zeros(3, 1, dtype=torch.long)
    seen = decision.observation
    actions, noise = way.even(seen, chance.uniform(env.num_agents)), chance.uniform(config.horizon, env.num_agents)
    tried = torch.arange(config.candidate_count).expand(3, 1, -1)
    moment = Moment(decision, actions, torch.zeros(0), who, tried, seen.mask[:, :1])
    paid = Replays(env, way).paid(saved, moment.each(0), noise)
    together = Replays(other, way, more)
    assert torch.equal(together.paid(saved, moment.each(0), noise), paid)
    assert torch.equal(together.paid(saved, moment.each(0), noise), paid) and made == [3 * config.candidate_count]
    assert paid.shape == (config.candidate_count, 3, config.horizon) and (paid[0] != paid[1]).any()
    assert_same(env.reset(), other.reset())
