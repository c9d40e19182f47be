"""The loop of a sweep, with runs that are played: what is begun, gone on with, told, and left when a signal comes."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dgpg.errors import ConfigError, RunError
from dgpg.runs.interruption import Interruption
from dgpg.sweeps import Asked, Candidates, Grid, Search, Sweep, SweepFolder, outcomes, run
from dgpg.sweeps.processes import Command

BASE = {"domain": "cloud"}
Worth = Callable[[dict[str, float]], float | None]


@dataclass
class Played:
    """A run that takes some looks to end."""

    end: Callable[[], int]
    looks: int
    stopped: list[int] = field(default_factory=list)

    def poll(self) -> int | None:
        if self.stopped:
            return 128 + self.stopped[0]
        self.looks -= 1
        return None if self.looks > 0 else self.end()

    def stop(self, number: int) -> None:
        self.stopped.append(number)


@dataclass
class Stage:
    """Plays runs, whose cost is `worth` of their `train` settings; None is a failure."""

    worth: Worth
    jobs: int = 2
    looks: int = 2
    begun: list[str] = field(default_factory=list)
    most: int = 0
    at_once: set[str] = field(default_factory=set)

    def start(self, commands: Sequence[Command], said: Path) -> Played:
        place = Path(commands[-1][3])
        assert place.name not in self.at_once, "two processes in one folder"
        self.begun.append(place.name)
        self.at_once.add(place.name)
        self.most = max(self.most, len(self.at_once))
        values = json.loads(Path(f"{place}.json").read_text())

        def end() -> int:
            self.at_once.discard(place.name)
            cost = self.worth(values.get("train", {}) | {"seed": values["seed"]})
            if cost is None:
                said.write_text("Traceback\nerror: it broke\n")
                return 1
            place.mkdir(exist_ok=True)
            (place / "measured.json").write_text(json.dumps({"cost": cost, "greedy": cost, "wall_s": 1.0}))
            return 0

        return Played(end, self.looks)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgpg.sweeps.running.PAUSE", 0.0)


def play(
    place: Path, asked: Asked, stage: Stage, candidates: Candidates | None = None, stop: Interruption | None = None
) -> tuple[list[str], SweepFolder]:
    folder = SweepFolder(place)
    folder.claim(asked)
    told: list[str] = []
    try:
        taken = run(asked, candidates or Grid(asked), folder, stage, told.append, stop or Interruption())
    finally:
        folder.close()
    found = outcomes(folder, taken, asked.sweep.seeds)
    return [f"{one.candidate.name} {one.cost or 0.0:.4f} {len(one.failed)}" for one in found], folder


def swept(**fields: object) -> Asked:
    return Asked(BASE, Sweep.model_validate(fields))


GRID = {"train.clip": (0.1, 0.3, 0.2)}


def test_all_runs_are_played_as_many_at_a_time_as_there_is_room(tmp_path: Path) -> None:
    stage = Stage(lambda train: train["clip"] + train["seed"])
    found, _ = play(tmp_path / "s", swept(seeds=(0, 1), grid=GRID), stage)
    assert found == ["train.clip=0.1 0.6000 0", "train.clip=0.2 0.7000 0", "train.clip=0.3 0.8000 0"]
    assert len(stage.begun) == 6
    assert stage.most == 2


def test_what_was_done_is_left_and_a_grid_may_grow(tmp_path: Path) -> None:
    play(tmp_path / "s", swept(seeds=(0,), grid=GRID), Stage(lambda train: 1.0))
    stage = Stage(lambda train: 2.0)
    found, _ = play(tmp_path / "s", swept(seeds=(0, 1), grid={"train.clip": (0.1, 0.5)}), stage)
    assert sorted(stage.begun) == ["train.clip=0.1,seed=1", "train.clip=0.5,seed=0", "train.clip=0.5,seed=1"]
    assert found == ["train.clip=0.1 1.5000 0", "train.clip=0.5 2.0000 0"]


def test_another_sweep_is_refused_in_its_folder(tmp_path: Path) -> None:
    play(tmp_path / "s", swept(grid=GRID), Stage(lambda train: 1.0))
    other = Asked({**BASE, "iterations": 3}, Sweep(grid=GRID))
    with pytest.raises(RunError, match="iterations"):
        play(tmp_path / "s", other, Stage(lambda train: 1.0))
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to a friend").touch()
    with pytest.raises(RunError, match="not a sweep"):
        play(tmp_path / "letters", other, Stage(lambda train: 1.0))


def test_a_run_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    told: list[str] = []
    asked, folder = swept(seeds=(0, 1), grid=GRID), SweepFolder(tmp_path / "s")
    folder.claim(asked)
    stage = Stage(lambda train: None if train["clip"] == 0.3 and train["seed"] == 1 else 1.0)
    taken = run(asked, Grid(asked), folder, stage, told.append, Interruption())
    found = {one.candidate.varied["train.clip"]: one for one in outcomes(folder, taken, (0, 1))}
    assert found[0.3].failed == ("train.clip=0.3,seed=1",)
    assert len(found[0.3].costs) == 1
    assert len(found[0.2].costs) == 2
    (line,) = [line for line in told if "failed" in line]
    assert "error: it broke" in line
    assert "train.clip=0.3,seed=1.log" in line
    folder.close()


def test_a_signal_ends_it_and_the_same_command_goes_on(tmp_path: Path) -> None:
    stop, asked = Interruption(), swept(seeds=(0,), grid=GRID)

    def worth(train: dict[str, float]) -> float:
        stop.signal = signal.SIGTERM
        return 1.0

    stage = Stage(worth, jobs=1)
    found, _ = play(tmp_path / "s", asked, stage, stop=stop)
    assert found == ["train.clip=0.1 1.0000 0"]
    again = Stage(lambda train: 2.0)
    play(tmp_path / "s", asked, again)
    assert sorted(again.begun) == ["train.clip=0.2,seed=0", "train.clip=0.3,seed=0"]


def test_runs_under_way_are_told_to_stop(tmp_path: Path) -> None:
    stop, stopped = Interruption(), list[Played]()

    class Endless(Stage):
        def start(self, commands: Sequence[Command], said: Path) -> Played:
            one = Played(lambda: 0, 10**9)
            stopped.append(one)
            if len(stopped) == 2:
                stop.signal = signal.SIGINT
            return one

    play(tmp_path / "s", swept(grid=GRID), Endless(lambda train: 1.0), stop=stop)
    assert [one.stopped for one in stopped] == [[signal.SIGTERM], [signal.SIGTERM]]


SEARCH = {"train.clip": {"low": 0.1, "high": 0.9}, "train.epochs": {"low": 1, "high": 3}}


def searched(place: Path, asked: Asked, trials: int, stage: Stage, stop: Interruption | None = None) -> list[str]:
    pytest.importorskip("optuna")
    place.mkdir(exist_ok=True)
    folder = SweepFolder(place)
    folder.claim(asked)
    folder.close()
    return play(place, asked, stage, Search(asked, place, trials, 0), stop)[0]


def test_a_search_tries_as_many_in_each_combination_and_goes_on_with_more(tmp_path: Path) -> None:
    asked = swept(seeds=(0,), grid={"algorithm": ("dg-pg", "mappo")}, search=SEARCH)
    stage = Stage(lambda train: (train["clip"] - 0.5) ** 2)
    found = searched(tmp_path / "s", asked, 6, stage)
    assert len(found) == 12
    assert sum("algorithm=mappo" in one for one in found) == 6
    assert len(set(stage.begun)) == 12, "nothing is drawn twice"
    more = Stage(lambda train: (train["clip"] - 0.5) ** 2)
    assert len(searched(tmp_path / "s", asked, 8, more)) == 16
    assert len(more.begun) == 4
    assert not set(more.begun) & set(stage.begun), "one that goes on draws anew"


def test_a_search_finds_what_is_best(tmp_path: Path) -> None:
    stage = Stage(lambda train: abs(train["clip"] - 0.5), jobs=1, looks=1)
    found = searched(tmp_path / "s", swept(seeds=(0,), search={"train.clip": SEARCH["train.clip"]}), 30, stage)
    assert float(found[0].split()[1]) < 0.03


def test_trials_under_way_are_tried_again_as_drawn(tmp_path: Path) -> None:
    asked, stop = swept(seeds=(0,), search=SEARCH), Interruption()

    def worth(train: dict[str, float]) -> float:
        stop.signal = signal.SIGTERM
        return 1.0

    stage = Stage(worth, jobs=2)
    searched(tmp_path / "s", asked, 4, stage, stop)
    left = [name for name in stage.begun if not (tmp_path / "s" / name / "measured.json").exists()]
    again = Stage(lambda train: 1.0)
    found = searched(tmp_path / "s", asked, 4, again)
    assert set(left) <= set(again.begun)
    assert len(found) == 4


def test_one_that_is_drawn_while_it_is_tried_waits_for_it(tmp_path: Path) -> None:
    """Of two values a search draws one again and again; two processes in one folder would be an error."""
    asked = swept(seeds=(0,), search={"train.clip": (0.1, 0.2)})
    stage = Stage(lambda train: train["clip"], jobs=3, looks=5)
    found = searched(tmp_path / "s", asked, 6, stage)
    assert len(found) == 6
    assert sorted(stage.begun) == ["train.clip=0.1,seed=0", "train.clip=0.2,seed=0"]


def test_grid_and_search_say_what_they_need(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--search N"):
        Grid(swept(search=SEARCH))
    with pytest.raises(ConfigError, match=r"sweep\.search"):
        Search(swept(grid=GRID), tmp_path, 3, 0)
