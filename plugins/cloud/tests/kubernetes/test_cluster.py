"""What is requested where, against a plain list of pods."""

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

pytest.importorskip("kubernetes", reason="the extra `kubernetes` is not installed")

from dgpg_cloud.kubernetes.cluster import Cluster, Written
from dgpg_cloud.kubernetes.settings import PRICE, RUN_TIME, SPEED, Settings

from .objects import Object, container, node, pod


class Clock:
    """Time as a test says."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cluster(clock: Clock) -> Cluster:
    return Cluster(Settings(run_time_s=600, step_s=60), clock)


@pytest.fixture
def nodes(cluster: Cluster) -> Written:
    return Written(cluster, cluster.nodes)


@pytest.fixture
def pods(cluster: Cluster) -> Written:
    return Written(cluster, cluster.pods)


def requested(cluster: Cluster, *names: str, of: Object | None = None) -> list[list[float]]:
    return cluster.view(of or pod("new"), names).requested.tolist()


def test_by_hand(cluster: Cluster, nodes: Written, pods: Written, clock: Clock) -> None:
    nodes.put(node("a", "8", "32Gi", annotations={PRICE: "0.4", SPEED: "2"}))
    nodes.put(node("b", "4", "16Gi", room={"nvidia.com/gpu": "1"}))
    pods.put(pod("p", "a", "2", "4Gi", annotations={RUN_TIME: "1000"}))
    pods.put(pod("q", "b", "1", "8Gi", spec={"activeDeadlineSeconds": 300}))
    clock.now += 200
    seen = cluster.view(pod("new", cpu="500m", memory="512Mi"), ["b", "a", "nobody"])
    assert seen.able.tolist() == [True, True, False]
    assert seen.capacity.tolist() == [[4, 16, 1], [8, 32, 0], [0, 0, 0]]
    assert seen.requested[:2].tolist() == [[1, 8, 0], [2, 4, 0]]
    # 300 - 200 s are left of q; of p 1000 - 2 x 200 at speed 1.
    assert seen.work[:2].tolist() == [[100, 800, 0], [1200, 2400, 0]]
    assert seen.price[1] == 0.4 and seen.price[0] == pytest.approx(4 * 0.035 + 16 * 0.0033 + 1)
    assert seen.speed[:2].tolist() == [1, 2]
    assert seen.load == pytest.approx((0.5 + 0.25) / 2)
    assert seen.demand.tolist() == [0.5, 0.5, 0] and seen.seconds == 600 and seen.backlog == 1


def test_who_outlives_its_run_time_has_a_step_to_go(cluster: Cluster, pods: Written, clock: Clock) -> None:
    pods.put(pod("p", "a", status={"startTime": "1970-01-12T13:46:40Z"}))  # the clock's start
    clock.now += 10_000
    assert cluster.view(pod("new"), ["a"]).work.tolist() == [[60, 60, 0]]


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_who_has_ended_holds_nothing(cluster: Cluster, nodes: Written, pods: Written, phase: str) -> None:
    nodes.put(node("a"))
    pods.put(pod("p", "a", phase="Running"))
    assert requested(cluster, "a") == [[1, 1, 0]]
    pods.put(pod("p", "a", phase=phase))
    assert requested(cluster, "a") == [[0, 0, 0]]


def test_a_pod_that_is_deleted_but_not_gone_holds_on(cluster: Cluster, pods: Written) -> None:
    pods.put(pod("p", "a", deletionTimestamp="2026-01-01T00:00:00Z"))
    assert requested(cluster, "a") == [[1, 1, 0]]
    pods.drop(pod("p", "a"))
    assert requested(cluster, "a") == [[0, 0, 0]]


def test_a_new_pod_of_the_same_name_is_another(cluster: Cluster, pods: Written) -> None:
    pods.put(pod("p", "a") | {"metadata": {"name": "p", "uid": "1"}})
    pods.put(pod("p", "b") | {"metadata": {"name": "p", "uid": "2"}})
    pods.drop({"metadata": {"name": "p", "uid": "1"}})
    assert requested(cluster, "a", "b") == [[0, 0, 0], [1, 1, 0]]


def test_a_pod_may_be_heard_of_before_its_node_and_outlive_it(cluster: Cluster, nodes: Written, pods: Written) -> None:
    pods.put(pod("p", "a"))
    assert not cluster.view(pod("new"), ["a"]).able.any() and cluster.nodes.count == 0
    nodes.put(node("a"))
    assert cluster.nodes.count == 1
    assert requested(cluster, "a") == [[1, 1, 0]]
    nodes.drop(node("a"))
    nodes.put(node("b"))  # takes no row in which p still counts
    assert requested(cluster, "b") == [[0, 0, 0]]
    nodes.put(node("a"))
    assert requested(cluster, "a") == [[1, 1, 0]]


def test_an_assumed_pod_counts_until_it_is_seen_or_too_old(cluster: Cluster, pods: Written, clock: Clock) -> None:
    cluster.assume(pod("p"), "a")
    assert requested(cluster, "a", "b") == [[1, 1, 0], [0, 0, 0]]
    pods.put(pod("p", "b"))  # it went elsewhere
    assert requested(cluster, "a", "b") == [[0, 0, 0], [1, 1, 0]]
    cluster.assume(pod("q"), "a")
    clock.now += 29
    assert requested(cluster, "a") == [[1, 1, 0]]
    clock.now += 2
    assert requested(cluster, "a", "b") == [[0, 0, 0], [1, 1, 0]]


def test_an_assumption_ends_with_a_refusal_or_the_pod(cluster: Cluster, pods: Written) -> None:
    for news in (
        pod("p", status={"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}),
        pod("p", phase="Failed"),
    ):
        cluster.assume(pod("p"), "a")
        pods.put(pod("p"))
        assert requested(cluster, "a") == [[1, 1, 0]]
        pods.put(news)
        assert requested(cluster, "a") == [[0, 0, 0]]


def test_a_pod_that_is_placed_again_does_not_count_itself(cluster: Cluster) -> None:
    cluster.assume(pod("p"), "a")
    assert requested(cluster, "a", of=pod("p")) == [[0, 0, 0]]


def test_news_of_a_pod_that_is_there_is_stronger_than_advice(cluster: Cluster, pods: Written) -> None:
    pods.put(pod("p", "b"))
    cluster.assume(pod("p"), "a")
    assert requested(cluster, "a", "b") == [[0, 0, 0], [1, 1, 0]]


def test_a_list_leaves_what_is_assumed(cluster: Cluster, pods: Written) -> None:
    cluster.assume(pod("p"), "a")
    pods.put(pod("old", "a"))
    pods.keep([pod("new", "a", cpu="3")])
    assert requested(cluster, "a") == [[4, 2, 0]]


def nominated(name: str, node: str = "a", priority: int | None = 10, **more: Any) -> Object:
    """A pod for which kube-scheduler has evicted others."""
    spec = {} if priority is None else {"priority": priority}
    return pod(name, spec=spec, status={"nominatedNodeName": node} if node else {}, **more)


def test_room_that_is_kept_for_a_pod_counts_for_those_of_no_higher_priority(
    cluster: Cluster, nodes: Written, pods: Written
) -> None:
    """As kube-scheduler's addNominatedPods: of the same or a higher priority, itself left out."""
    nodes.put(node("a", "8", "32Gi"))
    pods.put(pod("there", "a", "1", "1Gi"))
    first = nominated("p", cpu="2", memory="4Gi", annotations={RUN_TIME: "100"})
    pods.put(first)
    for priority, held in ((None, [3, 5, 0]), (10, [3, 5, 0]), (11, [1, 1, 0])):
        assert requested(cluster, "a", of=nominated("new", "", priority)) == [held]
    assert requested(cluster, "a", of=first) == [[1, 1, 0]]
    seen = cluster.view(pod("new"), ["a"])
    assert seen.work.tolist() == [[600 + 200, 600 + 400, 0]] and seen.load == pytest.approx(3 / 8)
    pods.put(nominated("q", "nobody"))
    assert requested(cluster, "a", "nobody") == [[3, 5, 0], [0, 0, 0]]


