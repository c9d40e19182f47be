"""kube-scheduler's calls to a service that watches an API server: who decides, what is assumed, what is told."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

for _name in ("kubernetes", "msgspec", "onnx", "onnxscript", "onnxruntime", "fastapi", "httpx2"):
    pytest.importorskip(_name, reason="needs the extras export, serve and kubernetes, and a client")

import onnx  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402

import dgpg_cloud.kubernetes as room  # noqa: E402
from dgpg.deploy import Policy  # noqa: E402
from dgpg.errors import ConfigError  # noqa: E402
from dgpg.serve import Log, Service, Settings, create  # noqa: E402
from dgpg_cloud.deploy import Job, Nodes, Scales, features, load  # noqa: E402
from dgpg_cloud.kubernetes import web  # noqa: E402
from dgpg_cloud.kubernetes.extender import extending  # noqa: E402
from dgpg_cloud.kubernetes.levels import levels  # noqa: E402
from dgpg_cloud.kubernetes.settings import PRICE, RUN_TIME  # noqa: E402
from dgpg_cloud.kubernetes.settings import Settings as Cluster  # noqa: E402
from dgpg_cloud.kubernetes.web import routes  # noqa: E402

from .api_server import ApiServer  # noqa: E402
from .objects import Object, eventually, node, pod  # noqa: E402
from .test_reflector import api  # noqa: E402

NODES = [
    node(name, cpu, memory, annotations={PRICE: price})
    for name, cpu, memory, price in (
        ("a", "4", "16Gi", "0.2"),
        ("b", "8", "32Gi", "0.4"),
        ("c", "16", "64Gi", "0.7"),
        ("tiny", "500m", "1Gi", "0.1"),
    )
]
NAMES = [x["metadata"]["name"] for x in NODES]


class Asking:
    """kube-scheduler, and what it asks."""

    def __init__(self, server: ApiServer, folder: Path, cluster: Cluster, settings: Settings) -> None:
        self.out = io.StringIO()
        self.server, self.service = server, Service(folder, settings, Log(self.out))
        self.extender, self.watcher = extending(self.service, cluster, api(server))
        self.client = TestClient(create(self.service, [routes(self.extender, self.watcher)]))

    def ask(self, verb: str, given: Object, names: list[str] = NAMES, whole: bool = False) -> Any:
        listed = {"metadata": {}, "items": [x for x in NODES if x["metadata"]["name"] in names]}
        args = {"Pod": given, "Nodes": listed if whole else None, "NodeNames": None if whole else names}
        answer = self.client.post(f"/{verb}", json=args)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def scores(self, given: Object, names: list[str] = NAMES, whole: bool = False) -> list[int]:
        found = self.ask("prioritize", given, names, whole)
        assert [one["Host"] for one in found] == names and all(set(one) == {"Host", "Score"} for one in found)
        return [one["Score"] for one in found]

    def seen(self, *pods: str) -> None:
        """Wait until the watcher knows of pods."""
        eventually(lambda: all(f"uid-{name}" in self.extender.cluster.pods.table for name in pods))

    def metric(self, name: str) -> float:
        (found,) = [x for x in self.client.get("/metrics").text.splitlines() if x.rpartition(" ")[0] == name]
        return float(found.rpartition(" ")[2])

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in map(json.loads, self.out.getvalue().splitlines()) if line["event"] == name]


QUICK = Cluster(stale_s=0.3)
STEADY = Cluster(run_time_s=600.0, step_s=60.0)


@contextmanager
def asking(
    server: ApiServer,
    folder: Path,
    cluster: Cluster = QUICK,
    **settings: Any,
) -> Iterator[Asking]:
    made = Asking(server, folder, cluster, Settings(**{"far": 1e9, **settings}))
    with made.client:
        yield made


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        for thing in NODES:
            server.put("nodes", thing)
        yield server


def by_hand(policy: Policy, given: Object, requested: list[list[float]], backlog: int = 1) -> dict[str, Any]:
    """What a dispatcher sees, from numbers that stand here: nobody runs for less than its 600 s."""
    capacity = np.array([[4, 16], [8, 32], [16, 64], [0.5, 1]])
    held = np.array(requested)
    return features(
        Scales.read(policy.description["plain"]),
        Job([1.0, 1.0], 10, backlog),
        Nodes(capacity, held, held, held * 10, np.zeros(4), [0.2, 0.4, 0.7, 0.1], able=[True, True, True, False]),
        load(held, capacity),
    )


def test_scores_are_ranks_of_what_the_policy_prefers(server: ApiServer, folder: Path) -> None:
    policy = Policy.load(folder)
    expected = levels(policy.log_probability(**by_hand(policy, pod("p"), [[0, 0]] * 4)))
    with asking(server, folder, STEADY) as ask:
        for whole in (False, True):
            assert ask.scores(pod("p"), whole=whole) == expected.tolist()
        assert expected[3] == 0 and sorted(expected.tolist()) == [0, 8, 9, 10]
        assert ask.metric('dgpg_decisions_total{by="policy"}') == 2
        health = ask.client.get("/healthz").json()
        assert health["status"] == "ok" and health["kubernetes"]["nodes"] == 4


def test_what_is_requested_comes_from_the_watch(server: ApiServer, folder: Path) -> None:
    policy = Policy.load(folder)
    with asking(server, folder, STEADY) as ask:
        server.put("pods", pod("q", "b", "6", "8Gi", annotations={RUN_TIME: "600"}))
        ask.seen("q")
        ask.extender.cluster.clock = lambda: ask.extender.cluster.pods.table.columns["start"].max()
        expected = levels(policy.log_probability(**by_hand(policy, pod("p"), [[0, 0], [6, 8], [0, 0], [0, 0]])))
        assert ask.scores(pod("p")) == expected.tolist()


def test_the_pod_counts_where_it_was_advised_to_go_before_anybody_sees_it(server: ApiServer, folder: Path) -> None:
    with asking(server, folder) as ask:
        best = NAMES[int(np.argmax(ask.scores(pod("p", cpu="3"))))]
        view = ask.extender.cluster.view(pod("other"), [best])
        assert view.requested[0, 0] == 3
        server.put("pods", pod("p", "c" if best != "c" else "b", cpu="3"))
        ask.seen("p")
        eventually(lambda: ask.extender.cluster.view(pod("other"), [best]).requested[0, 0] == 0)


def test_a_filter_leaves_out_what_is_too_small_and_nothing_that_is_full(server: ApiServer, folder: Path) -> None:
    server.put("pods", pod("full", "a", cpu="4"))
    with asking(server, folder) as ask:
        ask.seen("full")
        found = ask.ask("filter", pod("p"), [*NAMES, "unheard"])
        assert found["NodeNames"] == ["a", "b", "c", "unheard"] and found["Error"] == ""
        assert found["FailedAndUnresolvableNodes"] == {"tiny": "the pod asks for more than the node has"}
        whole = ask.ask("filter", pod("p"), whole=True)
        assert whole["NodeNames"] is None and whole["Nodes"]["items"] == NODES[:3]


def test_nodes_that_nobody_has_heard_of_are_worth_nothing(server: ApiServer, folder: Path) -> None:
    with asking(server, folder) as ask:
        assert ask.scores(pod("p"), ["unheard", "b"]) == [0, 10]
        assert ask.scores(pod("p"), ["unheard"]) == [0] and ask.scores(pod("p"), []) == []
        assert ask.scores(pod("huge", cpu="100")) == [0, 0, 0, 0]


def test_many_nodes_are_told_apart(server: ApiServer, folder: Path) -> None:
    names = [f"n{k}" for k in range(300)]
    for k, name in enumerate(names):
        server.put("nodes", node(name, str(2 + k % 60), f"{4 + k % 90}Gi"))
    with asking(server, folder) as ask:
        scores = np.array(ask.scores(pod("p"), names))
        assert np.bincount(scores).tolist() == [0, 44, 128, 64, 32, 16, 8, 4, 2, 1, 1]


def test_without_a_watch_the_rule_decides_on_what_was_known_and_it_is_told(server: ApiServer, folder: Path) -> None:
    with asking(server, folder) as ask:
        server.put("pods", pod("q", "c", "12", "8Gi"))
        ask.seen("q")
        server.down()
        eventually(lambda: not ask.extender.fresh)
        scores = ask.scores(pod("p"))
        # least-requested: 1/4 of a, 1/8 of b, 13/16 of c
        assert scores == [9, 10, 8, 0]
        health = ask.client.get("/healthz").json()
        assert health["status"] == "degraded" and "the rule decides" in health["kubernetes"]["trouble"]
        assert ask.metric('dgpg_fallbacks_total{reason="stale"}') == 1
        assert ask.metric("dgpg_kubernetes_stale") == 1
        server.up()
        eventually(lambda: ask.extender.fresh)
        assert ask.client.get("/healthz").json()["status"] == "ok"
        ask.scores(pod("p"))
        assert ask.metric('dgpg_decisions_total{by="policy"}') == 1


def test_a_watch_that_dies_is_started_again(server: ApiServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "REVIVE_S", 0.2)
    with asking(server, folder) as ask:
        ask.watcher.reflectors[1].stop()
        assert not ask.extender.fresh and len(ask.scores(pod("p"))) == 4
        server.put("pods", pod("q", "c"))
        ask.seen("q")
        assert ask.extender.fresh


def test_without_an_api_server_from_the_start_every_call_is_answered(
    server: ApiServer, folder: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(web, "FIRST_LIST_S", 0.1)
    server.down()
    with asking(server, folder) as ask:
        assert ask.scores(pod("p")) == [0, 0, 0, 0], "no opinion: kube-scheduler's other plugins decide"
        assert ask.ask("filter", pod("p"))["NodeNames"] == NAMES
        assert "has not been listed" in ask.client.get("/healthz").json()["kubernetes"]["trouble"]


def test_in_shadow_nothing_is_advised_and_the_difference_is_counted(server: ApiServer, folder: Path) -> None:
    with asking(server, folder, mode="shadow") as ask:
        assert ask.scores(pod("p")) == [0, 0, 0, 0]
        assert ask.extender.cluster.view(pod("other"), NAMES).requested.sum() == 0, (
            "kube-scheduler decides where it goes"
        )
        wished = ask.extender.cluster.advice._open["uid-p"]
        elsewhere = next(k for k in range(3) if k != wished.best)
        server.put("pods", pod("p", NAMES[elsewhere]))
        eventually(lambda: ask.extender.cluster.advice.other == 1)
        cost = wished.cost({"choices": wished.choices[None]})[0]
        more = float(cost[elsewhere] - cost[wished.best])
        assert more != 0
        (told,) = ask.events("landed")
        assert told["node"] == NAMES[elsewhere] and told["advised"] == NAMES[wished.best]
        assert told["model_cost_more"] == pytest.approx(more)
        assert ask.metric("dgpg_kubernetes_model_cost_difference") == pytest.approx(more)
        assert ask.metric('dgpg_kubernetes_landed_total{as_advised="no"}') == 1


def test_advice_that_is_followed_is_counted_too(server: ApiServer, folder: Path) -> None:
    with asking(server, folder) as ask:
        best = NAMES[int(np.argmax(ask.scores(pod("p"))))]
        server.put("pods", pod("p", best))
        eventually(lambda: ask.extender.cluster.advice.followed == 1)
        assert ask.extender.cluster.advice.difference == 0


def test_what_is_no_call_of_kube_scheduler_is_one_message(server: ApiServer, folder: Path) -> None:
    with asking(server, folder) as ask:
        for verb in ("filter", "prioritize"):
            answer = ask.client.post(f"/{verb}", content=b"{}")
            assert answer.status_code == 422 and answer.json()["Error"].startswith("ExtenderArgs: ")


NO_PODS: dict[str, Any] = {
    "metadata": "p", "status": "well", "spec": {"containers": "abc"},
    **{f"spec {n}": {"containers": [one]} for n, one in enumerate((None, {"resources": {"requests": [1]}}))},
    **{
        f"cpu {cpu!r}"[:20]: {"containers": [{"name": "m", "resources": {"requests": {"cpu": cpu}}}]}
        for cpu in ("1Zx", "nan", "1e999", "9" * 400, "", None, [1], {})
    },
}  # fmt: skip


@pytest.mark.parametrize("part", NO_PODS)
def test_a_pod_that_is_none_is_one_message(server: ApiServer, folder: Path, part: str) -> None:
    with asking(server, folder) as ask:
        bad = {**pod("p"), part.split()[0].replace("cpu", "spec"): NO_PODS[part]}
        answer = ask.client.post("/prioritize", json={"Pod": bad, "Nodes": None, "NodeNames": NAMES})
        assert answer.status_code == 422 and answer.json()["Error"].startswith("Pod: cannot be read (")
        assert len(ask.scores(pod("p"))) == 4


def test_names_of_all_kinds_have_a_score_each(server: ApiServer, folder: Path) -> None:
    with asking(server, folder) as ask:
        assert ask.scores(pod("p"), ["a", "nöde-🦄", "", "a"]) == [10, 0, 0, 9]


def test_an_export_without_what_it_needs_is_not_swapped_in(server: ApiServer, folder: Path, tmp_path: Path) -> None:
    live = Path(shutil.copytree(folder, tmp_path / "live"))
    with asking(server, live) as ask:
        model = onnx.load(live / "policy.onnx")
        (entry,) = [one for one in model.metadata_props if one.key == "dgpg"]
        entry.value = json.dumps({name: x for name, x in json.loads(entry.value).items() if name != "plain"})
        (live / "policy.json").unlink()
        onnx.save(model, live / "policy.onnx")
        assert not ask.service.swap() and len(ask.scores(pod("p"))) == 4
        assert "says nothing of plain values" in ask.events("swap refused")[0]["error"]


def test_policies_of_other_domains_place_no_pods(folder: Path) -> None:
    service = Service(folder, Settings(), Log(io.StringIO()))
    service.current.policy.description["domain"] = "power"
    with pytest.raises(ConfigError, match="by policies of domain 'cloud', this one is of 'power'"):
        extending(service, QUICK, None)
    with pytest.raises(ConfigError, match="this one is of 'power'"):  # before a cluster is looked for
        room.router(service, {})


# --- how it starts --------------------------------------------------------------------------------


def test_settings_are_read_from_the_command_line() -> None:
    read = Cluster.read({"scheduler": "dgpg", "run_time_s": "60", "gpus": "example.com/gpu:1000,example.com/slice:142"})
    assert (read.scheduler, read.run_time_s) == ("dgpg", 60)
    assert read.gpus == {"example.com/gpu": 1000, "example.com/slice": 142}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stale": "1"}, "unknown setting 'kubernetes.stale': did you mean 'kubernetes.stale_s'?"),
        ({"step_s": "0"}, "kubernetes.step_s = 0: expected seconds, a number above 0"),
        ({"step_s": "soon"}, "kubernetes.step_s = soon: expected seconds"),
        ({"gpus": "nvidia.com/gpu"}, "kubernetes.gpus = nvidia.com/gpu: expected resources with milli-GPU"),
    ],
)
def test_a_wrong_setting_is_one_message(options: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as told:
        Cluster.read(options)
    assert said in str(told.value)


def test_without_a_cluster_or_the_extra_it_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service = Service(folder, Settings(), Log(io.StringIO()))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="no API server to watch"):
        room.router(service, {})
    monkeypatch.setattr(room, "NEEDED", ("kubernetes_that_is_not_there",))
    with pytest.raises(ConfigError, match=r"pip install 'dgpg-plugin-cloud\[kubernetes\]'"):
        room.router(service, {})


def test_it_imports_no_torch() -> None:
    code = "import sys, dgpg_cloud.kubernetes.web; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
