"""What is refused when a run goes on is refused when it begins: nothing trains to an end that cannot be used."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dgpg.domain import registry

from ..commands import TINY, checkpoint, command, differing, metrics, ok, refused
from ..distributions import Plugins

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")

OTHER = """
from dgpg_cloud.domain import CloudDomain

class Shop(CloudDomain):
    default_model = {name!r}

domain = Shop()

def own(config):
    return domain.analytical_model(config)
"""
ENVIRONMENT = """
class Partly:
    def __init__(self, env):
        self._env = env

    def __getattr__(self, name):
        if name == "{member}":
            raise AttributeError(name)
        return getattr(self._env, name)

Shop.make_env = lambda self, *args: Partly(CloudDomain.make_env(self, *args))
"""
SETTINGS = """
from dgpg_cloud.domain import CloudDomain
from dgpg_cloud.config import Config
from typing import Annotated, Any
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

class Mine(Config):
    extra: {field}

class Shop(CloudDomain):
    Config = Mine
    default_model = None

domain = Shop()
"""


@pytest.mark.parametrize("name", ["shop.ownn", "own", "cloud.headroom", 3, ""])
def test_a_default_model_that_is_not_registered(plugin: Plugins, name: object) -> None:
    plugin(OTHER.format(name=name), shop="domain")
    plugin(OTHER.format(name=name), registry.MODELS, **{"shop.own": "own"})
    message = refused("train", "shop", *TINY, "--out", "r")
    for part in ("domain 'shop'", f"{name!r} (default_model)", registry.MODELS, "registered: shop.own"):
        assert part in message
    assert not Path("r").exists()
    ok("train", "shop", *TINY, "--model", "shop.own", "--out", "r")


def test_a_default_model_is_the_registered_one_from_the_start(plugin: Plugins) -> None:
    """Were the registered one another than the domain's member, a run would otherwise go on with it."""
    source = OTHER.format(name="shop.own").replace("domain.analytical_model(config)", "fluid(config)")
    plugin(source.replace("from", "from dgpg_cloud.models import fluid\nfrom", 1), shop="domain")
    plugin("from dgpg_cloud.models import fluid as own", registry.MODELS, **{"shop.own": "own"})
    ok("train", "shop", *TINY, "--out", "whole")
    ok("train", "shop", *TINY, "--stop-after", 1, "--out", "halves")
    ok("train", "--resume", "--out", "halves")
    assert not differing(checkpoint(Path("whole"), 3), checkpoint(Path("halves"), 3))
    assert metrics(Path("whole")) == metrics(Path("halves"))
    assert json.loads(Path("whole/config.json").read_text())["model"] == "shop.own"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("float = Field(1.0, exclude=True)", "2", "(extra)"),
        ("Annotated[float, AfterValidator(lambda x: x + 1)] = 1.0", "2", "(extra)"),
        ("Annotated[float, PlainSerializer(lambda x: f'{x} km')] = 1.0", "2", "extra = '2.0 km'"),
        ("Annotated[Any, BeforeValidator(lambda x: object())] = 1.0", "2", "object"),
        ("Annotated[float, BeforeValidator(lambda x: float('nan'))] = 1.0", "2", "extra"),
        ("Annotated[Any, AfterValidator(lambda x: (x, x))] = None", "2", "(extra)"),
    ],
)
def test_settings_that_do_not_survive_their_record(plugin: Plugins, field: str, value: str, words: str) -> None:
    plugin(SETTINGS.format(field=field), shop="domain")
    message = refused("train", "shop", *TINY, "--set", f"extra={value}", "--out", "r")
    assert words in message and not Path("r").exists()


def test_a_default_that_its_own_validator_would_change(plugin: Plugins) -> None:
    """Defaults are not validated, what is read is: the run would go on with another number."""
    plugin(SETTINGS.format(field="Annotated[float, AfterValidator(abs)] = -1.0"), shop="domain")
    assert "(extra)" in refused("train", "shop", *TINY, "--out", "r")
    ok("train", "shop", *TINY, "--set", "extra=-1", "--iterations", 1, "--out", "r")


@pytest.mark.parametrize(
    "field",
    [
        "tuple[int, ...] = (1, 2)",
        "int | str = '7 km'",
        "Annotated[float, AfterValidator(abs)] = 1.0",
        "__import__('pathlib').Path = __import__('pathlib').Path('a/b')",
        "__import__('datetime').timedelta = __import__('datetime').timedelta(seconds=1.5)",
    ],
)
def test_settings_that_do(plugin: Plugins, field: str) -> None:
    plugin(SETTINGS.format(field=field), shop="domain")
    ok("train", "shop", *TINY, "--stop-after", 1, "--out", "r")
    ok("train", "--resume", "--out", "r")


@pytest.mark.parametrize("member", ["cost_unit", "horizon", "reset", "observation_space"])
def test_an_environment_without_what_evaluation_needs(plugin: Plugins, member: str) -> None:
    source = OTHER.format(name=None) + ENVIRONMENT.format(member=member)
    plugin(source, shop="domain")
    message = refused("train", "shop", *TINY, "--out", "r")
    assert f"Domain.make_env(...): expected an environment, got Partly without {member};" in message
    assert not Path("r").exists()


def test_a_crash_in_c_names_the_line(plugin: Plugins) -> None:
    module = plugin("import ctypes\n\nctypes.string_at(0)", shop="domain")
    path = next(folder for folder in sys.path if module in folder)
    done = subprocess.run(
        command("train", "shop", before=f"sys.path.insert(0, {path!r})"), capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGSEGV and f'{module}.py", line 3' in done.stderr
