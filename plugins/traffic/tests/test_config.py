"""Settings: which network a name means from anywhere, and one clear message for each that cannot be."""

from pathlib import Path
from typing import Any

import pytest

from dgpg.domain import validate
from dgpg.errors import ConfigError, DataError
from dgpg_traffic.config import Config
from dgpg_traffic.data import NAMES, load_network

from .made import settings

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "negative noise": ({"demand": {"noise": -0.1}}, r"^demand\.noise = -0\.1: .* greater than or equal to 0$"),
    "noise that empties roads": ({"demand": {"noise": 0.5}}, r"^demand\.noise = 0\.5: .* less than 0\.5$"),
    "noise that is no number": ({"demand": {"noise": float("nan")}}, r"^demand\.noise = nan: "),
    "endless demand": ({"demand": {"scale": float("inf")}}, r"^demand\.scale = inf: "),
    "no demand": ({"demand": {"scale": 0}}, r"^demand\.scale = 0: .* greater than 0$"),
    "noise that never fades": ({"demand": {"memory": 1}}, r"^demand\.memory = 1: .* less than 1$"),
    "unknown profile": ({"demand": {"profile": "weekly"}}, r"^demand\.profile = 'weekly': .*'flat' or 'daily'$"),
    "unlikely incidents": ({"incidents": {"probability": 1.1}}, r"^incidents\.probability = 1\.1: .* equal to 1$"),
    "closed links": ({"incidents": {"capacity": 0}}, r"^incidents\.capacity = 0: .* greater than 0$"),
    "incidents of no time": ({"incidents": {"periods": 0}}, r"^incidents\.periods = 0: .* equal to 1$"),
    "no routes": ({"routes": 0}, r"^routes = 0: .* greater than or equal to 1$"),
    "too many routes": ({"routes": 65}, r"^routes = 65: .* less than or equal to 64$"),
    "no agents": ({"agents_per_pair": 0}, r"^agents_per_pair = 0: .* equal to 1$"),
    "no periods": ({"horizon": 0}, r"^horizon = 0: .* equal to 1$"),
    "unknown start": ({"start": "longest"}, r"^start = 'longest': .*'shortest', 'user-equilibrium' or"),
    "unknown capacity": ({"models": {"capacity": "told"}}, r"^models\.capacity = 'told': .*'measured' or 'nominal'$"),
    "unknown setting": ({"queue": {}}, r"^unknown setting 'queue': did you mean 'queues'\?"),
    "training of a training": (
        {"trained": {"trained": {}}},
        r"^trained\.trained: expected settings of a training, which have none of their own$",
    ),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_configuration_that_cannot_be_is_refused(fault: str) -> None:
    values, message = REFUSED[fault]
    with pytest.raises(ConfigError, match=message):
        settings(**values)


def test_settings_survive_storage_with_those_of_the_training() -> None:
    config = settings(demand={"scale": 1.5}, trained=settings().model_dump())
    assert validate(Config, config.model_dump(mode="json"), "") == config and len({config, settings()}) == 2


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: in it the files of a network called town."""
    source = Path(load_network.__code__.co_filename).parent / "networks"
    for file in source.glob("braess_*.tntp"):
        (tmp_path / file.name.replace("braess", "town")).write_text(file.read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["town", "town_net.tntp", "./town", "../{folder}/town", "../{folder}", "."])
def test_a_network_is_found_from_any_folder(here: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    config = settings(network=name.format(folder=here.name))
    monkeypatch.chdir("/")
    assert load_network(config.network).num_links == 5


@pytest.mark.parametrize("name", NAMES)
def test_a_network_that_comes_along_is_meant_whatever_lies_here(here: Path, name: str) -> None:
    (here / name).mkdir()
    assert settings(network=name).network == name


def test_a_home_is_spelt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/elsewhere/someone")
    assert settings(network="~/town").network == "/elsewhere/someone/town"


def test_the_home_of_nobody_is_a_network_that_is_not_there() -> None:
    with pytest.raises(DataError, match=r"unknown network '.*~no-such-user/town'"):
        load_network(settings(network="~no-such-user/town").network)
