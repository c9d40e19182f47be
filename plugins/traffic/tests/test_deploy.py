"""Features and rules from a pair's history are those of the environment, without torch."""

import functools
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg.errors import DecisionError
from dgpg_traffic.baselines import Logit
from dgpg_traffic.deploy import History, Scales, Splitting, fastest, features, logit, make, usual
from dgpg_traffic.domain import domain
from dgpg_traffic.env import TrafficEnv

from .made import STATIC, built, environment, randomly, settings

CASES: tuple[dict[str, Any], ...] = (
    {},
    {"agents_per_pair": 3, "incidents": {"probability": 0.2}},
    {"network": "grid", "routes": 3, "horizon": 6},
    STATIC,
)


def scales_of(values: dict[str, Any]) -> Scales:
    """As it comes out of a file."""
    return Scales.read(json.loads(json.dumps(domain.plain(settings(**values)), allow_nan=False)))


@functools.cache
def rules(case: int) -> dict[str, Any]:
    """The baselines of a case; some of them solve for a day's flows when they are made."""
    return {one.name: one for one in domain.baselines(settings(**CASES[case]))}


def played(values: dict[str, Any], seed: int, steps: int) -> TrafficEnv:
    env = environment(2, seed, **values)
    env.reset()
    randomly(env, steps, seed)
    return env


def history(env: TrafficEnv, b: int) -> History:
    """What a traffic control centre knows."""
    return History(
        agent=np.arange(env.num_agents),
        demand=env.decision.context["demand"][b].numpy(),
        last_demand=env.past.demand[b].numpy(),
        link_time=env.decision.context["last_time"][b].numpy(),
        period=int(env.decision.context["period"][b]),
    )


moments = {"values": st.sampled_from(CASES), "seed": st.integers(0, 2**32), "steps": st.integers(0, 6)}


@given(**moments)
def test_pairs_see_what_the_environment_shows_them(values: dict[str, Any], seed: int, steps: int) -> None:
    env, scales = played(values, seed, steps), scales_of(values)
    for b in range(2):
        found, seen = features(scales, history(env, b)), env.decision.observation
        assert found["mask"].tolist() == seen.mask[b].tolist()
        assert found["agent"] == pytest.approx(seen.agent[b].numpy(), rel=1e-4, abs=1e-4)
        # Marginal times are differences of times, of which float32 knows seven digits.
        assert found["choices"] == pytest.approx(seen.choices[b].numpy(), rel=1e-3, abs=1e-3)


@given(**moments)
def test_rules_split_as_the_baselines_do(values: dict[str, Any], seed: int, steps: int) -> None:
    env, scales = played(values, seed, steps), scales_of(values)
    baselines = rules(CASES.index(values))
    assert isinstance(baselines["logit"], Logit)
    expected = baselines["logit"].act(env.decision, torch.zeros(env.decision.observation.mask.shape))
    for b in range(2):
        rows = features(scales, history(env, b))
        near = (np.abs(rows["choices"][..., 0]) < 3.5).all(-1)  # what is bent to 4 deviations is not known so well
        assert logit(scales, rows)[near] == pytest.approx(expected[b].numpy()[near], abs=2e-2)
        assert usual(scales, rows) == pytest.approx(built(**values).first, abs=1e-6)
        of_links = np.append(history(env, b).link_time, 0)  # the last is the link that fills routes up
        time = of_links[scales.routes[rows["index"] // scales.per_pair]].sum(-1)
        time = np.where(rows["mask"], time, np.inf)
        assert time[fastest(scales, rows) == 1] == pytest.approx(time.min(-1), rel=1e-3)


# --- as an operator writes it ---------------------------------------------------------------------


@pytest.mark.parametrize("values", CASES[:3])
def test_one_pairs_history_is_its_row(values: dict[str, Any]) -> None:
    env, scales = played(values, 5, 3), scales_of(values)
    now, one = history(env, 0), Splitting(scales)
    every = features(scales, now)
    for n in range(env.num_agents):
        pair, member = divmod(n, scales.per_pair)
        plain = {
            "pair": one.pairs[pair] if n % 2 else pair, "member": member, "demand": float(now.demand[n]),
            "last_demand": float(now.last_demand[n]), "link_time": now.link_time.tolist(), "period": now.period,
        }  # fmt: skip
        found = one.features(plain)
        assert all(np.array_equal(found[name], x[n]) for name, x in every.items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pair": "4-1"}, "plain.pair: expected a number from 0 to 0, or one of 1-2, got '4-1'"),
        ({"member": 1}, "plain.member: expected a number from 0 to 0"),
        ({"demand": -1}, "plain.demand: expected a number of at least 0, got -1"),
        ({"link_time": [1.0]}, "plain.link_time: expected a list of 5 numbers"),
        ({"period": 24}, "plain.period: expected a number from 0 to 3"),
        ({"routes": []}, "plain: unknown name 'routes'"),
    ],
)
def test_a_mistake_is_one_message_with_its_place(change: dict[str, Any], said: str) -> None:
    one = make({"plain": domain.plain(settings())})
    assert one.features(one.example)["agent"].shape == (6,)
    with pytest.raises(DecisionError, match=said):
        one.features({**one.example, **change})


def test_neither_torch_nor_the_environment_is_imported() -> None:
    code = "import sys, dgpg_traffic.deploy; print([m for m in ('torch', 'scipy', 'pydantic') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
