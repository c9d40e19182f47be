"""Azure Traces for Packing 2020: a small file of the published schema."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgpg.domain import validate
from dgpg.errors import DataError
from dgpg_cloud.config import Config
from dgpg_cloud.data import BadRows, JobTable, load_jobs, load_machines
from dgpg_cloud.instance import build

from ..files import refused, write

# Machine type 7 is twice as large as type 3: VM types 10 and 11 fit on both, type 12 on the larger one alone.
TYPES = [
    (0, 10, 3, 0.5, 0.25, 0.0, 0.1, 0.1), (1, 10, 7, 0.25, 0.125, 0.0, 0.1, 0.1),
    (2, 11, 3, 0.125, 0.125, None, 0.5, 0.1), (3, 11, 7, 0.0625, 0.0625, None, 0.5, 0.1),
    (4, 12, 7, 1.0, 0.5, 0.0, 0.0, 0.0),
]  # fmt: skip
VMS = [
    (0, 1, 10, 0, -2.5, 1.0), (1, 1, 11, 1, -0.25, None), (2, 2, 12, 0, 0.0, 0.5), (3, 2, 11, 0, 0.25, 3.0),
    (4, 2, 10, 1, 0.125, 0.125), (5, 3, 10, 0, 0.5, None),
]  # fmt: skip
SCHEMA = """
CREATE TABLE vmType (id INTEGER, vmTypeId INTEGER, machineId INTEGER,
                     core REAL, memory REAL, hdd REAL, ssd REAL, nic REAL);
