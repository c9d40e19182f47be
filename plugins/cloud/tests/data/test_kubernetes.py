"""Pods, nodes and events of Kubernetes, as `kubectl` prints them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity

from dgpg_cloud.data import load_jobs, load_machines
from dgpg_cloud.data.kubernetes import quantity
from dgpg_cloud.kubernetes.amounts import asked

from ..files import refused, write


def pod(name: str, phase: str, requests: dict[str, str], start: int | None = 1, end: int | None = 3) -> dict[str, Any]:
    def at(minute: int) -> str:
        return f"2026-01-01T00:{minute:02d}:00Z"

    ended = {"state": {"terminated": {"finishedAt": at(end)}}} if end else {"state": {"running": {}}}
    container = {"resources": {"requests": requests}}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "a", "creationTimestamp": at(0)},
        "spec": {"containers": [container], "nodeSelector": {"nvidia.com/gpu.product": "T4"} if "gpu" in name else {}},
        "status": {"phase": phase, "containerStatuses": [ended]} | ({"startTime": at(start)} if start else {}),
    }


NODE = {
    "kind": "Node",
    "metadata": {"name": "n1", "labels": {"nvidia.com/gpu.product": "T4"}},
    "status": {"allocatable": {"cpu": "15900m", "memory": "64Gi", "nvidia.com/gpu": "2", "pods": "110"}},
}


def cluster(folder: Path, *items: dict[str, Any]) -> Path:
    return write(folder, json.dumps({"kind": "List", "items": list(items)}, indent=1), "cluster.json")


def test_kubernetes_by_hand(tmp_path: Path) -> None:
    path = cluster(
        tmp_path, NODE,
        pod("done", "Succeeded", {"cpu": "500m", "memory": "1Gi"}),
        pod("waits", "Pending", {"cpu": "1"}, start=None, end=None),
        pod("gpu", "Failed", {"cpu": "2", "memory": "512Mi", "nvidia.com/gpu": "1"}, end=2),
        pod("runs", "Running", {"cpu": "0.1", "memory": "134217728"}, end=None),
        NODE | {"metadata": {"name": "n2", "labels": {}}, "status": {"capacity": {"cpu": "8", "memory": "32768Mi"}}},
    )  # fmt: skip
    jobs = load_jobs(path)
    assert jobs.submit_s.tolist() == [0, 0, 0] and jobs.duration_s.tolist() == [120, 60, 120]
    assert jobs.vcpu_milli.tolist() == [500, 2000, 100] and jobs.memory_mib.tolist() == [1024, 512, 128]
    assert jobs.gpu_milli.tolist() == [0, 1000, 0] and jobs.gpu_models == ((), ("T4",), ())
    assert jobs.line.tolist() == [2, 4, 5]  # the place in the list
    assert jobs.notes == (
        "1 job not started or not ended: skipped",
        "1 pod still running: cut short at the last time in the file, 2026-01-01T00:03:00Z",
    )
    machines = load_machines(path)
    assert machines.name == ("n1", "n2") and machines.vcpu_milli.tolist() == [15900, 8000]
    assert machines.memory_mib.tolist() == [65536, 32768]
    assert machines.gpu_milli.tolist() == [2000, 0] and machines.gpu_model == ("T4", "")


def test_pods_that_are_wrong_are_refused_or_skipped(tmp_path: Path) -> None:
    path = cluster(
        tmp_path, pod("a", "Succeeded", {"cpu": "1", "memory": "1Gi"}), pod("b", "Succeeded", {"memory": "1Gi"}),
        pod("c", "Succeeded", {"cpu": "lots", "memory": "1Gi"}),
    )  # fmt: skip
    refused(load_jobs, path, "cluster.json:3: cpu: found 'lots'", "cpu: found ''", "2 of 3 rows in all")
    assert len(load_jobs(path, bad_rows="skip")) == 1


def test_json_without_pods_or_nodes_is_named(tmp_path: Path) -> None:
    refused(load_jobs, cluster(tmp_path, NODE), "found no Pod among 1 object (Node)", "kubectl get pods,nodes")
    refused(load_machines, cluster(tmp_path), "found no Node among 0 objects (none)")
    refused(load_jobs, write(tmp_path, '{"items": [', "cut.json"), "cut.json: not valid JSON")


ASKED = {"cpu": "1", "memory": "1Gi"}


def minute(at: float) -> str:
    return f"2026-01-01T00:{int(at):02d}:{round(60 * (at % 1)):02d}Z"


def event(about: str, reason: str, at: float, message: str = "", uid: str | None = None) -> dict[str, Any]:
    """As the kubelet writes it."""
    who = {"kind": "Pod", "namespace": "a", "name": about} | ({"uid": uid} if uid else {})
    return {
        "kind": "Event", "apiVersion": "v1", "metadata": {"name": f"{about}.{reason}.{at}", "namespace": "a"},
        "involvedObject": who, "reason": reason, "message": message, "eventTime": None,
        "firstTimestamp": minute(at), "lastTimestamp": minute(at), "count": 1,
    }  # fmt: skip


def scheduled(about: str, at: float) -> dict[str, Any]:
    """As the scheduler writes it: with a fraction of a second, and no other time."""
    told = {"firstTimestamp": None, "lastTimestamp": None, "eventTime": minute(at).replace("Z", ".123456Z")}
    return event(about, "Scheduled", at) | told


def test_events_say_what_a_status_lacks(tmp_path: Path) -> None:
    evicted = pod("evicted", "Failed", ASKED, start=None, end=None)
    del evicted["status"]["containerStatuses"]
    path = cluster(
        tmp_path, evicted, pod("done", "Succeeded", ASKED), pod("killed", "Running", ASKED, start=None, end=None),
        event("evicted", "Started", 2), scheduled("evicted", 1), event("evicted", "Evicted", 5),
        event("done", "Started", 2), event("done", "Killing", 9, "Stopping container main"),
        scheduled("killed", 4), event("killed", "Killing", 6.5, "Stopping container main"),
        event("gone", "Started", 1), event("gone", "Killing", 2),
    )  # fmt: skip
    jobs = load_jobs(path)
    # From its start to its eviction; as the status says; from its scheduling to the second to its killing.
    assert jobs.duration_s.tolist() == [180, 120, 150]
    assert jobs.notes == ("1 pod in events alone, whose requests are not known: skipped",)


def test_a_container_that_is_restarted_is_no_end(tmp_path: Path) -> None:
    probe = event("runs", "Killing", 3, "Container main failed liveness probe, will be restarted")
    jobs = load_jobs(cluster(tmp_path, pod("runs", "Running", ASKED, end=None), probe, event("x", "Pulled", 11)))
    assert jobs.duration_s.tolist() == [600]
    assert any("cut short at the last time in the file, 2026-01-01T00:11:00Z" in note for note in jobs.notes)


def test_events_are_of_the_pod_with_their_uid(tmp_path: Path) -> None:
    """A stateful set gives the name of a pod to the next one."""
    pods = [pod("web-0", "Failed", ASKED, start=at, end=None) for at in (1, 10)]
    for n, one in enumerate(pods):
        one["metadata"]["uid"] = f"u{n}"
    ends = [event("web-0", "Killing", 4, uid="u0"), event("web-0", "Killing", 11, uid="u1")]
    assert load_jobs(cluster(tmp_path, *pods, *ends)).duration_s.tolist() == [180, 60]


def test_a_date_to_come_is_not_the_last_time_of_the_file(tmp_path: Path) -> None:
    """A pod that still runs was cut at whatever date stood anywhere in the file."""
    one = pod("runs", "Running", ASKED, end=None)
    one["metadata"] |= {"annotations": {"expires": "2030-01-01T00:00:00Z"}}
    jobs = load_jobs(cluster(tmp_path, one, pod("done", "Succeeded", ASKED)))
    assert jobs.duration_s.tolist() == [120, 120]


def test_outputs_one_after_another_and_of_a_watch(tmp_path: Path) -> None:
    """Of a pod that stands in it several times the last state counts; one that was deleted ended then."""
    early, late = pod("a", "Running", ASKED, end=None), pod("a", "Succeeded", ASKED, end=6)
    deleted = pod("b", "Running", ASKED, end=None)
    deleted["metadata"]["deletionTimestamp"] = minute(4)
    for one, uid in ((early, "u1"), (late, "u1"), (deleted, "u2")):
        one["metadata"]["uid"] = uid
    watch = [{"type": "ADDED", "object": early}, {"type": "MODIFIED", "object": late}]
    documents = [{"kind": "List", "items": [NODE]}, *watch, deleted, event("b", "Pulled", 2, uid="u2")]
    path = write(tmp_path, "\n".join(json.dumps(one, indent=1) for one in documents), "cluster.json")
    jobs = load_jobs(path)
    assert jobs.duration_s.tolist() == [300, 180] and jobs.line.tolist() == [2, 4] and jobs.notes == ()
    assert load_machines(path).name == ("n1",)
    refused(load_jobs, write(tmp_path, path.read_text() + '{"kind": "Po', "cut.json"), "cut.json: not valid JSON")


@pytest.mark.parametrize("field", ["involvedObject", "regarding"])
def test_events_of_either_version_of_the_api(tmp_path: Path, field: str) -> None:
    told = event("a", "Killing", 5)
    told[field] = told.pop("involvedObject")
    told["deprecatedLastTimestamp"], told["lastTimestamp"], told["firstTimestamp"] = told["lastTimestamp"], None, None
    assert load_jobs(cluster(tmp_path, pod("a", "Running", ASKED, end=None), told)).duration_s.tolist() == [240]


@given(
    st.sampled_from(["0", "1", "1.5", ".5", "2.", "100", "1e3", "2E2", "+3"]),
    st.sampled_from(["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]),
)
def test_quantities_are_those_of_the_client(number: str, suffix: str) -> None:
    if number[-1].isdigit() and "e" in number.lower() and suffix:
        return  # an exponent is a suffix
    assert float(quantity(number + suffix)) == pytest.approx(float(parse_quantity(number + suffix)))


REQUESTS = st.fixed_dictionaries({}, optional={
    "cpu": st.sampled_from(["100m", "1", "2.5"]), "memory": st.sampled_from(["64Mi", "1Gi", "3Gi"]),
    "nvidia.com/gpu": st.just("1"),
})  # fmt: skip
SIDE = st.fixed_dictionaries({"name": st.just("c"), "resources": st.fixed_dictionaries({"requests": REQUESTS})})
FIRST = st.builds(lambda one, always: one | ({"restartPolicy": "Always"} if always else {}), SIDE, st.booleans())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(SIDE, min_size=1, max_size=3), st.lists(FIRST, max_size=4),
    st.fixed_dictionaries({}, optional={"overhead": st.just({"cpu": "250m", "memory": "32Mi"}),
                                        "resources": st.just({"requests": {"cpu": "7", "memory": "9Gi"}})}),
)  # fmt: skip
def test_a_pod_of_a_trace_asks_for_what_the_scheduler_counts(
    tmp_path: Path, containers: list[dict[str, Any]], first: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    """Sidecars, the largest init container beside them, pods that ask as a whole, and overhead."""
    one, other = pod("one", "Succeeded", {}), pod("other", "Succeeded", {"cpu": "1", "memory": "1Gi"})
    one["spec"] |= {"containers": containers, "initContainers": first, **more}
    expected = asked({"spec": one["spec"]}, {"nvidia.com/gpu": 1000})
    if not expected[0] or not expected[1]:
        return  # what is not asked for is assumed
    jobs = load_jobs(cluster(tmp_path, other, one))
    assert jobs.vcpu_milli[1] == expected[0] and jobs.memory_mib[1] * 2**20 == expected[1]
    assert jobs.gpu_milli[1] == expected[2]


def test_requests_that_are_not_simulated_are_told(tmp_path: Path) -> None:
    asks = {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "5Gi", "nvidia.com/mig-1g.5gb": "1"}
    notes = load_jobs(cluster(tmp_path, pod("a", "Succeeded", asks))).notes
    assert "requests that are not simulated: ephemeral-storage, nvidia.com/mig-1g.5gb" in notes


def test_resources_of_nodes_that_are_not_simulated_are_told(tmp_path: Path) -> None:
    room = {"cpu": "8", "memory": "32Gi", "nvidia.com/mig-1g.5gb": "7", "amd.com/gpu": "0", "nvidia.com/gpu": "2"}
    machines = load_machines(cluster(tmp_path, NODE | {"status": {"allocatable": room | {"intel.com/gpu": "1"}}}))
    assert machines.gpu_milli.tolist() == [2000]
    told = "resources of nodes that are not simulated: intel.com/gpu, nvidia.com/mig-1g.5gb"
    assert told in machines.notes
