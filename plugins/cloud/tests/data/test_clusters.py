"""What the tools of a cluster print: Slurm, Kubernetes, and tables in Parquet."""

import datetime
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from dgpg.errors import DataError
from dgpg_cloud.data import load_jobs, load_machines

from ..files import refused, write

SACCT = "JobID|Submit|Start|End|State|AllocCPUS|ReqMem|AllocTRES|NNodes\n"
JOB = "1|2026-01-01T00:00:00|2026-01-01T00:10:00|2026-01-01T00:12:30|COMPLETED|4|8G|billing=4,cpu=4,mem=8G,node=1|1\n"


def test_slurm_by_hand(tmp_path: Path) -> None:
    text = SACCT + JOB + (
        "1.batch|2026-01-01T00:00:00|2026-01-01T00:10:00|2026-01-01T00:12:30|COMPLETED|4||cpu=4|1\n"
        "2|2026-01-01T00:01:00|Unknown|Unknown|PENDING|0|8G||1\n"
        "3_1|2026-01-01T00:02:00|2026-01-01T00:02:00|2026-01-02T00:02:00|FAILED|8|4000Mc|cpu=8,gres/gpu:a100=2,gres/gpu=2|2\n"
        "4|2026-01-01T00:03:00|2026-01-01T00:03:00|2026-01-01T00:04:00|COMPLETED|2|0||1\n"
    )  # fmt: skip
    jobs = load_jobs(write(tmp_path, text, "sacct.txt"), memory_mib_per_vcpu=1000)
    assert jobs.submit_s.tolist() == [0, 120, 180] and jobs.duration_s.tolist() == [150, 86400, 60]
    assert jobs.vcpu_milli.tolist() == [4000, 8000, 2000] and jobs.memory_mib.tolist() == [8192, 32000, 2000]
    assert jobs.gpu_milli.tolist() == [0, 2000, 0] and jobs.gpu_models == ((), ("a100",), ())
    assert jobs.line.tolist() == [2, 5, 6]
    assert jobs.notes == (
        "1 job without memory: 1000 MiB per vCPU assumed",
        "1 job not started or not ended: skipped",
        "1 job of several nodes: the simulator runs each on one machine with the sum of what it asks",
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (SACCT.replace("End|", "") + JOB, ("no column End", "sacct -P -X -o JobID,Submit,Start,End")),
        ("JobID|Submit|Start|End\n", ("AllocCPUS",)),
        (SACCT + JOB.replace("cpu=4,", "").replace("|4|", "|four|"), (":2: cpu: found 'four'",)),
        (SACCT + JOB.replace("mem=8G", "mem=much"), (":2: memory_mib: found 'much'",)),
        (SACCT + JOB + JOB, (":3: id: found '1'",)),
        (SACCT + JOB + "2|2026\n", (":3: expected 9 fields, got 2", "workload.bad_rows=skip")),
        (SACCT + JOB.replace("00:12:30", "00:02:30"), (":2: end:", "not before start")),
    ],
)
def test_a_wrong_account_is_named(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    refused(load_jobs, write(tmp_path, text, "sacct.txt"), "sacct.txt", *parts)


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


def test_parquet_is_read_like_a_csv(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    from pyarrow import parquet

    noon = datetime.datetime(2026, 1, 1, 12)
    columns = {
        "Submit": [noon, noon + datetime.timedelta(seconds=9)],
        "duration": [60.5, None],
        "cpu": [2, 4],
        "memory_gib": [4, 8],
        "gpu_model": [["T4", "A10"], None],
        "gpu": [1.0, 0.0],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "jobs.parquet")
    jobs = load_jobs(tmp_path / "jobs.parquet")
    assert jobs.duration_s.tolist() == [60.5] and jobs.memory_mib.tolist() == [4096]
    assert jobs.gpu_models == (("T4", "A10"),) and jobs.notes == ("1 job not started or not ended: skipped",)
    nodes = {"sn": ["a"], "cpu_milli": [4000], "memory_mib": [4096], "gpu": [0], "model": [""], "price": [0.0]}
    parquet.write_table(pyarrow.table(nodes), tmp_path / "nodes.parquet")
    assert load_machines(tmp_path / "nodes.parquet").price.tolist() == [0]
    refused(load_jobs, tmp_path / "nodes.parquet", "found machines")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "jobs.parquet").read_bytes()[:200])
    refused(load_jobs, tmp_path / "cut.parquet", "cut.parquet: pyarrow cannot read")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        DataError, match=r"x\.parquet: Parquet needs pyarrow: pip install 'dgpg-plugin-cloud\[parquet\]'"
    ):
        load_jobs(tmp_path / "x.parquet")
