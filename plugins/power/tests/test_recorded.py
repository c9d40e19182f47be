"""Recorded demand: windows, days, commitment, and what cannot be asked for."""

from collections.abc import Callable
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pytest

from dgpg.errors import ConfigError, DataError
from dgpg_power.config import Config
from dgpg_power.data.rts import Rts, load_rts
from dgpg_power.instance import build
from dgpg_power.load import draw
from dgpg_power.recorded import Recorded, folder_of, recorded


def test_a_window_begins_at_a_start_and_repeats_the_last_hour() -> None:
    hours = np.arange(48)
    starts, ends = np.array([0, 24]), np.array([47, 47])
    series = Recorded(hours[:, None] * 1.0, *(np.zeros((48, 1)),) * 2, hours % 24, starts, ends, ())
    assert series.window(0.0, 25).tolist() == list(range(25))
    assert series.window(0.49, 3).tolist() == [0, 1, 2] and series.window(0.5, 3).tolist() == [24, 25, 26]
    assert series.window(0.99, 25).tolist() == [*range(24, 48), 47]


@pytest.fixture(scope="module")
def case(data_file: Callable[[str], Path]) -> str:
    return str(data_file("rts_gmlc/RTS_GMLC.m"))


@pytest.fixture(scope="module")
def rts(case: str) -> Rts:
    return load_rts(Path(case).parent)


def config(case: str, load: dict[str, Any] | None = None, **values: Any) -> Config:
    return Config.model_validate({"network": case, "load": {"months": (1, 7), "days": (1, 3)} | (load or {})} | values)


def test_episodes_begin_at_midnight_of_days_that_leave_room(case: str, rts: Rts) -> None:
    for horizon, starts in ((24, [0, 24, 48, 72, 96, 120]), (48, [0, 24, 72, 96]), (49, [0, 72]), (72, [0, 72])):
        series = recorded(config(case, horizon=horizon), rts)[1]
        assert series.starts.tolist() == starts and (series.hour[series.starts] == 0).all()


@pytest.mark.parametrize("horizon", [24, 30, 48, 72])
def test_an_episode_never_mixes_hours_that_do_not_follow_each_other(case: str, rts: Rts, horizon: int) -> None:
    series = recorded(config(case, horizon=horizon), rts)[1]
    day = np.arange(len(series.hour)) // 24  # days 1 to 3 of two months
    for at in range(len(series.starts)):
        rows = series.window((at + 0.5) / len(series.starts), horizon + 1)
        assert (np.diff(rows[:-1]) == 1).all() and rows[-1] - rows[-2] in (0, 1)
        assert len({int(d) // 3 for d in day[rows]}) == 1


def test_hours_are_those_of_the_days_asked_for(case: str, rts: Rts) -> None:
    first, rest = (recorded(config(case, {"months": (1,), "days": d}), rts)[1] for d in ((1, 3), (4, 6)))
    both = recorded(config(case, {"months": (1,), "days": (1, 6)}), rts)[1]
    np.testing.assert_array_equal(np.concatenate([first.load, rest.load]), both.load)
    assert len(first.load) == 72 and not np.array_equal(first.load, rest.load)
    source = rts.series.load[(rts.series.month == 1) & (rts.series.day <= 3)]
    np.testing.assert_array_equal(first.load, source)


def test_loads_are_scaled_and_limits_bound_each_other(case: str, rts: Rts) -> None:
    plain, half = (recorded(config(case, {"scale": scale}), rts)[1] for scale in (1.0, 0.5))
    np.testing.assert_allclose(half.load, 0.5 * plain.load)
    assert (plain.least <= plain.most).all() and (plain.least <= 0).all()


def test_an_episode_longer_than_any_run_of_days_is_refused(case: str, rts: Rts) -> None:
    with pytest.raises(ConfigError, match=r"horizon = 73: no run of consecutive days .* widen load\.days"):
        recorded(config(case, horizon=73), rts)


def test_minimum_outputs_of_all_units_are_refused(case: str) -> None:
    with pytest.raises(ConfigError, match=r"commitment = all-on: .* use relaxed"):
        build(config(case, commitment="all-on"))


def test_a_series_is_taken_where_there_is_one(case: str) -> None:
    assert folder_of(config(case)) == Path(case).parent
    assert folder_of(config(case, {"source": "noise"})) is None
    assert folder_of(Config(network="case9")) is None


def test_a_series_that_lost_a_file_is_refused(case: str, tmp_path: Path) -> None:
    """Found by a user: the run became one on drawn demand, unsaid. On a copy: the data are read-only."""
    for file in Path(case).parent.iterdir():
        if "regional_Load" not in file.name:
            copyfile(file, tmp_path / file.name)
    with pytest.raises(DataError, match=r"DAY_AHEAD_regional_Load_days01-21\.csv: no such file"):
        build(config(str(tmp_path / Path(case).name), horizon=25))


def test_noise_makes_other_days_of_a_series(case: str) -> None:
    plain, loud = (build(config(case, {"noise": noise})) for noise in (0.0, 0.1))
    usual = build(config(case))
    days = [draw(np.random.default_rng(5), instance) for instance in (plain, loud, usual)]
    np.testing.assert_array_equal(days[0]["forecast"], days[2]["forecast"])
    served = days[0]["forecast"] != 0
    ratio = days[1]["forecast"][served] / days[0]["forecast"][served]
    assert 0.05 < ratio.std() < 0.15
    np.testing.assert_array_equal(days[0]["most"], days[1]["most"])


def test_relaxed_is_said_and_an_episode_is_a_window(case: str, rts: Rts) -> None:
    asked = config(case)
    instance, series = build(asked), recorded(asked, rts)[1]
    assert any(note.startswith("RELAXED") for note in instance.notes)
    episode = draw(np.random.default_rng(5), instance)
    rows = series.window(np.random.default_rng(5).random(), 25)
    for name, column in (("forecast", series.load), ("least", series.least), ("most", series.most)):
        np.testing.assert_array_equal(episode[name], column[rows])
    np.testing.assert_allclose(episode["clock"][0], [0, 1], atol=1e-12)


def test_committed_units_that_are_off_offer_nothing(case: str, rts: Rts) -> None:
    asked = config(case, {"months": (7,), "days": (1, 1)}, commitment="committed")
    network, series = recorded(asked, rts)
    thermal = np.array(network.unit_kind) == "thermal"
    off = (series.most == 0) & thermal
    assert len(series.load) == 24 and 0 < off.sum() < 24 * thermal.sum()
    assert (series.least[off] == 0).all()
    on = ~off & thermal
    np.testing.assert_allclose(series.least[on], np.broadcast_to(network.unit_min, on.shape)[on])
    assert (series.least.sum(1) <= series.load.sum(1)).all() and (series.load.sum(1) <= series.most.sum(1)).all()
    assert series.notes == ("1 days committed, 0 infeasible",)
