"""Plain tables of jobs and machines of one's own."""

from pathlib import Path

import numpy as np
import pytest

from dgpg.errors import DataError
from dgpg_cloud.config import Config
from dgpg_cloud.data import JobUnits, Units, load_jobs, load_machines
from dgpg_cloud.instance import build

from ..files import refused, write

HEAD = "id,submit,duration,cpu,memory_gib,gpu,gpu_model,count\n"
MACHINES = "name,cpu,memory_gib,gpus,model,price,speed,count\n"


def test_jobs_by_hand(tmp_path: Path) -> None:
    text = HEAD + "a,60,30,2,4,,,\nb,0,90.5,0.5,0.5,0.5,T4|A10,2\nc,70,0,1,1,,,\nd,80,,1,1,,,\n"
    jobs = load_jobs(write(tmp_path, text))
    assert jobs.submit_s.tolist() == [0, 0, 60]
    assert jobs.duration_s.tolist() == [90.5, 90.5, 30]
    assert jobs.vcpu_milli.tolist() == [500, 500, 2000]
    assert jobs.memory_mib.tolist() == [512, 512, 4096]
    assert jobs.gpu_milli.tolist() == [500, 500, 0]
    assert jobs.gpu_models == (("T4", "A10"), ("T4", "A10"), ())
    assert jobs.line.tolist() == [3, 3, 2]
    assert "jobs may straddle two of them" in jobs.notes[0]
    assert jobs.notes[1:] == ("1 job not started or not ended: skipped", "1 job of run time 0: skipped")


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("submit_ms,duration_min,cpu_milli,memory_mib\n1000,2,1500,2048\n61000,1,1500,2048\n", JobUnits()),
        ("Submit,Duration,vCPU,Memory\n1,2,1.5,2\n2,1,1.5,2\n", JobUnits(time="min", memory="gib")),
        ("submit,end,start,cpu,memory_kib\n0,125,5,1.5,2097152\n60,135,75,1.5,2097152\n", JobUnits()),
        ("submit,end,cpu,memory\n0,120,1500,2048\n60,120,1500,2048\n", JobUnits(cpu="milli", memory="mib")),
        (
            "submit,end,start,cpu,memory_gib\n2026-01-31T23:59:00Z,2026-02-01 00:02:00,2026-02-01 00:00:00,1.5,2\n"
            "2026-02-01T00:00:00,2026-02-01T01:02:00+01:00,2026-02-01T00:01:00Z,1.5,2\n",
            JobUnits(),
        ),
    ],
)
def test_units_are_those_of_the_header_or_the_setting(tmp_path: Path, text: str, units: JobUnits) -> None:
    jobs = load_jobs(write(tmp_path, text), units=units)
    assert jobs.submit_s.tolist() == [0, 60] and jobs.duration_s.tolist() == [120, 60]
    assert jobs.vcpu_milli.tolist() == [1500, 1500] and jobs.memory_mib.tolist() == [2048, 2048]


