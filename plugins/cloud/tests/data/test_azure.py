"""Slices of the Azure VM trace."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dgpg_cloud.data import load_jobs

from ..files import refused, write

fails = partial(refused, load_jobs)


@pytest.fixture
def azure(tmp_path: Path) -> Path:
    """A slice of seven VMs in three bins, with its partner and its maps."""
    write(tmp_path, "1,0.75 a\n2,3.5 g\n16,112 d\n", "flav_map.txt")
    write(tmp_path, "0 0\n300 1\n600 2\n900 2\n1200 2\n", "v1.interval_map.txt")
    write(tmp_path, "3000 U0,|,U1,U2,|\n3300 \n3600 C2,|,U1,|,C0,|,C1,|\n", "v1.dev.c4000.txt")
    return write(tmp_path, "3000 a,|,g,g,|\n3300 \n3600 d,|,a,|,a,|,g,|\n", "v1.dev.txt")


def test_azure_by_hand(azure: Path) -> None:
    jobs = load_jobs(azure)
    assert jobs.submit_s.tolist() == [0, 100, 200, 600, 675, 750, 825]
    # Middle of the bins 0 (half of 300 s), 1 and 2; lower edge for those still running.
    assert jobs.duration_s.tolist() == [150, 300, 900, 600, 300, 150, 300]
    assert jobs.vcpu_milli.tolist() == [1000, 2000, 2000, 16000, 1000, 1000, 2000]
    assert jobs.memory_mib.tolist() == [768, 3584, 3584, 114688, 768, 768, 3584]
    assert jobs.gpu_milli.tolist() == [0] * 7
    assert jobs.line.tolist() == [1, 1, 1, 3, 3, 3, 3]
    assert jobs.notes[1] == "3 VMs still running at the end: the lower edge of the bin is used"


@pytest.mark.parametrize("name", ["v1.dev.c4000.txt", "flav_map.txt", "v1.interval_map.txt"])
def test_a_missing_azure_file_is_named(azure: Path, name: str) -> None:
    (azure.parent / name).unlink()
    fails(azure, "v1.dev.c<seconds>.txt" if "dev" in name else f"{name}: no such file")


def test_two_azure_partners_are_refused(azure: Path) -> None:
    write(azure.parent, "x", "v1.dev.c5000.txt")
    fails(azure, "found v1.dev.c4000.txt, v1.dev.c5000.txt")


@pytest.mark.parametrize(
    ("name", "old", "new", "parts"),
    [
        ("v1.dev.txt", "3600 d,|,a", "3600 d,|,z", ("v1.dev.txt:3: VM size", "'z'", "flav_map.txt")),
        ("v1.dev.txt", "3300", "33x", ("v1.dev.txt:2: time", "'33x'")),
        (
            "v1.dev.txt",
            "|,g,|\n",
            "",
            ("v1.dev.c4000.txt:3: number of durations", "'4'", "3 as in", "bad_rows=skip"),
        ),
        ("v1.dev.txt", "3600 d,|,a,|,a,|,g,|\n", "", ("v1.dev.txt:2: end of file", "3 as in")),
        ("v1.dev.c4000.txt", "U2", "U9", ("v1.dev.c4000.txt:1: duration", "'U9'", "interval_map")),
        ("v1.dev.c4000.txt", "3300", "3301", ("v1.dev.c4000.txt:2: time", "'3301'", "3300 as in")),
        ("flav_map.txt", "2,3.5", "0,3.5", ("flav_map.txt:2: vcpu", "'0'", "above 0")),
        ("flav_map.txt", "2,3.5", "2,-1", ("flav_map.txt:2: memory_gb", "'-1'")),
        ("v1.interval_map.txt", "900 2", "nan 2", ("v1.interval_map.txt:4: seconds", "'nan'")),
        ("v1.interval_map.txt", "900 2", "900", ("v1.interval_map.txt:4: expected 2 fields, got 1")),
    ],
)
def test_a_wrong_azure_file_is_named(azure: Path, name: str, old: str, new: str, parts: tuple[str, ...]) -> None:
    path = azure.parent / name
    path.write_text(path.read_text().replace(old, new, 1))
    fails(azure, *parts)


@pytest.mark.parametrize(
    ("name", "old", "new", "fault"),
    [
        ("v1.dev.txt", "3600 d,|,a", "3600 d,|,z", "VM size or duration that is in no map (line 3)"),
        ("v1.dev.c4000.txt", "C2", "C9", "VM size or duration that is in no map (line 3)"),
        ("v1.dev.txt", "|,g,|\n", "\n", "another number of VMs than of durations (line 3)"),
        ("v1.dev.txt", "3600", "36x", "time that is no whole seconds, or not that of the partner (line 3)"),
        ("v1.dev.c4000.txt", "3600", "3601", "time that is no whole seconds, or not that of the partner (line 3)"),
    ],
)
def test_bad_lines_of_a_slice_are_skipped_and_told(azure: Path, name: str, old: str, new: str, fault: str) -> None:
    path = azure.parent / name
    path.write_text(path.read_text().replace(old, new, 1))
    jobs = load_jobs(azure, bad_rows="skip")
    assert jobs.submit_s.tolist() == [0, 100, 200] and jobs.line.tolist() == [1, 1, 1]
    assert jobs.duration_s.tolist() == [150, 300, 900]
    assert jobs.notes[-1] == f"1 line skipped: {fault}"


def test_a_slice_that_ends_early_is_refused_all_the_same(azure: Path) -> None:
    azure.write_text(azure.read_text().replace("3600 d,|,a,|,a,|,g,|\n", "", 1))
    refused(partial(load_jobs, bad_rows="skip"), azure, "end of file")


def test_the_azure_partner_is_not_a_trace(azure: Path) -> None:
    fails(azure.with_name("v1.dev.c4000.txt"), "v1.dev.c4000.txt", "found the durations")


def test_real_azure_slice(data_file: Callable[[str], Path]) -> None:
    jobs = load_jobs(data_file("azure2017_vm/v1.dev.txt"))
    assert len(jobs) == 259_159
    assert jobs.submit_s[0] == 0 and 299_700 < jobs.submit_s[-1] < 300_000
    assert np.all(np.diff(jobs.submit_s) >= 0)
    assert jobs.duration_s.min() == 150 and np.median(jobs.duration_s) == 1500
    assert jobs.duration_s.max() == (259_500 + 345_600) / 2
    assert "14317 VMs still running at the end: the lower edge of the bin is used" in jobs.notes