CREATE TABLE vm (vmId INTEGER, tenantId INTEGER, vmTypeId INTEGER, priority INTEGER, starttime REAL, endtime REAL);
"""


def packing(folder: Path, types: Sequence[Sequence[Any]] = TYPES, vms: Sequence[Sequence[Any]] = VMS) -> Path:
    path = folder / "packing_trace_zone_a_v1.sqlite"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(SCHEMA)
        database.executemany(f"INSERT INTO vmType VALUES ({','.join('?' * 8)})", types)
        database.executemany(f"INSERT INTO vm VALUES ({','.join('?' * 6)})", vms)
    return path


def test_machine_types_by_hand(tmp_path: Path) -> None:
    """Of geometric mean size 64 vCPU and 256 GiB, one twice as large as the other."""
    machines = load_machines(packing(tmp_path))
    assert machines.name == machines.gpu_model == ("machine type 3", "machine type 7")
    root = 2**0.5
    assert machines.vcpu_milli.tolist() == pytest.approx([64_000 / root, 64_000 * root], abs=1)
    assert machines.memory_mib.tolist() == pytest.approx([262_144 / root, 262_144 * root], abs=1)
    assert not machines.gpu_milli.any() and any("no prices" in note for note in machines.notes)


def test_vms_by_hand(tmp_path: Path) -> None:
    jobs = load_jobs(packing(tmp_path))
    day = 86_400
    assert jobs.line.tolist() == [1, 2, 3, 4, 6]  # the fifth ran no time
    assert jobs.submit_s.tolist() == pytest.approx([0, 2.25 * day, 2.5 * day, 2.75 * day, 3 * day])
    assert jobs.duration_s.tolist() == pytest.approx([3.5 * day, 3.25 * day, 0.5 * day, 2.75 * day, 2.5 * day])
    assert jobs.before == 2
    small, root = ("machine type 3", "machine type 7"), 2**0.5
    assert jobs.gpu_models == (small, small, ("machine type 7",), small, small)
    assert jobs.vcpu_milli.tolist() == pytest.approx(
        [64_000 * x * root for x in (0.25, 0.0625, 1, 0.0625, 0.25)], abs=1
    )
    assert jobs.memory_mib.tolist() == pytest.approx(
        [262_144 * x * root for x in (0.125, 0.0625, 0.5, 0.0625, 0.125)], abs=1
    )
    told = "\n".join(jobs.notes)
    assert "2 VMs from before the recording" in told
    assert "1 VM with run time 0: skipped" in told and "2 VMs without an end: cut short at the last one, day 3" in told
    assert "2 VMs of 5 take a larger share of disks or network" in told and "taken for 64 vCPU and 256 GiB" in told
    assert "differ from the file's" not in told


def test_shares_that_contradict_each_other_are_told_and_every_vm_fits_where_it_may(tmp_path: Path) -> None:
    """Type 10 says that machines are of one size to two, type 11 one to three."""
    types = [list(row) for row in TYPES]
    types[3][3] = 0.125 / 3
    jobs, machines = load_jobs(packing(tmp_path, types)), load_machines(packing(tmp_path, types))
    assert any("shares differ from the file's by" in note for note in jobs.notes)
    for cpu, memory, models in zip(jobs.vcpu_milli, jobs.memory_mib, jobs.gpu_models, strict=True):
        for m, name in enumerate(machines.name):
            assert name not in models or (cpu <= machines.vcpu_milli[m] and memory <= machines.memory_mib[m])


@given(
    machines=st.lists(st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)), min_size=1, max_size=6),
    vms=st.lists(st.tuples(st.floats(0.01, 0.2), st.floats(0.01, 0.2)), min_size=1, max_size=8),
    data=st.data(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sizes_that_agree_come_back(
    tmp_path: Path, machines: list[tuple[float, float]], vms: list[tuple[float, float]], data: st.DataObject
) -> None:
    """Whatever pairs a file has, each share is that of its VM type and machine type."""
    types: list[tuple[float | None, ...]] = []
    for v, (cpu, memory) in enumerate(vms):
        among = data.draw(st.sets(st.integers(0, len(machines) - 1), min_size=1))
        types += [(0, v, m, cpu / machines[m][0], memory / machines[m][1], 0, 0, 0) for m in sorted(among)]
    path = packing(tmp_path, types, [(v, 0, v, 0, v / 10, v / 10 + 1) for v in range(len(vms))])
    jobs, found = load_jobs(path), load_machines(path)
    size = {name: (found.vcpu_milli[i], found.memory_mib[i]) for i, name in enumerate(found.name)}
    for _, v, m, core, memory, *_ in types:
        cpus, mib = size[f"machine type {m}"]
        assert jobs.vcpu_milli[v] / cpus == pytest.approx(core, rel=0.02, abs=2 / cpus)
        assert jobs.memory_mib[v] / mib == pytest.approx(memory, rel=0.02, abs=2 / mib)


def test_what_ran_before_the_recording_starts_no_episode(tmp_path: Path) -> None:
    """Arrivals are of the recording; those of before run when the first episode starts, on machine types of theirs."""
    rng = np.random.default_rng(0)
    vms = [(i, 0, 12, 0, -5 + i / 10, 9) for i in range(3)]
    vms += [(i, 0, 10 + i % 2, 0, i / 500, i / 500 + rng.uniform(0.05, 0.4)) for i in range(1500)]
    path = packing(tmp_path, TYPES, vms)
    values = {"num_agents": 6, "horizon": 16, "workload": {"trace": path}, "machines": {"file": path}}
    instance = build(validate(Config, values, ""))
    assert instance.replay is not None and instance.pool.first == 3
    assert (instance.replay.arrival[:3] < 0).all() and instance.replay.arrival[3] == 0
    assert (instance.allowed.sum(0) > 0).all() and not instance.allowed.all()
    half = build(validate(Config, {**values, "workload": {"trace": path, "start": 0.5}}, ""))
    assert half.pool.first == 3 + 750


def test_machine_types_are_looked_for_in_the_trace_itself(tmp_path: Path) -> None:
    path = packing(tmp_path)
    with pytest.raises(DataError, match=r"machine types of their trace: name it in machines\.file too"):
        build(validate(Config, {"workload": {"trace": path}}, ""))


WRONG = {
    "vmTypeId": (6, 1, 99, 0, 0.1, 0.2), "starttime": (6, 1, 10, 0, None, 0.2),
    "endtime": (6, 1, 10, 0, 0.3, 0.2), "endtime: expected days": (6, 1, 10, 0, 0.3, "soon"),
}  # fmt: skip


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_row_is_refused_or_skipped(tmp_path: Path, field: str) -> None:
    path = packing(tmp_path, TYPES, [*VMS, WRONG[field]])
    refused(load_jobs, path, f"1 row of vm: {field}", "(line 7)", "workload.bad_rows=skip")
    jobs = load_jobs(path, bad_rows="skip")
    assert len(jobs) == 5 and any("skipped 1 row of vm" in note for note in jobs.notes)


def test_what_is_no_packing_trace_is_named(tmp_path: Path) -> None:
    refused(
        load_jobs,
        packing(tmp_path, [*TYPES, (5, 12, 3, 1.5, 0.5, 0, 0, 0)]),
        "1 row of vmType: core or memory",
        "line 6",
    )
    refused(load_machines, packing(tmp_path, []), "table vmType has no row")
    refused(load_jobs, packing(tmp_path, TYPES, []), "found no job that can be replayed among 0 rows")
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as database, database:
        database.execute("CREATE TABLE jobs (id INTEGER)")
    refused(load_jobs, other, "table vmType", "no such table", "Azure Traces for Packing 2020")
    cut = tmp_path / "cut.sqlite"
    cut.write_bytes(packing(tmp_path).read_bytes()[:3000])
    refused(load_jobs, cut, "cut.sqlite: table vmType")
    refused(load_jobs, write(tmp_path, "SQLite format 3", "short.sqlite"), "unknown format")


@given(
    table=st.sampled_from(["vm", "vmType"]),
    row=st.integers(0, 4),
    column=st.integers(0, 7),
    value=st.sampled_from([None, -1, 0, 1e300, -1e300, 2**62, float("inf"), "x", b"x", 0.5]),
    bad_rows=st.sampled_from(["refuse", "skip"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_a_cell_it_loads_or_is_named(
    tmp_path: Path, table: str, row: int, column: int, value: object, bad_rows: BadRows
) -> None:
    tables: dict[str, list[list[Any]]] = {"vm": [list(x) for x in VMS], "vmType": [list(x) for x in TYPES]}
    cells = tables[table][row]
    cells[column % len(cells)] = value
    path = packing(tmp_path, tables["vmType"], tables["vm"])
    for load in (lambda: load_jobs(path, bad_rows=bad_rows), lambda: load_machines(path)):
        try:
            found = load()
        except DataError as error:
            assert str(path) in str(error)
        else:
            assert (found.vcpu_milli > 0).all() and (found.memory_mib > 0).all()
            assert not isinstance(found, JobTable) or ((found.duration_s > 0) & np.isfinite(found.duration_s)).all()
