"""Features and set-points from what units measure are those of the environment, without torch."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg.errors import DecisionError
from dgpg_power.deploy import Dispatch, Scales, Snapshot, dispatch, features, following, make
from dgpg_power.domain import domain
from dgpg_power.env import PowerEnv

from .made import built, environment, random_actions

CASES = tuple(
    {"network": name, "observation": level, "action": action, **more}
    for name, level, action, more in (
        ("case9", "A", "set-point", {}),
        ("case9", "C", "participation", {"ramp": 0.1}),
        ("case24-tight", "B", "participation", {}),
        ("case24-tight", "P", "participation", {"mismatch": {"outages": 0.3}, "ramp": 0.3}),
        ("case39", "C", "set-point", {"commitment": "relaxed"}),
    )
)


def scales_of(values: dict[str, Any]) -> Scales:
    """As it comes out of a file."""
    return Scales.read(json.loads(json.dumps(domain.plain(built(**values).config), allow_nan=False)))


def played(values: dict[str, Any], seed: int, steps: int) -> PowerEnv:
    env, draw = environment(2, seed, **values), torch.Generator().manual_seed(seed)
    env.reset()
    for _ in range(steps):
        env.step(random_actions(env, draw))
    return env


def snapshot(env: PowerEnv, b: int) -> Snapshot:
    """What a control room knows of an environment."""
    context, past = env.decision.context, env.past
    sine, cosine = env.tape.clock[env.t, b].tolist()
    return Snapshot(
        load=env.tape.forecast[env.t, b].numpy(),
        last_load=context["last_load"][b].numpy(),
        output=past.output[b].numpy(),
        flow=past.flow[b].numpy(),
        hour=float(np.arctan2(sine, cosine) * 12 / np.pi),
        residual=float(past.residual[b]),
        available=env.tape.most[env.t, b].numpy(),
    )


moments = {"values": st.sampled_from(CASES), "seed": st.integers(0, 2**32), "steps": st.integers(0, 5)}


@given(**moments)
def test_units_see_what_the_environment_shows_them(values: dict[str, Any], seed: int, steps: int) -> None:
    env, scales = played(values, seed, steps), scales_of(values)
    for b in range(2):
        signals = snapshot(env, b).signals(scales)
        assert np.allclose(signals.low, env.decision.context["low"][b], rtol=1e-5, atol=1e-3)
        assert np.allclose(signals.high, env.decision.context["high"][b], rtol=1e-5, atol=1e-3)
        found = features(scales, signals)["agent"]
        assert found == pytest.approx(env.decision.observation.agent[b].numpy(), rel=1e-4, abs=2e-4)


@given(**moments)
def test_a_whole_grid_at_once_is_seen_as_its_units_are(values: dict[str, Any], seed: int, steps: int) -> None:
    """Also with lines far beyond their limits, and as lists."""
    env, scales = played(values, seed, steps), scales_of(values)
    now = snapshot(env, 0)
    for factor in (1, 3):
        moment = replace(now, flow=(factor * now.flow).tolist(), hour=now.hour + 24)
        expected, found = features(scales, moment.signals(scales)), moment.seen(scales)
        assert np.array_equal(found["agent"], expected["agent"]) and np.array_equal(found["index"], expected["index"])
    assert np.array_equal(replace(now, available=None).seen(scales)["agent"],
                          features(scales, replace(now, available=None).signals(scales))["agent"])  # fmt: skip


@given(**moments)
def test_set_points_are_the_environments_outputs(values: dict[str, Any], seed: int, steps: int) -> None:
    env, scales = played(values, seed, steps), scales_of(values)
    context, actions = env.decision.context, random_actions(env, torch.Generator().manual_seed(seed + 1))
    expected = env.grid.outputs(actions, context["low"], context["high"], context["demand"])
    for b in range(2):
        low, high, demand = (context[name][b].numpy() for name in ("low", "high", "demand"))
        found = dispatch(scales, actions[b].numpy(), low, high, float(demand))
        assert found == pytest.approx(expected[b].numpy(), rel=1e-4, abs=1e-2)


def test_the_rule_follows_the_load_within_bounds() -> None:
    """Load rises by 30 MW; each unit takes its part by size, unless its ramp forbids."""
    scales = scales_of({"network": "case9", "ramp": 0.05})
    size = scales.unit_max - scales.unit_min
    last = scales.unit_min + size / 2
    load = np.zeros(len(scales.buses), np.float32)
    load[4] = scales.total[0]
    after = load.copy()
    after[4] += 30
    seen = features(scales, Snapshot(after, load, last, scales.middle, 12.0).signals(scales))
    expected = last + np.minimum(30 * size / size.sum(), 0.05 * scales.unit_max)
    found = following(scales, seen)
    assert found[:, 0] == pytest.approx(expected, rel=1e-4) and (found[:, 1] == 0.5).all()


# --- as an operator writes it ---------------------------------------------------------------------


@pytest.mark.parametrize("values", CASES)
def test_one_units_signals_are_its_row_of_the_snapshot(values: dict[str, Any]) -> None:
    env, scales = played(values, 3, 2), scales_of(values)
    now = snapshot(env, 0)
    signals, every = now.signals(scales), features(scales, now.signals(scales))["agent"]
    one = Dispatch(scales)
    for n, name in enumerate(scales.units):
        plain = {
            "unit": name if n % 2 else n, "output": float(now.output[n]), "available": float(now.available[n]),
            "local_load": float(signals.local_load[n]), "last_local_load": float(signals.last_local_load[n]),
            "total_load": signals.total_load, "last_total_load": signals.last_total_load, "hour": now.hour % 24,
            "residual": now.residual, "overload_price": float(signals.overload_price[n]),
            "own_flow": signals.own_flow[n].tolist(), "base_flow": np.asarray(signals.base_flow).tolist(),
        }  # fmt: skip
        plain = {key: x for key, x in plain.items() if key in one.example or key == "available"} | (
            {key: plain[key] for key in ("residual", "overload_price")} if scales.level != "A" else {}
        )
        found = one.features(plain)
        assert found["index"] == n
        assert found["agent"] == pytest.approx(every[n], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unit": "x"}, "plain.unit: expected a number from 0 to 2, or one of"),
        ({"unit": 3}, "plain.unit: expected a number from 0 to 2"),
        ({"output": None}, "plain.output: expected a number, got None"),
        ({"own_flow": [1.0]}, r"plain.own_flow: expected a list of 8 numbers, got \[1.0\]"),
        ({"own_flow": [float("inf")] * 8}, "plain.own_flow: expected a list of 8 numbers"),
        ({"own_flow": [10**400] * 8}, "plain.own_flow: expected a list of 8 numbers"),
        ({"output": 10**400}, "plain.output: expected a number, got 1000"),
        ({"base_flow": []}, "plain: unknown name 'base_flow'"),
        ({"available": -1}, "plain.available: expected a number of at least 0, got -1"),
    ],
)
def test_a_mistake_is_one_message_with_its_place(change: dict[str, Any], said: str) -> None:
    one = make({"plain": domain.plain(built().config)})
    assert one.features(one.example)["agent"].shape == (15 + 8,)
    with pytest.raises(DecisionError, match=said):
        one.features({**one.example, **change})


def test_an_hour_is_one_of_a_day() -> None:
    one = make({"plain": domain.plain(built().config)})
    seen = [one.features({**one.example, "hour": hour})["agent"] for hour in (7.5, 31.5, 1.7e308)]
    assert seen[0] == pytest.approx(seen[1], abs=1e-6) and np.isfinite(seen[2]).all()


def test_neither_torch_nor_the_environment_is_imported() -> None:
    code = "import sys, dgpg_power.deploy; print([m for m in ('torch', 'scipy', 'pydantic') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
