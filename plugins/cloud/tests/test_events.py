"""Steps against continuous time: an event simulation that reads traces itself makes jobs wait as long."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import cloud_events  # a script, of no package

    return cloud_events


def test_the_judge_by_hand(judge: ModuleType) -> None:
    """Two machines, the second larger and at half the speed; a large job blocks a small one behind it."""
    told = [(0.0, 10.0, 3.0), (1.0, 20.0, 3.0), (2.0, 5.0, 4.0), (3.0, 5.0, 1.0), (4.0, 9.0, 8.0)]
    jobs = [judge.Job(submit, duration, (cpu, 0.0, 0.0)) for submit, duration, cpu in told]
    machines = [judge.Machine((4.0, 8.0, 0.0), 1.0, 9), judge.Machine((8.0, 8.0, 0.0), 0.5, 9)]
    judge.simulate(jobs, machines, 1000.0)
    # The first to the large machine, 3 of 8, until 20. The second: 3 of 4 or 6 of 8, equal, so to the small one, until
    # 21. The third: 7 of 4 or 7 of 8, at once, until 12. The fourth: 4 of 4 or 8 of 8, at once. The last fits on the
    # large one alone, once the first has ended.
    assert [job.wait for job in jobs] == [0, 0, 0, 0, 16]
    behind = [(0.0, 10.0, 3.0), (1.0, 1.0, 2.0), (2.0, 1.0, 1.0)]
    blocked = [judge.Job(submit, duration, (cpu, 0.0, 0.0)) for submit, duration, cpu in behind]
    judge.simulate(blocked, [judge.Machine((4.0, 8.0, 0.0), 1.0, 9)], 1000.0)
    assert [job.wait for job in blocked] == [0, 9, 8]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "step_s"), [("kth", 60.0), ("azure", 5.0)])
def test_jobs_wait_as_long_as_in_continuous_time(
    judge: ModuleType, data_file: Callable[[str], Path], name: str, step_s: float
) -> None:
    """Mean wait within 10 %, of jobs that wait longer than a step."""
    folder = data_file(judge.TRACES[name][0]).parent.parent
    by_events, in_steps, _ = judge.mean_waits(folder, name, 40, 0.8, step_s, 0)
    assert by_events > step_s
    assert in_steps == pytest.approx(by_events, rel=0.1)