def test_what_is_assumed_is_told(tmp_path: Path) -> None:
    jobs = load_jobs(write(tmp_path, "submit,end,cpu,team\n0,60,2,red\n"), memory_mib_per_vcpu=1000)
    assert jobs.memory_mib.tolist() == [2000]
    assert jobs.notes == (
        "no column start: the run times are from submit to end, waiting included",
        "1 job without memory: 1000 MiB per vCPU assumed",
        "columns that are not used: team",
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("submit,cpu,memory_gib\n0,1,1\n", ("neither duration nor end",)),
        ("submit,duration,cpu,memory\n0,1,1,1\n", ("unit of the column memory", "memory_gib", "workload.units.memory")),
        ("submit,duration,cpu,cpu_milli,memory_gib\n0,1,1,1,1\n", ("cpu and cpu_milli mean the same",)),
        ("submit,duration,cpu,memory_gib\n0,1,0,1\n", (":2: cpu: found '0'",)),
        ("submit,duration,cpu,memory_gib\n0,-1,1,1\n", (":2: duration: found '-1'",)),
        ("submit,duration,cpu,memory_gib\n,1,1,1\n", (":2: submit: found ''",)),
        ("submit,end,cpu,memory_gib\n9,1,1,1\n", (":2: end: found '1'", "not before submit")),
        ("submit,end,cpu,memory_gib\n2026-01-01,2026-01-02,1,1\n7,2026-01-02,1,1\n2026-01-01,2026-01-02,1,1\n",
         (":3: submit: found '7'", "a date as in the other rows")),
        ("id,submit,duration,cpu,memory_gib\na,0,1,1,1\na,0,1,1,1\n", (":3: id: found 'a'",)),
        ("submit,duration,cpu,memory_gib,count\n0,1,1,1,0.5\n", (":2: count: found '0.5'",)),
        ("submit,duration,cpu,memory_gib,count\n0,1,1,1,1e9\n", (":2: count: found '1e9'",)),
        ("submit,duration,cpu_milli,memory_gib\n0,1,4,1\n", ("largest job asks for 4/1000 vCPU",)),
        ("submit,submit,duration,cpu,memory_gib\n0,0,1,1,1\n", ("names submit twice",)),
        (MACHINES + "a,4,16,0,,1,1,1\n", ("found machines (plain CSV)", "machines.file")),
    ],
)  # fmt: skip
def test_a_wrong_job_is_named(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    refused(load_jobs, write(tmp_path, text), "table.csv", *parts)


def test_machines_by_hand(tmp_path: Path) -> None:
    table = load_machines(write(tmp_path, MACHINES + "big,64,256,8,A100,12.5,1.5,2\nfree,8,32,0,,0,,\n"))
    assert table.name == ("big", "big", "free")
    assert table.vcpu_milli.tolist() == [64000, 64000, 8000] and table.memory_mib.tolist() == [262144, 262144, 32768]
    assert table.gpu_milli.tolist() == [8000, 8000, 0] and table.gpu_model == ("A100", "A100", "")
    assert table.price.tolist() == [12.5, 12.5, 0] and table.speed.tolist() == [1.5, 1.5, 1]
    assert table.notes == ()


def test_machines_by_setting_and_without_prices(tmp_path: Path) -> None:
    path = write(tmp_path, "cpu,memory\n8000,32\n")
    table = load_machines(path, units=Units(cpu="milli", memory="gib"))
    assert table.vcpu_milli.tolist() == [8000] and table.memory_mib.tolist() == [32768]
    np.testing.assert_allclose(table.price, 8 * 0.035 + 32 * 0.0033)
    assert "the file has no prices" in table.notes[0] and "no speeds" in table.notes[1]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("cpu,memory\n8,32\n", ("unit of the column memory", "machines.units.memory")),
        ("cpu,memory_mib\n8,32\n", (":2: memory_mib: found '32'", "probably GiB")),
        ("cpu_milli,memory_gib\n96,32\n", (":2: cpu_milli: found '96'", "probably vCPU")),
        ("cpu,memory_gib,gpus\n8,32,1\n", (":2: gpus: found '1'", "GPU model")),
        ("cpu,memory_gib,price\n8,32,cheap\n", (":2: price: found 'cheap'",)),
        (HEAD + "a,0,1,1,1,,,\n", ("found jobs (plain CSV)", "workload.trace")),
    ],
)
def test_a_wrong_machine_is_named(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    refused(load_machines, write(tmp_path, text), "table.csv", *parts)


def test_a_cluster_of_ones_own_is_built(tmp_path: Path) -> None:
    trace = write(tmp_path, "submit,duration,cpu,memory\n" + "".join(f"{9 * i},{60 + i},2,4\n" for i in range(50)))
    file = write(tmp_path, MACHINES + "a,16,64,0,,0.5,2,3\nb,8,32,0,,0,1,3\n", "machines.csv")
    values = {"num_agents": 6, "machines": {"file": file}, "workload": {"trace": trace, "units": {"memory": "gib"}}}
    instance = build(Config.model_validate(values))
    assert sorted(instance.price) == [0, 0, 0, 0.5, 0.5, 0.5]
    assert sorted(instance.speed_permille) == [1000] * 3 + [2000] * 3
    assert not any("price" in note or "speed" in note for note in instance.notes)


MANY = [(1_700_000_000 + 30 * i, 100 + i) for i in range(20)]


def listed(rows: list[tuple[float, float]], head: str = "submit,duration,cpu,memory_gib") -> str:
    return f"{head}\n" + "".join(f"{submit},{duration},2,4\n" for submit, duration in rows)


def test_times_of_other_units_are_refused(tmp_path: Path) -> None:
    """Each was played at another pace or step, without a word."""
    milli = listed([(1000 * submit, duration) for submit, duration in MANY])
    refused(load_jobs, write(tmp_path, milli), ":2: submit: found '1700000000000'", "milliseconds", "units.time")
    assert load_jobs(write(tmp_path, milli.replace("submit", "submit_ms"))).submit_s[1] == 30
    hours = listed([(submit, duration / 3600) for submit, duration in MANY])
    refused(load_jobs, write(tmp_path, hours), "the longest is 0.0331 s", "hours or minutes", "units.time")
    assert load_jobs(write(tmp_path, hours.replace("duration", "duration_h"))).duration_s[0] == pytest.approx(100)


def test_a_job_that_is_most_of_the_work_is_told(tmp_path: Path) -> None:
    rows = [*MANY[:4], (MANY[4][0], 1e9), *MANY[5:]]
    assert load_jobs(write(tmp_path, listed(rows))).notes == (
        "line 6 alone brings 100 % of the vCPU work: it runs 1,000,000,000 s",
    )
    assert load_jobs(write(tmp_path, listed(MANY))).notes == ()


@pytest.mark.parametrize(("divider", "shown"), [(";", "';'"), ("\t", "'\\t'")])
def test_columns_divided_by_something_else_are_named(tmp_path: Path, divider: str, shown: str) -> None:
    path = write(tmp_path, listed(MANY).replace(",", divider))
    refused(load_jobs, path, f"divide columns by commas, not by {shown}")


def test_a_date_of_another_form_is_told_which_one_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "submit,duration,cpu,memory_gib\n31/01/2026 08:00,60,1,2\n31/01/2026 09:00,60,1,2\n")
    refused(load_jobs, path, "found '31/01/2026 08:00'", "a date in all rows, such as 2026-01-31T12:00:00")


