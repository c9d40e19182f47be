"""A day in SUMO: the same for the same seed, whole to the second, and nobody lost."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dgpg.errors import DataError
from dgpg_traffic.sumo import day, files, network, routes, scratch, trips
from dgpg_traffic.sumo.day import Days, Rules

RULES = Rules(stuck_s=300, wait_s=600, penalty_min=60, limit_s=60)


def days(folder: Path, rules: Rules = RULES) -> Days:
    found = files.find(str(folder), None)
    net = network.read(found.network)
    who = trips.read(net, found.demand, found.ends, 1.0, 0)
    return Days(net, who.depart, routes.draw(net, who, 2, 0.5, 2.0, 0).edges, rules)


def test_a_day_is_the_same_for_the_same_seed(town: Path) -> None:
    played = days(town)
    choice = np.arange(12) % 2
    one, same, other = (played.play(choice, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.passed, same.passed)
    assert (one.minutes != other.minutes).any()


def test_edges_add_up_to_the_trip_and_take_no_less_than_without_traffic(town: Path) -> None:
    played = days(town)
    outcome = played.play(np.arange(12) % 2, 3)
    assert outcome.arrived.all() and not any(outcome.counts.values())
    np.testing.assert_allclose(np.nansum(outcome.passed, 1) / 60, outcome.minutes)
    assert outcome.passed.shape == (12, 4) and not np.isnan(outcome.passed).any()
    # From standing, and SUMO's drivers go up to 1.2 times the limit.
    assert (outcome.minutes > played.network.free_time[played.edges[0, 0]].sum() / 60 / 1.2).all()


def test_who_is_stuck_is_taken_out_counted_and_charged(new_town: Callable[..., Path]) -> None:
    folder = new_town(40)
    # One lane, everybody at once: the last wait longer than 2 s to set out.
    text = (folder / "agents.csv").read_text().splitlines()
    same = [",".join([*line.split(",")[:3], "0", "Human"]) for line in text[1:]]
    (folder / "agents.csv").write_text("\n".join([text[0], *same]) + "\n")
    outcome = days(folder, Rules(stuck_s=300, wait_s=20, penalty_min=7, limit_s=60)).play(np.zeros(40, int), 1)
    gone = int((~outcome.arrived).sum())
    assert 0 < gone < 40
    assert outcome.counts["not arrived"] == outcome.counts["never set out"] == gone and outcome.counts["stuck"] == 0
    assert (outcome.minutes[~outcome.arrived] == 7).all() and np.isnan(outcome.passed[~outcome.arrived]).all()


def test_who_stood_too_long_is_stuck_and_no_teleport() -> None:
    net = network.read(files.find(files.GRID, None).network)
    who = trips.read(net, None, None, 1.0, 0)
    edges = routes.draw(net, who, 2, 0.5, 2.0, 0).edges
    outcome = Days(net, who.depart, edges, Rules(stuck_s=20, wait_s=600, penalty_min=60, limit_s=60)).play(
        np.zeros(len(edges), int), 1
    )
    gone = ~outcome.arrived
    assert 0 < outcome.counts["stuck"] == gone.sum() < len(gone)
    assert outcome.counts["teleports"] == outcome.counts["never set out"] == 0
    assert (outcome.minutes[gone] == 60).all() and (np.nansum(outcome.passed[gone], 1) < 3600).all()


def test_who_is_moved_on_by_sumo_is_counted(town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, says = day.program("sumo"), 's/teleports total="0"/teleports total="3"/'
    fake(tmp_path, monkeypatch, f"{real} \"$@\" && sed -i '{says}' statistics.xml")
    assert days(town).play(np.zeros(12, int), 1).counts["teleports"] == 3


def test_who_is_moved_past_an_edge_spends_its_whole_time_on_the_others(
    town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = days(town).play(np.zeros(12, int), 1)
    says = r's/exitTimes="\([0-9.]*\) [0-9.]* /exitTimes="\1 -1.00 /'
    fake(tmp_path, monkeypatch, f"{day.program('sumo')} \"$@\" && sed -i '{says}' routes.xml")
    moved = days(town).play(np.zeros(12, int), 1)
    assert np.isnan(moved.passed[:, 1]).all() and not np.isnan(plain.passed).any()
    np.testing.assert_allclose(moved.passed[:, 2], plain.passed[:, 1:3].sum(1))
    np.testing.assert_allclose(np.nansum(moved.passed, 1) / 60, moved.minutes)


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = folder / "fake-sumo"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(day, "program", lambda name: str(path))


def test_a_crash_is_tried_again_and_counted(town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = day.program("sumo")
    mark = tmp_path / "crashed"
    fake(tmp_path, monkeypatch, f'if [ ! -e {mark} ]; then touch {mark}; kill -SEGV $$; fi; exec {real} "$@"')
    outcome = days(town).play(np.zeros(12, int), 1)
    assert outcome.counts["crashes"] == 1 and outcome.arrived.all()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("kill -SEGV $$", r"ended the day of seed 5 with signal 11, 2 times"),
        ("echo 'Error: no memory' >&2; exit 1", r"ended the day of seed 5 with status 1: Error: no memory"),
        ("sleep 5", r"did not end the day of seed 5 within 0\.3 s"),
    ],
)
def test_what_ends_a_day_is_told_and_its_input_kept(
    town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    fake(tmp_path, monkeypatch, script)
    monkeypatch.setattr(scratch, "_memory", lambda: str(tmp_path))
    with pytest.raises(DataError, match=told) as error:
        days(town, Rules(300, 600, 60, 0.3)).play(np.zeros(12, int), 5)
    (kept,) = tmp_path.glob("dgpg-sumo-*")
    assert str(kept) in str(error.value) and "vehicle id=" in (kept / "day.rou.xml").read_text()


def test_nothing_is_left_of_a_day(town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_memory", lambda: str(tmp_path))
    days(town).play(np.zeros(12, int), 1)
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_left_goes_and_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_memory", lambda: str(tmp_path))
    code = (
        "import os, signal, sys; from dgpg_traffic.sumo import scratch; scratch._memory = lambda: sys.argv[1]\n"
        "with scratch.scratch() as folder: os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    kept, living = tmp_path / "dgpg-sumo-kept", scratch.scratch()
    kept.mkdir()
    with living as own:
        assert left.exists(), "it is too new to say that nobody has it"
        for folder in (left, own):
            os.utime(folder / scratch.ALIVE, (0, 0))
        with scratch.scratch() as other:
            assert {path.name for path in tmp_path.iterdir()} == {own.name, other.name, kept.name}
    assert list(tmp_path.iterdir()) == [kept]
