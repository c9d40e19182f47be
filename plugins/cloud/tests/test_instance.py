"""Configurations, and the instance that each of them gives: machines, candidates, jobs that can be hosted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dgpg.domain import validate
from dgpg.errors import ConfigError, DataError
from dgpg_cloud.arrivals import draw
from dgpg_cloud.config import Config
from dgpg_cloud.data import EC2_DEFAULT
from dgpg_cloud.domain import domain
from dgpg_cloud.instance import Instance, build
from dgpg_cloud.observation import sizes

some = settings(max_examples=settings().max_examples // 2)  # every example builds an instance

NODES = "sn,cpu_milli,memory_mib,gpu,model\n"
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"


def can_host(instance: Instance) -> np.ndarray:
    """May and can a row of the pool run on a machine when it is empty, `[J, M]`."""
    fits = (instance.pool.demand[:, None] <= instance.capacity).all(-1)
    return fits & instance.allowed[instance.pool.kind]


def reachable(instance: Instance) -> np.ndarray:
    """Has a dispatcher a candidate for the row, `[J, N]`."""
    return can_host(instance)[:, instance.candidates].any(-1)


# --- configuration -----------------------------------------------------------------------------


def test_presets_are_what_they_are_called_and_can_be_overridden() -> None:
    assert validate(Config, {"preset": "default"}, "") == Config()
    waiting = validate(Config, {"preset": "waiting"}, "")
    assert (waiting.workload.load, waiting.workload.swing) == (0.6, 0.2)
    assert waiting.weights.model_dump() == {"waiting": 1.0, "price": 1.0, "stranded": 2.0}
    mine = validate(Config, {"preset": "waiting", "workload": {"load": 0.4}, "weights": {"price": 5}}, "")
    assert (mine.workload.load, mine.workload.swing) == (0.4, 0.2)
    assert mine.weights.model_dump() == {"waiting": 1.0, "price": 5.0, "stranded": 2.0}


@pytest.mark.parametrize("values", [{}, {"preset": "waiting"}, {"preset": "waiting", "weights": {"price": 0}}])
def test_a_resolved_configuration_gives_itself_again(values: dict[str, Any]) -> None:
    config = validate(Config, values, "")
    assert validate(Config, config.model_dump(), "") == config
    assert validate(Config, config.model_dump(mode="json"), "") == config


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"num_agent": 5}, ("unknown setting 'num_agent'", "did you mean 'num_agents'?")),
        (
            {"workload": {"laod": 0.5}},
            ("unknown setting 'workload.laod'", "did you mean 'load'?", "arrivals"),
        ),
        ({"preset": "waiting", "weights": {"strand": 1}}, ("'weights.strand'", "did you mean 'stranded'?")),
        ({"machines": {"q": 1}}, ("'machines.q'", "Valid here: bad_rows, file, queue_places, run_slots")),
        ({"workload": {"load": 1.5}}, ("workload.load = 1.5", "less than 1")),
        ({"workload": {"load": 0}}, ("workload.load = 0", "greater than 0")),
        ({"num_agents": 0}, ("num_agents = 0", "greater than or equal to 1")),
        ({"num_agents": "many"}, ("num_agents = 'many'", "integer")),
        ({"horizon": 2.5}, ("horizon = 2.5", "integer")),
        ({"seed": -1}, ("seed = -1",)),
        ({"weights": {"price": -1}}, ("weights.price = -1",)),
        ({"weights": {"waiting": float("nan")}}, ("weights.waiting = nan",)),
        (
            {"machines": {"run_slots": 0, "queue_places": 0}},
            ("machines.run_slots = 0", "machines.queue_places = 0"),
        ),
        ({"workload": {"start": 0.5, "end": 0.5}}, ("workload", "start = 0.5 must be below end = 0.5")),
        ({"workload": {"arrivals": 0.9}}, ("workload", "arrivals = 0.9 with swing = 0.3")),
        ({"workload": 3}, ("workload = 3",)),
        ({"preset": "wating"}, ("preset = 'wating'", "'default' or 'waiting'")),
        ({"preset": 3}, ("preset = 3",)),
        ({"preset": ["waiting"]}, ("preset = ['waiting']",)),
    ],
    ids=str,
)
def test_a_wrong_setting_is_named(values: dict[str, Any], parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Config, values, "")
    for part in parts:
        assert part in str(caught.value)


def test_run_slots_are_those_of_a_node_where_nothing_is_said(tmp_path: Path) -> None:
    assert Config().run_slots == 16
    assert Config(workload={"trace": tmp_path}).run_slots == 110
    assert Config(workload={"trace": tmp_path}, machines={"run_slots": 30}).run_slots == 30


# --- machines and candidates -------------------------------------------------------------------


def test_the_built_in_table_gives_every_type_in_turn() -> None:
    instance = build(Config(num_agents=2 * len(EC2_DEFAULT)))
    found = sorted(zip(*instance.capacity.T.tolist(), instance.price, strict=True))
    expected = sorted(
        zip(EC2_DEFAULT.vcpu_milli.tolist(), EC2_DEFAULT.memory_mib.tolist(), EC2_DEFAULT.price, strict=True)
    )
    assert found == sorted(expected * 2)


def test_the_same_configuration_gives_the_same_instance_and_another_seed_another() -> None:
    one = build(Config(num_agents=30))
    build.cache_clear()
    same, other = build(Config(num_agents=30)), build(Config(num_agents=30, seed=1))
    assert one is not same
    for name in ("capacity", "speed_permille", "price", "candidates", "base_steps"):
        assert np.array_equal(getattr(one, name), getattr(same, name)), name
    assert not np.array_equal(one.candidates, other.candidates)


sizes_of_clusters = st.fixed_dictionaries(
    {"num_agents": st.integers(1, 10), "num_machines": st.integers(1, 14),
     "candidates": st.integers(1, 16), "seed": st.integers(0, 10)}
).filter(lambda c: c["num_agents"] <= c["num_machines"])  # fmt: skip


@some
@given(values=sizes_of_clusters)
def test_any_cluster_has_distinct_candidates_and_hosts_every_job(values: dict[str, int]) -> None:
    instance = build(Config.model_validate(values))
    n, m, k = values["num_agents"], values["num_machines"], min(values["candidates"], values["num_machines"])
    assert instance.candidates.shape == (n, k)
    assert all(len(set(row)) == k for row in instance.candidates.tolist())
    assert instance.candidates.min() >= 0 and instance.candidates.max() < m
    assert reachable(instance).any(1).all()


def test_a_dispatcher_reaches_its_own_machine_and_a_roomy_one() -> None:
    instance = build(Config(num_agents=60, num_machines=25, candidates=3, workload={"arrivals": 0.2}))
    shapes = np.unique(instance.pool.demand, axis=0)
    room = (shapes[:, None] <= instance.capacity).all(-1).sum(0)
    for n, row in enumerate(instance.candidates):
        assert n % 25 in row
        assert room[row].max() >= np.quantile(room, 0.75)


def test_with_every_machine_a_candidate_the_rest_of_the_instance_stays() -> None:
    config = Config(num_agents=12, num_machines=15, candidates=4)
    few, everywhere = build(config), build(config.model_copy(update={"everywhere": True}))
    assert everywhere.candidates.tolist() == [list(range(15))] * 12
    for name in ("capacity", "speed_permille", "price", "base_steps", "reach", "hosts", "host_count"):
        assert np.array_equal(getattr(few, name), getattr(everywhere, name)), name


gpu_clusters = st.fixed_dictionaries(
    {"num_agents": st.integers(1, 8), "num_machines": st.integers(1, 8),
     "candidates": st.integers(1, 3), "seed": st.integers(0, 10)}
).filter(lambda c: c["num_agents"] <= c["num_machines"])  # fmt: skip


@pytest.fixture(scope="module")
def gpu_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], tuple[Path, Path]]:
    """A node of each GPU model, and pods that each need one of them."""
    folder = tmp_path_factory.mktemp("gpu")

    def write(kinds: int) -> tuple[Path, Path]:
        nodes, pods = folder / f"openb_node_list_{kinds}.csv", folder / f"openb_pod_list_{kinds}.csv"
        nodes.write_text(NODES + "".join(f"n{g},8000,65536,2,G{g}\n" for g in range(kinds)))
        rows = ((i, i % kinds, 10 * i, 10 * i + 5 + i % 7) for i in range(40))
        pods.write_text(PODS + "".join(f"p{i},4000,1024,1,1000,G{g},LS,Succeeded,{a},{z},{a}\n" for i, g, a, z in rows))
        return nodes, pods

    return write


@some
@given(kinds=st.integers(1, 5), values=gpu_clusters)
def test_every_kind_of_gpu_job_is_hosted_or_the_cluster_is_refused(
    gpu_files: Callable[[int], tuple[Path, Path]], kinds: int, values: dict[str, int]
) -> None:
    """Each machine has one model of GPU, so that a small cluster cannot host every kind."""
    nodes, pods = gpu_files(kinds)
    config = Config.model_validate({**values, "machines": {"file": nodes}, "workload": {"trace": pods}})
    try:
        instance = build(config)
    except (DataError, ConfigError):
        # With a machine and a dispatcher for every kind there is nothing to refuse.
        assert min(values["num_agents"], values["num_machines"]) < kinds
    else:
        assert all(len(set(row)) == len(row) for row in instance.candidates.tolist())
        assert reachable(instance).any(1).all()


@pytest.mark.parametrize(
    "values", [{}, {"num_agents": 5, "candidates": 1}, {"num_agents": 9, "candidates": 2, "seed": 4}]
)
def test_every_job_comes_to_a_dispatcher_that_can_host_it(values: dict[str, Any]) -> None:
    instance = build(Config.model_validate(values))
    hosted = reachable(instance)
    for seed in range(10):
        jobs = draw(np.random.default_rng(seed), instance)
        assert hosted[jobs.row, jobs.dispatcher].all()


def test_jobs_that_fit_nowhere_are_refused_with_their_number_and_the_first_line(tmp_path: Path) -> None:
    pods = tmp_path / "openb_pod_list_big.csv"
    rows = [(4000, 1024, 0), (4000, 999_999, 0), (64_000, 1024, 0), (4000, 1024, 0), (4000, 1024, 3)]
    lines = (f"p{i},{cpu},{mib},{gpu},1000,,LS,Succeeded,{i},{i + 9},{i}\n" for i, (cpu, mib, gpu) in enumerate(rows))
    pods.write_text(PODS + "".join(lines))
    nodes = tmp_path / "openb_node_list_big.csv"
    nodes.write_text(NODES + "a,32000,65536,2,T4\nb,32000,65536,0,\n")
    with pytest.raises(DataError) as caught:
        build(Config.model_validate({"machines": {"file": nodes}, "workload": {"trace": pods}}))
    for part in (pods.name, nodes.name, "3 of 5 jobs", "line 3", "4 vCPU, 976.562 GiB"):
        assert part in str(caught.value)


def test_jobs_of_before_the_used_part_are_refused_too_since_they_may_still_run(tmp_path: Path) -> None:
    pods = tmp_path / "openb_pod_list_part.csv"
    cpu = [64_000, 1000, 1000, 1000, 1000, 1000, 1000, 64_000, 1000, 64_000]
    pods.write_text(PODS + "".join(f"p{i},{c},1024,0,0,,LS,Succeeded,{i},{i + 9},{i}\n" for i, c in enumerate(cpu)))
    values = {"workload": {"trace": pods, "start": 0.3, "end": 0.9}}
    with pytest.raises(
        DataError, match=r"2 of 9 jobs .* the built-in EC2 table; the first is line 2 \(64 vCPU, 1 GiB\)"
    ):
        build(Config.model_validate(values))


MISFITS = [
    *("p0,4000,1024,1,1000,T4", "p1,4000,1024,1,1000,t4", "p2,4000,1024,1,1000,t4", "p3,64000,1024,0,0,"),
    *("p4,4000,1024,0,0,", "p5,4000,1024,0,0,", "p6,4000,1024,0,500,"),
]


def misfits(folder: Path, **workload: object) -> Config:
    """Two pods of a model that is misspelt, one that is too large and one that is wrong, among seven."""
    pods, nodes = folder / "pods.csv", folder / "nodes.csv"
    pods.write_text(PODS + "".join(f"{row},LS,Succeeded,{i},{i + 9},{i}\n" for i, row in enumerate(MISFITS)))
    nodes.write_text(NODES + "a,32000,65536,2,T4\nb,32000,65536,0,\nb,32000,65536,0,\n")
    machines = {"file": nodes, "bad_rows": "skip"}
    size = {"num_agents": 3, "horizon": 2}
    return Config.model_validate({**size, "machines": machines, "workload": {"trace": pods, "load": 0.1, **workload}})


def test_a_misspelt_gpu_model_is_told_with_the_nearest(tmp_path: Path) -> None:
    config = misfits(tmp_path)
    config.workload.trace.write_text(config.workload.trace.read_text().replace("0,500,", "0,0,"))
    with pytest.raises(DataError) as caught:
        build(config)
    for part in ("3 of 7 jobs", "line 3", "unknown GPU model 't4': did you mean 'T4'?", "workload.bad_rows=skip"):
        assert part in str(caught.value)
    assert "larger machines" not in str(caught.value)


def test_a_run_says_what_it_skipped_and_why(tmp_path: Path) -> None:
    instance = build(misfits(tmp_path, bad_rows="skip"))
    assert len(instance.pool.demand) == 3
    notes = "\n".join(domain.describe(instance.config))
    for part in (
        "1 row skipped: gpu_milli: found '500', expected 0 for a pod of num_gpu = 0 (line 8)",
        "2 of 6 jobs skipped of a GPU model that no machine has: unknown GPU model 't4': did you mean 'T4'?",
        "1 of 6 jobs skipped that fit on no machine (line 5)",
        "1 row skipped: sn: found 'b', expected a name that no row before has (line 4)",
    ):
        assert part in notes


def test_a_trace_of_misfits_alone_is_refused(tmp_path: Path) -> None:
    config = misfits(tmp_path, bad_rows="skip")
    config.workload.trace.write_text(PODS + "p,64000,1024,0,0,,LS,Succeeded,0,9,0\n")
    with pytest.raises(DataError, match=r"pods\.csv: no job fits on a machine of nodes\.csv: 1 of 1 jobs skipped"):
        build(config)


# --- real data ---------------------------------------------------------------------------------


NODE_LIST = "alibaba_gpu2023/openb_node_list_all_node.csv"
CATALOGUE = "ec2/ec2_catalogue_us-east-1_2026-07-20.csv"
REAL = {
    "Alibaba": ("alibaba_gpu2023/openb_pod_list_default.csv", NODE_LIST, 3),
    "Alibaba, more without GPU": ("alibaba_gpu2023/openb_pod_list_cpu250.csv", NODE_LIST, 3),
    "KTH": ("kth_sp2_1996/KTH-SP2-1996-2.1-cln.swf.gz", CATALOGUE, 2),
    "Azure": ("azure2017_vm/v1.dev.txt", CATALOGUE, 2),
}


@pytest.mark.parametrize("name", REAL)
def test_real_jobs_on_real_machines(name: str, data_file: Callable[[str], Path]) -> None:
    trace, file, resources = REAL[name]
    config = Config.model_validate({"workload": {"trace": data_file(trace)}, "machines": {"file": data_file(file)}})
    instance = build(config)
    assert instance.load == pytest.approx(config.workload.load, rel=0.02)
    assert instance.capacity.shape == (50, resources)
    assert reachable(instance).any(1).all()
    assert any("one step is" in note for note in instance.notes)

    env = domain.make_env(config, 2, torch.device("cpu"), 0)
    agent, choice, central = sizes(resources)
    rng, decision, ran = np.random.default_rng(0), env.reset(), torch.zeros(())
    for t in range(config.horizon):
        mask = decision.observation.mask
        assert decision.observation.agent.shape == (2, 50, agent)
        assert decision.observation.choices.shape == (2, 50, 8, choice)
        assert decision.observation.central.shape == (2, central)
        # Whatever has come could run somewhere: only full queues can be in the way.
        if (decision.context["queued"] < config.machines.queue_places).all():
            assert torch.equal(mask.any(-1), decision.context["has_job"])
        assert (decision.context["used"] <= env.plant.capacity * (1 + 1e-6)).all()
        step = env.step((torch.from_numpy(rng.random(mask.shape)) * mask).argmax(-1))
        assert step.reward.isfinite().all() and (step.reward < 0).all()
        assert bool(step.truncated.all()) == (t == config.horizon - 1)
        ran, decision = ran + (step.final or step.decision).context["used"].sum(), step.decision
    assert ran > 0


@pytest.mark.parametrize(
    ("count", "told"), [(4, "4 machines drawn from the 8 of"), (8, "all 8 machines of"), (9, "several times")]
)
def test_a_run_says_which_machines_it_has(tmp_path: Path, count: int, told: str) -> None:
    (tmp_path / "machines.csv").write_text("cpu,memory_gib,price,count\n16,64,1,8\n")
    values = {"num_agents": 4, "num_machines": count, "machines": {"file": tmp_path / "machines.csv"}}
    assert any(told in note for note in build(Config.model_validate(values)).notes)
