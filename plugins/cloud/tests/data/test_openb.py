"""Pod lists of the Alibaba GPU trace (openb), and files that are no job trace at all."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dgpg.errors import DataError
from dgpg_cloud.data import load_jobs, load_machines

from ..files import refused, write

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
        ("a,1,1,0,500,,LS,Running,0,9,1", (":3: gpu_milli: found '500'", "num_gpu = 1")),
        ("ok,1,1,0,0,,LS,Running,0,9,1", (":3: name: found 'ok'",)),
        ("a,1,1,0,0,,LS,Running,0,9,1,", (":3: expected 11 fields, got 12", "separator stands inside a value")),
        ("a,1,1,0,0,,LS,Run", (":3: expected 11 fields, got 8", "truncated")),
    ],
)
def test_a_wrong_pod_is_named(tmp_path: Path, row: str, parts: tuple[str, ...]) -> None:
    fails(write(tmp_path, PODS + POD + row, "pods.csv"), *parts)


def test_a_pending_pod_needs_no_deletion(tmp_path: Path) -> None:
    jobs = load_jobs(write(tmp_path, PODS + POD + "a,1000,1024,0,0,,LS,Pending,5,,\n", "pods.csv"))
    assert len(jobs) == 1 and jobs.notes == ("1 pod never scheduled (blank scheduled_time): skipped",)


def test_bad_pods_are_refused_together_or_skipped(tmp_path: Path) -> None:
    bad = ["a,0,1,0,0,,LS,Running,0,9,1", "b,-1,1,0,0,,LS,Running,0,9,1", "c,9,1,0,0,,LS,Running,0,9,10", "d,9,1"]
    path = write(tmp_path, PODS + "\n".join([POD.strip(), *bad]), "pods.csv")
    fails(
        path, "pods.csv:6: expected 11 fields, got 3; 2 rows: cpu_milli: found '0'", "(lines 3, 4)",
        "1 row: deletion_time: found '9'", "(line 5)", "4 of 5 rows in all", "workload.bad_rows=skip",
    )  # fmt: skip
    jobs = load_jobs(path, bad_rows="skip")
    assert jobs.line.tolist() == [2]
    assert jobs.notes == (
        "1 row skipped: expected 11 fields, got 3 (line 6)",
        "2 rows skipped: cpu_milli: found '0', expected a number from 1 to 1e+12 (lines 3, 4)",
        "1 row skipped: deletion_time: found '9', expected a time not before the scheduled_time of the row (line 5)",
    )


def test_skipping_every_row_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, PODS + "a,0,1,0,0,,LS,Running,0,9,1\n", "pods.csv")
    with pytest.raises(DataError, match=r"pods\.csv:2: cpu_milli: found '0'"):
        load_jobs(path, bad_rows="skip")


def test_a_row_in_milliseconds_is_told(tmp_path: Path) -> None:
    rows = [f"p{i},4000,1024,0,0,,LS,Succeeded,{1000 * i},{1000 * i + 60},{1000 * i}\n" for i in range(20)]
    rows[7] = "p7,4000,1024,0,0,,LS,Succeeded,7000000,7060000,7000000\n"
    path = write(tmp_path, PODS + "".join(rows), "pods.csv")
    fails(path, "pods.csv:9: creation_time: found '7000000', expected seconds", "milliseconds")
    jobs = load_jobs(path, bad_rows="skip")
    assert len(jobs) == 19 and jobs.submit_s[-1] == 19_000


def test_a_long_pause_is_no_millisecond(tmp_path: Path) -> None:
    rows = [f"p{i},4000,1024,0,0,,LS,Succeeded,{t},{t + 60},{t}\n" for i, t in enumerate((0, 9, 20, 5000, 20_000))]
    assert len(load_jobs(write(tmp_path, PODS + "".join(rows), "pods.csv"))) == 5


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("p,4,4096,0,0", ("largest job asks for 4/1000 vCPU", "multiply by 1000")),
        ("p,4000,16,0,0", ("4 MiB a vCPU", "probably GiB")),
    ],
)
def test_jobs_in_other_units_are_told(tmp_path: Path, row: str, parts: tuple[str, ...]) -> None:
    fails(write(tmp_path, f"{PODS}{row},,LS,Succeeded,0,60,0\n", "pods.csv"), *parts)


def test_machines_are_no_jobs(tmp_path: Path) -> None:
    fails(write(tmp_path, "sn,cpu_milli,memory_mib,gpu,model\na,1000,1024,0,\n"), "found machines", "machines.file")


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


def test_names_of_columns_may_have_capitals(tmp_path: Path) -> None:
    pods = "Name,CPU_milli,memory_MiB,num_gpu,gpu_milli,gpu_spec,pod_phase,creation_time,deletion_time,scheduled_time\n"
    jobs = load_jobs(write(tmp_path, pods + "a,4000,8192,0,0,,Succeeded,0,100,5\n"))
    assert jobs.duration_s.tolist() == [95] and jobs.memory_mib.tolist() == [8192]
    nodes = load_machines(write(tmp_path, "SN,cpu_milli,memory_mib,GPU,model\nn1,64000,262144,0,\n", "nodes.csv"))
    assert nodes.name == ("n1",) and nodes.vcpu_milli.tolist() == [64000]
    twice = pods.replace("time\n", "time,name\n") + "a,4000,8192,0,0,,Succeeded,0,100,5,b\n"
    refused(load_jobs, write(tmp_path, twice), "the header names name twice")
