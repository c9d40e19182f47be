"""Simulators as actors of Ray: the numbers of local processes, over lost actors and lost nodes."""

import logging

import cloudpickle
import pytest
import torch

from dgpg.bridges.simulators import Simulators, Workers
from dgpg.checks.nested import difference
from dgpg.domain.random import generator
from dgpg.errors import ConfigError, SimulatorError
from dgpg.learning.actions import kind_of

from . import toys

cloudpickle.register_pickle_by_value(toys)
CPU = torch.device("cpu")


def made(simulation=None, engine="ray", count=2, envs=5, timeout=300.0):
    workers = Workers(count=count, engine=engine, timeout=timeout)
    return Simulators(simulation or toys.simulation(), envs, CPU, 7, workers=workers)


def played(env, steps=25, decision=None, first=0, between=lambda t: None):
    """Every number of so many steps of random actions, which depend on the step alone."""
    seen = [] if decision is not None else [env.reset()]
    decision, kind = decision or seen[0], kind_of(env.action_space)
    for t in range(first, first + steps):
        between(t)
        step = env.step(kind.anything(decision.observation, generator(t)))
        seen.append(step)
        decision = step.decision
    return seen


def test_without_ray_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(ConfigError, match=r"workers.engine=ray needs Ray: pip install 'dgpg\[ray\]'"):
        made().reset()


@pytest.fixture(scope="module")
def cluster():
    """A head without a core for anybody and two nodes of two cores each: all of them processes of this machine."""
    ray = pytest.importorskip("ray", reason="needs the extra ray, 80 MB, which no other extra brings")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes.add_node(num_cpus=2), nodes.add_node(num_cpus=2)
    ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.ERROR)
    nodes.wait_for_nodes()
    yield nodes
    ray.shutdown()
    nodes.shutdown()


# Of Ray's own.
pytestmark = [pytest.mark.filterwarnings(f"ignore::{kind}Warning") for kind in ("Resource", "Future", "Deprecation")]
PLAIN = "processes"


@pytest.mark.parametrize("make", [toys.Drift, toys.Global])
def test_numbers_are_those_of_processes(cluster, make):
    simulation = toys.simulation(make)
    env = made(simulation)
    seen = played(env)
    assert difference(played(made(simulation, PLAIN)), seen) is None
    decision = made(simulation, PLAIN).load_state_dict(env.state_dict())
    assert difference(seen[-1].decision, decision) is None


def test_a_lost_actor_is_replayed(cluster):
    import ray

    env = made()
    kept = env._crew._carriers

    def between(t):
        if t in (3, 4, 11):
            ray.kill(kept[t % 2].actor)

    assert difference(played(made(engine=PLAIN), 30), played(env, 30, between=between)) is None


def test_what_a_lost_node_held_is_replayed_elsewhere(cluster):
    import ray

    env = made(count=4)
    whole = played(made(engine=PLAIN), 40)
    seen = played(env, 15)
    places = [ray.get(carrier.actor.node.remote()) for carrier in env._crew._carriers]
    assert len(set(places)) == 2, "the actors are on both nodes"
    lost = next(node for node in cluster.list_all_nodes() if node.node_id == places[0])
    cluster.remove_node(lost, allow_graceful=False)
    cluster.add_node(num_cpus=2)
    seen += played(env, 25, seen[-1].decision, 15)
    assert difference(whole, seen) is None
    assert places[0] not in [ray.get(carrier.actor.node.remote()) for carrier in env._crew._carriers]


def fails(simulation, timeout=30.0):
    env = made(simulation, count=1, envs=2, timeout=timeout)
    env.reset()
    env.step(torch.zeros(2, 3, dtype=torch.long))
    with pytest.raises(SimulatorError) as told:
        env.step(torch.zeros(2, 3, dtype=torch.long))
    return str(told.value)


def test_bad_ones_are_told_as_those_in_processes_are(cluster):
    said = fails(toys.bad(toys.raises))
    assert said.splitlines()[0] == "environment 0, episode 0, step 1: step raised ValueError: no such lane"
    assert "toys.py" in said and "dgpg/bridges" not in said
    said = fails(toys.bad(toys.hangs), timeout=1.0)
    assert said.startswith("environment 0, episode 0, step 1: no answer within 1 s (workers.timeout); it was here:")
    assert "in hangs" in said
    assert "died 4 times in a row in step" in fails(toys.bad(toys.exits))


def test_one_that_prints_is_told_once(cluster, caplog):
    env = made(toys.bad(toys.prints), count=1, envs=2)
    env.reset()
    with caplog.at_level(logging.WARNING, "dgpg"):
        for _ in range(3):
            env.step(torch.zeros(2, 3, dtype=torch.long))
    (message,) = [record.getMessage() for record in caplog.records if record.name == "dgpg"]
    assert "one line of a simulator" in message


def test_more_actors_than_the_cluster_has_cores_are_an_error(cluster, monkeypatch):
    from dgpg.bridges.simulators import actor, crew

    monkeypatch.setattr(crew, "START_S", 3.0)
    monkeypatch.setattr(actor, "LOOK_S", 1.0)
    with pytest.raises(ConfigError, match=r"the cluster, of 4 cores, found no place .* fewer by workers.count"):
        made(count=5, timeout=3.0).reset()