def test_a_nomination_ends_with_a_node_another_one_or_the_pod(cluster: Cluster, pods: Written) -> None:
    pods.put(pod("there", "a"))
    pods.put(pod("there too", "b"))
    pods.put(nominated("p", "a"))
    pods.put(nominated("p", "b"))
    assert requested(cluster, "a", "b") == [[1, 1, 0], [2, 2, 0]]
    cluster.assume(nominated("p", "b"), "a")  # advice that kube-scheduler follows: it is not there twice
    assert requested(cluster, "a", "b") == [[2, 2, 0], [1, 1, 0]]
    pods.put(pod("p", "a"))
    assert requested(cluster, "a", "b") == [[2, 2, 0], [1, 1, 0]]
    pods.put(nominated("q", "a"))
    pods.put(nominated("q", ""))
    assert requested(cluster, "a") == [[2, 2, 0]]
    for end in (pods.drop, lambda _: pods.keep([pod("there", "a"), pod("p", "a")])):
        pods.put(nominated("q", "a"))
        assert requested(cluster, "a") == [[3, 3, 0]]
        end(nominated("q", "a"))
        assert requested(cluster, "a") == [[2, 2, 0]]


def test_the_backlog_is_of_those_who_wait(cluster: Cluster, pods: Written) -> None:
    for name in "abc":
        pods.put(pod(name))
    pods.put(pod("gated", spec={"schedulingGates": [{"name": "wait"}]}))
    assert cluster.view(pod("a"), []).backlog == 3
    cluster.assume(pod("b"), "n")
    assert cluster.view(pod("a"), []).backlog == 2
    pods.put(pod("c", "n"))
    assert cluster.view(pod("unheard"), []).backlog == 2
    pods.drop(pod("a"))
    assert cluster.view(pod("unheard"), []).backlog == 1
    pods.put(pod("ends"))
    assert cluster.view(pod("unheard"), []).backlog == 2
    pods.put(pod("ends", deletionTimestamp="2026-01-01T00:00:00Z"))
    assert cluster.view(pod("unheard"), []).backlog == 1


