"""Logs in the Standard Workload Format."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from dgpg.errors import ConfigError
from dgpg_cloud.data import load_jobs

from ..files import refused, write

SWF_JOB = "1 0 5 60 4 -1 -1 4 100 -1 1 1 1 -1 -1 -1 -1 -1\n"


def fails(path: Path, *parts: str) -> None:
    refused(load_jobs, path, path.name, *parts)


def test_swf_by_hand(tmp_path: Path) -> None:
    text = (
        "; Version: 2.2\n"
        "\n"
        "1 500 0  60  4 -1  2048  4 100    -1 1 1 1 -1 -1 -1 -1 -1\n"
        "2 100 9  30 -1 -1    -1  2 100  1024 0 1 1 -1 -1 -1 -1 -1\n"
        "3 200 9   0  1 -1    -1  1 100    -1 5 1 1 -1 -1 -1 -1 -1\n"
        "4 300 9  -1  1 -1    -1  1 100    -1 5 1 1 -1 -1 -1 -1 -1\n"
        "5 400 9  10 -1 -1    -1 -1 100    -1 0 1 1 -1 -1 -1 -1 -1\n"
        "6 450 9  15  8 1.5   -1  8 100    -1 1 1 1 -1 -1 -1 -1 -1\n"
        "6 450 9   7  8 -1    -1  8 100    -1 3 1 1 -1 -1 -1 -1 -1\n"
    )
    jobs = load_jobs(write(tmp_path, text, "log.swf"), memory_mib_per_vcpu=100)
    assert jobs.submit_s.tolist() == [0, 350, 400]
    assert jobs.duration_s.tolist() == [30, 15, 60]
    assert jobs.vcpu_milli.tolist() == [2000, 8000, 4000]
    assert jobs.memory_mib.tolist() == [2, 800, 8]  # 2 x 1024 KiB, 8 x 100 MiB, 4 x 2048 KiB
    assert jobs.gpu_milli.tolist() == [0, 0, 0]
    assert jobs.gpu_models == ((), (), ())
    assert jobs.line.tolist() == [4, 8, 3]
    assert jobs.notes == (
        "1 line with part of a job (status 2, 3 or 4): skipped",
        "1 job with unknown run time: skipped",
        "1 job with run time 0 (cancelled before start): skipped",
        "1 job with unknown processors: skipped",
        "1 job without memory: 100 MiB per vCPU assumed",
    )


def test_swf_is_known_by_its_content_too(tmp_path: Path) -> None:
    assert load_jobs(write(tmp_path, SWF_JOB, "log.txt")).memory_mib.tolist() == [4 * 4096]
    assert len(load_jobs(write(tmp_path, "; a log\n" + SWF_JOB, "log2.txt"))) == 1
    packed = tmp_path / "log.swf.gz"
    packed.write_bytes(gzip.compress(SWF_JOB.encode()))
    assert len(load_jobs(packed)) == 1


@pytest.mark.parametrize(
    ("job", "parts"),
    [
        ("2 0 5 -7 4 -1 -1 4 100 -1 1 1 1 -1 -1 -1 -1 -1", (":3: run", "'-7'")),
        ("2 0 5 -0.5 4 -1 -1 4 100 -1 1 1 1 -1 -1 -1 -1 -1", (":3: run", "'-0.5'", "-1 (unknown)")),
        ("2 0 5 nan 4 -1 -1 4 100 -1 1 1 1 -1 -1 -1 -1 -1", (":3: run", "'nan'")),
        ("2 inf 5 60 4 -1 -1 4 100 -1 1 1 1 -1 -1 -1 -1 -1", (":3: submit", "'inf'")),
        ("2 -1 5 60 4 -1 -1 4 100 -1 1 1 1 -1 -1 -1 -1 -1", (":3: submit", "'-1'")),
        ("2 0 5 60 0 -1 -1 4 100 -1 1 1 1 -1 -1 -1 -1 -1", (":3: processors", "'0'", "1 or more")),
        ("2 0 5 60 -4 -1 -1 4 100 -1 1 1 1 -1 -1 -1 -1 -1", (":3: processors", "'-4'")),
        ("2 0 5 60 1.5 -1 -1 4 100 -1 1 1 1 -1 -1 -1 -1 -1", (":3: processors", "'1.5'", "whole")),
        ("2 0 5 60 4 -1 -9 4 100 -1 1 1 1 -1 -1 -1 -1 -1", (":3: used_memory", "'-9'")),
        ("2 0 5 60 4 -1 -1 4 100 -1 1 1 1 -1 -1 -1 -1 -1 7", (":3: expected 18 fields, got 19", "separator")),
        ("1 0 5 60 4 -1 -1 4 100 -1 1 1 1 -1 -1 -1 -1 -1", (":3: job: found '1'", "no row before")),
        ("2 0 5 60 4 -1 -1", (":3: expected 18 fields, got 7", "truncated")),
    ],
)
def test_a_wrong_swf_job_is_named(tmp_path: Path, job: str, parts: tuple[str, ...]) -> None:
    fails(write(tmp_path, f"; log\n{SWF_JOB}{job}", "log.swf"), *parts)


def test_bad_lines_are_skipped_and_told(tmp_path: Path) -> None:
    bad = "2 -1 5 60 4 -1 -1 4 100 -1 1 1 1 -1 -1 -1 -1 -1\n3 0 5 60 4 -1 -1\n"
    jobs = load_jobs(write(tmp_path, f"; log\n{SWF_JOB}{bad}", "log.swf"), bad_rows="skip")
    assert jobs.line.tolist() == [2]
    assert jobs.notes[1:] == (
        "1 row skipped: expected 18 fields, got 7 (line 4)",
        "1 row skipped: submit: found '-1', expected a number from 0 to 1e+12 (line 3)",
    )


def test_a_truncated_gzip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.swf.gz"
    path.write_bytes(gzip.compress(SWF_JOB.encode() * 100)[:-12])
    fails(path, "truncated or damaged gzip")


def test_an_swf_with_comments_only_is_refused(tmp_path: Path) -> None:
    fails(write(tmp_path, "; Version: 2.2\n", "log.swf"), "no rows")


@pytest.mark.parametrize("memory", [0.0, -1.0, float("nan"), float("inf")])
def test_memory_per_vcpu_must_be_positive(tmp_path: Path, memory: float) -> None:
    with pytest.raises(ConfigError, match="memory_mib_per_vcpu"):
        load_jobs(write(tmp_path, SWF_JOB, "log.swf"), memory)


def test_real_kth_log(data_file: Callable[[str], Path]) -> None:
    jobs = load_jobs(data_file("kth_sp2_1996/KTH-SP2-1996-2.1-cln.swf.gz"))
    assert len(jobs) == 28476 - 9
    assert jobs.notes[:2] == (
        "8 jobs with run time 0 (cancelled before start): skipped",
        "1 job with unknown processors: skipped",
    )
    assert jobs.vcpu_milli.min() == 1000 and jobs.vcpu_milli.max() == 100_000
    # processor seconds over the time from the first job to the last one submitted
    assert (jobs.vcpu_milli / 1000 * jobs.duration_s).sum() / (100 * jobs.submit_s[-1]) == pytest.approx(0.70, abs=0.01)


def test_run_times_in_another_unit_are_told(tmp_path: Path) -> None:
    """3,000,000 of what should be seconds, where all jobs come within the hour."""
    job = "{} {} 5 3000000 4 -1 -1 4 9 -1 1 1 1 1 1 1 -1 -1"
    path = tmp_path / "log.swf"
    path.write_text("\n".join(job.format(i, 100 * i) for i in range(1, 31)) + "\n")
    assert any("if these are not in one unit" in note for note in load_jobs(path).notes)