def test_speeds_that_are_not_relative_are_told(tmp_path: Path) -> None:
    table = "cpu,memory_gib,price,speed\n16,64,1,2.4\n16,64,1,{}\n"
    found = load_machines(write(tmp_path, table.format(3.1)))
    assert found.notes == ("no machine is about as fast as 1: run times are divided by 2.4 to 3.1",)
    assert load_machines(write(tmp_path, table.format(1))).notes == ()


def lasting(folder: Path, header: str, rows: list[str]) -> Path:
    path = folder / "jobs.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize(("unit", "factor"), [("us", 1e6), ("ms", 1e3), ("s", 1), ("min", 1 / 60), ("d", 1 / 86_400)])
def test_one_trace_in_any_unit_of_time_is_one(tmp_path: Path, unit: str, factor: float) -> None:
    rows = [f"{at * factor!r},{(600 + at) * factor!r},2,4" for at in range(0, 7200, 60)]
    named = load_jobs(lasting(tmp_path, f"submit_{unit},duration_{unit},cpu,memory_gib", rows))
    told = load_jobs(lasting(tmp_path, "submit,duration,cpu,memory_gib", rows), units=JobUnits(time=unit))  # type: ignore[arg-type]
    for jobs in (named, told):
        np.testing.assert_allclose(jobs.submit_s, np.arange(0, 7200, 60), atol=1e-6)
        np.testing.assert_allclose(jobs.duration_s, 600 + np.arange(0, 7200, 60), rtol=1e-9)


def test_run_times_in_another_unit_than_submissions_are_told(tmp_path: Path) -> None:
    header, steps = "submit,duration,cpu,memory_gib", range(0, 3600, 60)
    told = load_jobs(lasting(tmp_path, header, [f"{at},{1000 * (600 + at)},2,4" for at in steps])).notes
    assert any("run longer than 2,370,000 s, and all come within 3,540 s" in note for note in told)
    assert not load_jobs(lasting(tmp_path, header, [f"{at},{600 + at},2,4" for at in steps])).notes
    with pytest.raises(
        DataError, match=r"run times: half of them are above 75 years, expected at most 10: .* microsec"
    ):
        load_jobs(lasting(tmp_path, header, [f"{at},{10**6 * (600 + at)},2,4" for at in steps]))


def test_requests_that_may_be_shares_of_a_machine_are_told(tmp_path: Path) -> None:
    header, steps = "submit,duration,cpu,memory_gib", range(0, 3600, 60)
    told = load_jobs(lasting(tmp_path, header, [f"{at},600,0.25,0.125" for at in steps])).notes
    assert told == (
        "no job asks for more than 1 vCPU and 1 GiB: if these are shares of a machine, multiply by its size",
    )


def test_a_job_that_starts_before_it_comes_is_told(tmp_path: Path) -> None:
    jobs = load_jobs(lasting(tmp_path, "submit,start,end,cpu,memory_gib", ["10,5,100,1,2", "10,20,100,1,2"]))
    assert jobs.notes == ("1 job with a start before submit: are both of one clock?",)
    assert jobs.duration_s.tolist() == [95, 80]


def test_jobs_in_a_unit_that_is_not_known_are_no_machines(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown format: found the header 'submit_ns,duration_ns,cpu,memory_gib'"):
        load_jobs(lasting(tmp_path, "submit_ns,duration_ns,cpu,memory_gib", ["1,2,3,4"]))


def test_machines_in_thousandths_of_a_vcpu_are_refused_as_vcpu(tmp_path: Path) -> None:
    refused(
        load_machines, write(tmp_path, "cpu,memory_gib\n16000,64\n"),
        "cpu: found '16000', expected a machine of 8192 vCPU or less", "name the column cpu_milli",
    )  # fmt: skip
    assert load_machines(write(tmp_path, "cpu_milli,memory_gib\n16000,64\n")).vcpu_milli.tolist() == [16000]