def test_only_pods_of_its_scheduler_wait_for_the_policy(clock: Clock) -> None:
    cluster = Cluster(Settings(scheduler="dgpg"), clock)
    pods = Written(cluster, cluster.pods)
    pods.put(pod("a", spec={"schedulerName": "dgpg"}))
    pods.put(pod("b", spec={"schedulerName": "default-scheduler"}))
    assert cluster.view(pod("a", spec={"schedulerName": "dgpg"}), []).backlog == 1


def test_what_makes_no_sense_is_told_and_left_out(
    cluster: Cluster, nodes: Written, pods: Written, caplog: pytest.LogCaptureFixture
) -> None:
    nodes.put(node("a", annotations={PRICE: "cheap", SPEED: "-1"}))
    seen = cluster.view(pod("new"), ["a"])
    assert seen.price[0] == pytest.approx(8 * 0.035 + 32 * 0.0033) and seen.speed[0] == 1
    assert "expected a number above 0" in caplog.text
    pods.put(pod("p", "a", spec={"containers": [container(cpu="much")]}))
    assert pods.strange == 1 and "p: cannot be read" in caplog.text
    assert requested(cluster, "a") == [[0, 0, 0]]


NODES = st.sampled_from(["a", "b", "c", "d"])
UIDS = st.sampled_from([f"p{n}" for n in range(8)])
SIZES = st.integers(0, 5)


class Oracle(RuleBasedStateMachine):
    """Any order of events, against dictionaries that are summed up each time."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.cluster = Cluster(Settings(), self.clock)
        self.nodes, self.pods = Written(self.cluster, self.cluster.nodes), Written(self.cluster, self.cluster.pods)
        self.known: set[str] = set()
        self.there: dict[str, tuple[str, int]] = {}
        self.assumed: dict[str, tuple[str, int, float]] = {}

    @rule(name=NODES)
    def node_comes(self, name: str) -> None:
        self.nodes.put(node(name))
        self.known.add(name)

    @rule(name=NODES)
    def node_goes(self, name: str) -> None:
        self.nodes.drop(node(name))
        self.known.discard(name)

    @rule(uid=UIDS, on=NODES, size=SIZES)
    def pod_is_bound(self, uid: str, on: str, size: int) -> None:
        self.pods.put(pod(uid, on, cpu=str(size)))
        self.there[uid] = on, size
        self.assumed.pop(uid, None)

    @rule(uid=UIDS)
    def pod_goes(self, uid: str) -> None:
        self.pods.drop(pod(uid))
        self.there.pop(uid, None)
        self.assumed.pop(uid, None)

    @rule(uid=UIDS, on=NODES, size=SIZES)
    def pod_is_assumed(self, uid: str, on: str, size: int) -> None:
        self.cluster.assume(pod(uid, cpu=str(size)), on)
        if uid not in self.there:
            self.assumed[uid] = on, size, self.clock.now + 30

    @rule(seconds=st.integers(1, 20))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule(uids=st.sets(UIDS), names=st.sets(NODES))
    def all_is_listed(self, uids: set[str], names: set[str]) -> None:
        self.nodes.keep([node(name) for name in names])
        kept = {uid: x for uid, x in self.there.items() if uid in uids}
        self.pods.keep([pod(uid, on, cpu=str(size)) for uid, (on, size) in kept.items()])
        self.known, self.there = names, kept

    @invariant()
    def sums_are_right(self) -> None:
        self.assumed = {uid: x for uid, x in self.assumed.items() if x[2] > self.clock.now}
        holds: list[Any] = [*self.there.values(), *self.assumed.values()]
        seen = self.cluster.view(pod("nobody"), ["a", "b", "c", "d"])
        assert seen.able.tolist() == [name in self.known for name in "abcd"]
        expected = [sum(size for on, size, *_ in holds if on == name) for name in "abcd"]
        assert seen.requested[:, 0].tolist() == expected
        assert len(self.cluster.nodes.table) == len(self.known | {on for on, *_ in holds})


TestOracle = Oracle.TestCase
