"""Features, rules and estimates from plain values are those of the environment, without torch."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dgpg.domain import Names
from dgpg.errors import DecisionError
from dgpg_cloud.baselines import Rule
from dgpg_cloud.config import Config
from dgpg_cloud.deploy import Job, Nodes, Placement, Scales, features, load, make, rise
from dgpg_cloud.domain import domain
from dgpg_cloud.env import CloudEnv
from dgpg_cloud.models.potentials import HeadroomModel

from .made import CPU, SMALL, pick, seeds, some


@dataclass(frozen=True)
class Seat:
    """A dispatcher with a job in some moment: what an operator knows of it, and what the environment shows it."""

    env: CloudEnv
    n: int
    job: Job
    nodes: Nodes
    load: float

    @property
    def scales(self) -> Scales:
        return scales_of(self.env.instance.config)

    def shown(self, part: str) -> np.ndarray:
        found: np.ndarray = getattr(self.env.decision.observation, part)[0, self.n].numpy()
        return found

    def rows(self) -> dict[str, np.ndarray]:
        found = features(self.scales, self.job, self.nodes, self.load)
        return {name: x[None] for name, x in found.items()}


def scales_of(config: Config) -> Scales:
    """As it comes out of a file."""
    return Scales.read(json.loads(json.dumps(domain.plain(config))))


def seats(env: CloudEnv) -> Iterator[Seat]:
    context, plant = env.decision.context, env.plant
    known = {name: x[0].numpy() for name, x in context.items()}
    backlog = (env.tape.arrived[env.t] - env.cluster.placed)[0]
    for n in np.flatnonzero(known["has_job"]):
        near = env.instance.candidates[n]
        parts = {name: known[name][near] for name in ("used", "requested", "work", "queued")}
        nodes = Nodes(
            **parts, capacity=plant.capacity.numpy()[near], price=plant.price.numpy()[near],
            speed=plant.speed.numpy()[near],
        )  # fmt: skip
        job = Job(known["demand"][n], float(known["steps"][n]), int(backlog[n]))
        yield Seat(env, int(n), job, nodes, load(known["used"], plant.capacity.numpy()))


def played(config: Config, seed: int, steps: int) -> CloudEnv:
    env = domain.make_env(config, 1, CPU, seed)
    rng, decision = np.random.default_rng(seed), env.reset()
    for _ in range(steps):
        decision = env.step(pick(rng, decision.observation.mask)).decision
    return env


moments = {"config": st.sampled_from(SMALL), "seed": seeds, "steps": st.integers(0, 6)}


@some
@given(**moments)
def test_a_job_and_its_nodes_are_seen_as_the_environment_shows_them(config: Config, seed: int, steps: int) -> None:
    for seat in seats(played(config, seed, steps)):
        found = features(seat.scales, seat.job, seat.nodes, seat.load)
        assert found["mask"].tolist() == seat.shown("mask").tolist()
        assert found["choices"] == pytest.approx(seat.shown("choices"), rel=1e-6, abs=1e-6)
        assert found["agent"][:-1] == pytest.approx(seat.shown("agent")[:-1], rel=1e-6, abs=1e-6)
        off = abs(10 * seat.load % 1 - 0.5)  # a mean that lies between two tenths may round either way
        assert off < 1e-5 or found["agent"][-1] == pytest.approx(seat.shown("agent")[-1])


@some
@given(**moments)
def test_rules_choose_as_the_baselines_do(config: Config, seed: int, steps: int) -> None:
    env = played(config, seed, steps)
    rules, noise = [one for one in domain.baselines(config) if isinstance(one, Rule)], torch.zeros(1, config.num_agents)
    chosen = {rule.name: rule.act(env.decision, noise)[0] for rule in rules}
    for seat in seats(env):
        if seat.shown("mask").any():
            assert set(Placement(seat.scales).rules) == set(chosen)
            for name, rule in Placement(seat.scales).rules.items():
                score = rule(seat.rows())[0]
                # Of equal candidates either is right.
                assert score[chosen[name][seat.n]] == pytest.approx(score.max(), rel=1e-5, abs=1e-5), name


@some
@given(**moments)
def test_the_estimate_is_the_models(config: Config, seed: int, steps: int) -> None:
    env = played(config, seed, steps)
    model, mapping, decision = HeadroomModel(env.instance), domain.agent_mapping(config), env.decision
    influence = mapping.influence(decision.observation, decision.context)
    base = mapping.base_state(decision.context)
    for seat in seats(env):
        index = influence.index[0, seat.n, :, 0]
        before = base[0, index][None]
        after = before + influence.value[0, seat.n, :, 0][None]
        of = (model.block_potential(x, index[None], decision.context)[0].numpy() for x in (after, before))
        expected, there = next(of), before[0].numpy()
        expected = expected - next(of)
        clipped = (there[:, : seat.scales.resources] / seat.nodes.capacity > 3).any(-1)
        found = rise(seat.scales, seat.rows()["choices"])[0]
        assert found[~clipped] == pytest.approx(expected[~clipped], rel=1e-3, abs=1e-3)


def test_names_are_of_as_many_features() -> None:
    names: Names = domain.names(SMALL[0])
    found = features(scales_of(SMALL[0]), Job([1, 1], 1), Nodes(*[np.ones((3, 2))] * 4, np.zeros(3), np.ones(3)), 0)
    assert (found["agent"].shape, found["choices"].shape) == ((len(names.agent),), (3, len(names.choices)))


# --- as an operator writes it --------------------------------------------------------------------


def placement(**scales: Any) -> Placement:
    return make({"plain": domain.plain(SMALL[0]) | scales})


sizes = st.one_of(st.integers(0, 200), st.floats(0, 200, allow_nan=False))


def resources(names: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names), sizes)


def as_written(count: int) -> st.SearchStrategy[dict[str, Any]]:
    """Nodes with and without what may be left out, of two resources or three."""
    names = ("vcpu", "memory_gib", "gpu")[:count]
    more = {name: resources(names) for name in ("used", "requested", "work")}
    more |= {"speed": st.floats(0.5, 2), "queued": st.integers(0, 9), "able": st.booleans(), "name": st.just("n")}
    more |= {"gpu": sizes} if count == 3 else {}
    return st.fixed_dictionaries({"vcpu": sizes, "memory_gib": sizes, "price": sizes}, optional=more)


@some
@given(data=st.data(), count=st.sampled_from([2, 3]), step_s=st.sampled_from([None, 60.0]))
def test_nodes_that_are_read_at_once_are_those_that_are_looked_at_one_by_one(
    data: st.DataObject, count: int, step_s: float | None
) -> None:
    reader, nodes = placement(resources=count, step_s=step_s), data.draw(st.lists(as_written(count), min_size=1))
    plain = {"job": {"vcpu": 1, "memory_gib": 1, reader.time: 1}, "nodes": nodes, "load": 0}
    assert reader._quick(nodes) is not None
    with np.errstate(all="ignore"):  # of nodes that are next to nothing
        quick = reader.features(plain)
        slow = features(reader.scales, reader._job(plain["job"]), reader._nodes(nodes), 0)
    for name, value in slow.items():
        assert np.array_equal(quick[name], value, equal_nan=True), name
    wrong = {"vcpu": (True, "1", -1, float("nan"), None), "speed": (0, 1e-4), "able": (1, None), "used": (3, {"x": 1}),
             "price": (float("inf"), 10**400), "gpus": (1,), "requested": (None, [1, 2]), "work": ({"gpus": 1},),
             "_": (0.0,)}  # fmt: skip
    name = data.draw(st.sampled_from(sorted(wrong)))
    bad = [{**nodes[0], name: data.draw(st.sampled_from(wrong[name]))}, *nodes]
    assert reader._quick(bad) is None
    with pytest.raises(DecisionError, match=r"nodes\[0\]"):
        reader.features({"job": {"vcpu": 1, "memory_gib": 1, reader.time: 1}, "nodes": bad, "load": 0})


def test_plain_values_are_read_in_their_units() -> None:
    """A node of 4 vCPU with half of its memory held, and 120 vCPU seconds of work in steps of 60 s."""
    node = {
        "vcpu": 4, "memory_gib": 8, "price": 1, "speed": 0.5, "queued": 1,
        "used": {"vcpu": 1, "memory_gib": 4}, "work": {"vcpu": 120},
    }  # fmt: skip
    plain = {"job": {"vcpu": 2, "memory_gib": 2, "seconds": 90}, "nodes": [node], "load": 0.26}
    found = placement(step_s=60.0).features(plain)
    scales = Scales.read(domain.plain(SMALL[0]))
    nodes = Nodes([[4, 8]], [[1, 4]], [[1, 4]], [[2, 0]], [1], [1], [0.5])
    expected = features(scales, Job([2, 2], 2), nodes, 0.26)
    for name, x in expected.items():
        assert np.array_equal(found[name], x), name
    assert found["agent"][-1] == np.float32(0.3)


def test_a_load_beyond_all_loads_is_one() -> None:
    one = placement()
    seen = one.features({**one.example, "load": 1e308})["agent"]
    assert np.isfinite(seen).all() and seen[-1] == np.float32(1e30)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"job": None}, "job: expected an object of vcpu, memory_gib, gpu, steps, backlog, got None"),
        ({"job": {"vcpu": 1}}, "job.memory_gib: expected a number of at least 0, nothing is given"),
        ({"job": {"vcpu": -1, "memory_gib": 1}}, "job.vcpu: expected a number of at least 0, got -1"),
        ({"job": {"vcpu": True, "memory_gib": 1}}, "job.vcpu: expected a number of at least 0, got True"),
        ({"job": {"vcpu": 1, "memory_gib": 1, "seconds": 3}}, "job: unknown name 'seconds'"),
        ({"job": {"vcpu": 1, "memory_gib": 1, "gpu": 1, "steps": 3}}, "job.gpu: the policy was trained without GPU"),
        ({"nodes": []}, "nodes: expected a list of at least one node"),
        ({"nodes": [{"vcpu": 1, "memory_gib": 1}]}, r"nodes\[0\].price: expected a number of at least 0, nothing"),
        ({"nodes": [{"vcpus": 1}]}, r"nodes\[0\]: unknown name 'vcpus': did you mean 'vcpu'"),
        ({"nodes": [{"able": 1, "price": 1, "vcpu": 1, "memory_gib": 1}]}, r"nodes\[0\].able: expected true or false"),
        ({"load": 10**400}, "plain.load: expected a number of at least 0, got 1000"),
        ({"load": float("nan")}, "plain.load: expected a number of at least 0, got nan"),
        ({"lod": 1}, "plain: unknown name 'lod': did you mean 'load'"),
    ],
)
def test_a_mistake_is_one_message_with_its_place(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DecisionError, match=said):
        placement().features({**placement().example, **change})


def test_the_example_is_readable() -> None:
    for told in ({}, {"step_s": 60.0}, {"resources": 3}):
        one = placement(**told)
        assert one.features(one.example)["mask"].all()


def test_neither_torch_nor_the_environment_is_imported() -> None:
    code = "import sys, dgpg_cloud.deploy; print([m for m in ('torch', 'scipy', 'pydantic') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
