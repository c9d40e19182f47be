"""How people learn, by hand; days are played once and kept."""

from pathlib import Path

import numpy as np
import pytest

from dgpg_traffic.sumo.config import Config
from dgpg_traffic.sumo.day import Days, Outcome
from dgpg_traffic.sumo.humans import KEPT, Humans, Learning, Lesson, learn
from dgpg_traffic.sumo.instance import build


def outcome(minutes: list[float]) -> Outcome:
    count = len(minutes)
    return Outcome(np.array(minutes), np.ones(count, bool), np.ones((count, 3)), {})


def test_experience_is_averaged_first_plainly_then_by_memory() -> None:
    learning = Learning(days=9, memory=0.4, share=1.0, seed=0, sumo_seed=None)
    lesson = Lesson.start(np.array([[1.0, 2.0, np.inf]]))
    assert lesson.choice.tolist() == [0]
    lesson.take(outcome([3.0]), lesson.choice, learning, 0)  # the first time counts whole: 3 > 2
    assert lesson.believed.tolist() == [[3.0, 2.0, np.inf]] and lesson.choice.tolist() == [1]
    lesson.take(outcome([4.0]), lesson.choice, learning, 1)
    assert lesson.choice.tolist() == [0]
    lesson.take(outcome([6.0]), lesson.choice, learning, 2)  # the second half: (3 + 6) / 2
    assert lesson.believed[0, 0] == 4.5 and lesson.choice.tolist() == [1]
    lesson.take(outcome([5.0]), np.array([0]), learning, 3)  # the third a third, but no less than 0.4
    assert lesson.believed[0, 0] == pytest.approx(0.6 * 4.5 + 0.4 * 5.0)
    assert lesson.moved.tolist() == [1, 1, 1, 1] and lesson.mean.tolist() == [3, 4, 6, 5]


def test_who_does_not_reconsider_stays() -> None:
    lesson = Lesson.start(np.tile([1.0, 2.0], (1000, 1)))
    learning = Learning(days=1, memory=0.2, share=0.3, seed=7, sumo_seed=None)
    lesson.take(outcome([5.0] * 1000), lesson.choice, learning, 0)
    assert 0.25 < lesson.choice.mean() < 0.35 and lesson.moved[0] == lesson.choice.mean()


def test_days_are_played_once_and_go_on(settings: dict[str, object], monkeypatch: pytest.MonkeyPatch,
                                        tmp_path: Path) -> None:  # fmt: skip
    instance = build(Config.model_validate(settings))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    played: list[int] = []
    real = Days.play

    def counted(days: Days, choice: np.ndarray, seed: int) -> Outcome:
        played.append(seed)
        return real(days, choice, seed)

    monkeypatch.setattr(Days, "play", counted)

    def run(days: int, seed: int = 0) -> Humans:
        learning = Learning(days, 0.2, 0.5, seed, None)
        return learn(instance.days, instance.free_minutes, learning, lambda line: None)

    whole = run(11)
    assert len(played) == len(set(played)) == 11
    again = run(11)
    longer = run(12)
    assert len(played) == 13  # from day 10, which was kept, on
    np.testing.assert_array_equal(whole.believed, again.believed)
    np.testing.assert_array_equal(whole.mean, longer.mean[:11])
    assert len(whole.choices) == KEPT and whole.passed.shape[:2] == (KEPT, 12)
    run(1, seed=1)
    assert len(played) == 14
