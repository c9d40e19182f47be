"""Pod lists of the Alibaba GPU trace (openb), and files that are no job trace at all."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dgpg_cloud.data import load_jobs

from .files import refused, write

PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
POD = "ok,4000,1024,0,0,,LS,Succeeded,10,70,20\n"


def fails(path: Path, *parts: str) -> None:
    refused(load_jobs, path, path.name, *parts)


def test_openb_pods_by_hand(tmp_path: Path) -> None:
    text = (
        PODS
        + "late,12000,16384,2,1000,T4|P100|T4,LS,Running,300,1000,310\n"
        + "never,1000,10,0,0,,BE,Pending,50,60,\n"
        + "first,500,0,1,460,,BE,Failed,100,130,105\n"
        + "none,500,8,0,0,,BE,Failed,100,130,130\n"
        + "same,8000,30517,0,0,,LS,Succeeded,300,400,300.0\n"
    )
    jobs = load_jobs(write(tmp_path, text, "openb_pod_list_x.csv"))
    assert jobs.submit_s.tolist() == [0, 200, 200]
    assert jobs.duration_s.tolist() == [25, 690, 100]
    assert jobs.vcpu_milli.tolist() == [500, 12000, 8000]
    assert jobs.memory_mib.tolist() == [0, 16384, 30517]
    assert jobs.gpu_milli.tolist() == [460, 2000, 0]
    assert jobs.gpu_models == ((), ("T4", "P100"), ())
    assert jobs.line.tolist() == [4, 2, 6]  # equal times stay in file order
    assert jobs.source == "openb_pod_list_x.csv"
    assert jobs.notes == (
        "1 pod never scheduled (blank scheduled_time): skipped",
        "1 pod with run time 0 s: skipped",
        "1 pod still running at the end (1000 s): cut short there",
        "1 pod asking 0 MiB of memory, taken as it is: line 4",
    )


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("a,0,1,0,0,,LS,Running,0,9,1", (":3: cpu_milli", "'0'")),
        ("a,-1,1,0,0,,LS,Running,0,9,1", (":3: cpu_milli", "'-1'")),
        ("a,1,-1,0,0,,LS,Running,0,9,1", (":3: memory_mib", "'-1'")),
        ("a,1,1,-2,0,,LS,Running,0,9,1", (":3: num_gpu", "'-2'")),
        ("a,1,1,1,0,,LS,Running,0,9,1", (":3: gpu_milli", "'0'", "1 to 1000")),
        ("a,1,1,1,1001,,LS,Running,0,9,1", (":3: gpu_milli", "'1001'")),
        ("a,1,1,0,0,,LS,Running,x,9,1", (":3: creation_time", "'x'")),
        ("a,1,1,0,0,,LS,Running,nan,9,1", (":3: creation_time", "'nan'")),
        ("a,1,1,0,0,,LS,Running,-1,9,1", (":3: creation_time", "'-1'")),
        ("a,1,1,0,0,,LS,Running,0,inf,1", (":3: deletion_time", "'inf'")),
        ("a,1,1,0,0,,LS,Running,0,,1", (":3: deletion_time", "''")),
        ("a,1,1,0,0,,LS,Running,0,9,10", (":3: deletion_time", "'9'", "not before the scheduled_time")),
        ("a,1,1,0,0,,LS,Running,0,9,soon", (":3: scheduled_time", "'soon'", "or a blank")),
        ("a,1,1,0,0,,LS,Run", (":3: expected 11 fields, got 8", "truncated")),
    ],
)
def test_a_wrong_pod_is_named(tmp_path: Path, row: str, parts: tuple[str, ...]) -> None:
    fails(write(tmp_path, PODS + POD + row, "pods.csv"), *parts)


def test_a_trace_without_a_job_that_ran_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, PODS + "a,1,1,0,0,,LS,Pending,0,9,\n", "pods.csv")
    fails(path, "no job", "1 pod never scheduled")


@pytest.mark.parametrize("variant", ["default", "gpuspec33"])
def test_real_openb_pods(data_file: Callable[[str], Path], variant: str) -> None:
    table = load_jobs(data_file(f"alibaba_gpu2023/openb_pod_list_{variant}.csv"))
    assert len(table) == 8152 - 897
    assert np.all(np.diff(table.submit_s) >= 0) and table.submit_s[0] == 0
    assert table.duration_s.min() == 4 and np.median(table.duration_s) == 616
    assert table.gpu_milli.max() == 8000
    assert "897 pods never scheduled (blank scheduled_time): skipped" in table.notes
    assert table.line[table.memory_mib == 0].tolist() == [1525]
    assert "1 pod asking 0 MiB of memory, taken as it is: line 1525" in table.notes
    models = {model for allowed in table.gpu_models for model in allowed}
    assert models == ({"A10", "G2", "G3", "P100", "T4", "V100M16", "V100M32"} if "gpuspec" in variant else set())


def test_an_unknown_job_format_is_named_with_the_known_ones(tmp_path: Path) -> None:
    path = write(tmp_path, "job,start\n1,2\n", "x.csv")
    fails(path, "x.csv:1: ", "'job,start'", "openb pod list", "SWF", "Azure", "deletion_time")


def test_a_file_that_cannot_be_a_trace_is_named(tmp_path: Path) -> None:
    fails(tmp_path / "absent.swf", "absent.swf", "no such file")
    fails(tmp_path, str(tmp_path), "is a directory")
    fails(write(tmp_path, "", "empty.csv"), "empty.csv", "empty")
    fails(write(tmp_path, PODS, "pods.csv"), "no rows")
    path = tmp_path / "pods.bin"
    path.write_bytes(b"\x00\x01\x02")
    fails(path, "pods.bin", "not a text file")
