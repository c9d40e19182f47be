"""Policies replayed through an AC power flow, see `dgpg_power.ac`, and what their steps have in the mean."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from dgpg.domain import Policy, random
from dgpg_power.ac import Moment, Solved, read_source, solve_all
from dgpg_power.config import Config
from dgpg_power.env import TOLERANCE, PowerEnv
from dgpg_power.instance import build

STEPS = 96
"""At most as many steps are judged a policy; one takes 6 to 20 ms."""


def judge(config: Config, policies: Mapping[str, Policy], episodes: int, seed: int) -> list[dict[str, float | str]]:
    """One row a policy: the first `STEPS` steps at most, the same for all.

    Raises:
        ConfigError: no source case stands behind the configuration unit by unit.
        DataError: the source case has no single slack unit.
    """
    source = read_source(config, build(config).network)
    rows = []
    for name, policy in policies.items():
        moments = itertools.islice(play(config, policy, episodes, seed), STEPS)
        rows.append({"name": name, **summary(solve_all(source, moments))})
    return rows


@torch.no_grad()
def play(config: Config, policy: Policy, episodes: int, seed: int) -> Iterator[Moment]:
    """Steps of the first episodes of `dgpg.measuring.play`, episode by episode; as many episodes as `STEPS` need."""
    count = min(episodes, math.ceil(STEPS / config.horizon))
    env = PowerEnv(build(config), count, torch.device("cpu"), random.derive(seed, "arrivals"))
    noise = random.Streams(random.derive(seed, "policy"), count)
    draws = noise.uniform(env.horizon, env.num_agents, *(env.action_space.shape or ())[1:])
    decision, tape, outputs = env.reset(), env.tape, []  # the tape of these episodes: the last step draws another
    for noise_t in draws.unbind(1):
        step = env.step(policy.act(decision, noise_t))
        decision = step.decision
        outputs.append(step.state.squeeze(-1))
    for e, t in itertools.product(range(count), range(env.horizon)):
        load, output = (x[e].double().numpy() for x in (tape.load[t], outputs[t]))
        yield Moment(load, output, int(tape.outage[t, e]))


def summary(solved: Sequence[Solved | None]) -> dict[str, float | str]:
    """Means over the steps that converged, nan if none did or no line has a rate."""
    good = [one for one in solved if one is not None]
    limited = [one.loading for one in good if len(one.loading)]
    loading = np.stack(limited) if limited else np.full((1, 1), np.nan)
    over = (loading > 1 + TOLERANCE).any(-1).mean() if limited else np.nan

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values)) if values else math.nan

    return {
        "judged, steps": float(len(solved)),
        "diverged, steps": float(len(solved) - len(good)),
        "generation, $ per hour": mean([one.cost for one in good]),
        "AC losses, MW": mean([one.losses for one in good]),
        "slack unit beyond its output, MW": mean([one.slack for one in good]),
        "voltage outside limits, share of steps": mean([one.voltage for one in good]),
        "reactive power outside limits, share of steps": mean([one.reactive for one in good]),
        "mean line loading, MVA over rate A": float(loading.mean()),
        "worst line loading, MVA over rate A": float(loading.max()),
        "line over rate A by 1 %, share of steps": float(over),
    }
