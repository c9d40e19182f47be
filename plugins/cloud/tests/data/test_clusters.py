"""What the tools of a cluster print: Slurm, and tables in Parquet."""

import datetime
import sys
from pathlib import Path

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
