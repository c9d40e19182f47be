"""Domains as PettingZoo's parallel environments, by PettingZoo's own tests."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test
from pettingzoo.utils import parallel_to_aec

from dgpg import scaffold
from dgpg.bridges.pettingzoo import ParallelEnv
from dgpg.errors import ActionError, ConfigError, PluginError

from . import same


def passes(domain: Any, config: Any) -> None:
    parallel_api_test(ParallelEnv(domain, config), num_cycles=20)
    parallel_seed_test(lambda: ParallelEnv(domain, config), num_cycles=20)


@pytest.mark.parametrize("case", same.CASES)
def test_first_party_domains_pass(case: str) -> None:
    passes(*same.CASES[case])


@pytest.mark.parametrize("case", same.TOYS)
def test_domains_with_agents_that_rest_and_early_ends_pass(case: str, toy: Any, toy_box: Any, toy_simplex: Any) -> None:
    passes({"toy": toy, "toy_box": toy_box, "toy_simplex": toy_simplex}[case].Domain(), None)


@pytest.mark.parametrize("kind", ["discrete", "continuous", pytest.param("simulator", marks=pytest.mark.slow)])
def test_what_dgpg_new_writes_passes(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = scaffold.write(f"zoo_{kind}", kind, tmp_path)
    monkeypatch.syspath_prepend(str(folder))
    domain = importlib.import_module(f"dgpg_zoo_{kind}.domain").domain
    passes(domain, domain.small)
    for name in [name for name in sys.modules if name.startswith(f"dgpg_zoo_{kind}")]:
        del sys.modules[name]


def test_agents_are_called_as_the_domain_calls_them() -> None:
    assert ParallelEnv("cloud", {"num_agents": 2}).possible_agents == ["agent_0", "agent_1"]
    assert ParallelEnv(*same.CASES["power"]).possible_agents == ["gen1", "gen2", "gen3"]
    assert ParallelEnv(*same.CASES["traffic"]).possible_agents == ["1-2/1", "1-2/2"]
    assert ParallelEnv("traffic", {"network": "braess"}).possible_agents == ["1-2"]


def test_names_have_to_be_of_the_agents(toy: Any) -> None:
    class Named(toy.Domain):
        def agent_names(self, config: Any) -> list[str]:
            return ["a", "b", "a"]

    with pytest.raises(PluginError, match=r"agent_names\(config\): expected 4 names, each only once, got 3, twice: a"):
        ParallelEnv(Named())


def test_an_agent_with_nothing_to_decide_may_do_anything_or_nothing(toy: Any) -> None:
    """In the toy one agent in eight finds every route closed: with and without its action the numbers are the same."""
    config = toy.Config(chances={"open_share": 0.3, "ends": 0.0}, horizon=6)
    told, kept_out = (ParallelEnv(toy.Domain(), config, seed=4) for _ in range(2))
    (seen, infos), _ = told.reset(), kept_out.reset()
    rested = 0
    while told.agents:
        resting = [agent for agent in told.agents if not infos[agent]["active"]]
        assert all(seen[agent]["action_mask"].all() and not infos[agent]["allowed"].any() for agent in resting)
        acts = {agent: int(seen[agent]["action_mask"].argmax()) for agent in told.agents}
        _, other, *_ = kept_out.step({agent: act for agent, act in acts.items() if agent not in resting})
        seen, reward, _, _, infos = told.step(acts | dict.fromkeys(resting, 2))
        assert reward == other
        rested += len(resting)
    assert rested > 3


def test_mistakes() -> None:
    env = ParallelEnv(*same.CASES["power"])
    with pytest.raises(ConfigError, match=r"call reset\(\)"):
        env.state()
    with pytest.raises(ActionError, match=r"no episode is under way: call reset\(\)"):
        env.step({})
    env.reset()
    acts = {agent: env.action_space(agent).low for agent in env.agents}
    with pytest.raises(ActionError, match="unknown agent 'gen4': did you mean 'gen"):
        env.step(acts | {"gen4": acts["gen1"]})
    with pytest.raises(ActionError, match="no action of gen2: every agent with something to decide needs one"):
        env.step({agent: act for agent, act in acts.items() if agent != "gen2"})
    with pytest.raises(ActionError, match=r"action of gen2: expected shape \[2\], got \[1\]"):
        env.step(acts | {"gen2": np.zeros(1)})


def test_it_turns_into_the_other_kind_of_environment() -> None:
    env = parallel_to_aec(ParallelEnv(*same.CASES["cloud"], seed=0))
    env.reset(seed=1)
    for _ in env.agent_iter():
        seen, _, terminated, truncated, _ = env.last()
        env.step(None if terminated or truncated else int(seen["action_mask"].argmax()))
    assert not env.agents
