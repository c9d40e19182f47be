"""Plugins come by entry point: good ones load, each broken one says what is wrong and hides no other."""

import json
import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from stevedore import ExtensionManager

from dgpg import cli
from dgpg.domain import API_VERSION, Settings, registry
from dgpg.errors import PluginError

from ..distributions import DOMAIN, Plugins

MODEL = """
class Mine:
    def potential(self, state, context):
        return state.square().sum((-2, -1))

def mine(config):
    '''Somebody else's idea of efficient.'''
    return Mine()
"""


def refused(name: str) -> str:
    """The error of a domain, which harms no other."""
    with pytest.raises(PluginError) as caught:
        registry.load_domain(name)
    assert registry.load_domain("cloud").Config().num_agents == 50
    return str(caught.value)


def test_a_good_plugin_loads(plugin: Plugins) -> None:
    module = plugin(DOMAIN, owner="dgpg-plugin-shop", shop="domain")
    domain = registry.load_domain("shop")
    assert domain is sys.modules[module].domain
    assert registry.summary(domain) == "A domain of a test."


def test_finding_names_imports_nothing(plugin: Plugins) -> None:
    module = plugin("raise SystemExit('imported')", shop="domain")
    assert "shop" in registry.find(registry.DOMAINS)
    assert module not in sys.modules


@pytest.mark.parametrize(
    ("source", "value", "parts"),
    [
        ("import a_module_nobody_has", "domain", ["ModuleNotFoundError", "a_module_nobody_has"]),
        ("def broken(:\n", "domain", ["SyntaxError"]),
        ("raise RuntimeError('no licence')", "domain", ["RuntimeError: no licence"]),
        ("assert False, 'not here'", "domain", ["AssertionError: not here"]),
        ("raise SystemExit('good bye')", "domain", ["SystemExit: good bye"]),
        ("raise SystemExit", "domain", ["': SystemExit. "]),
        ("import os; os._exit(0)", "domain", ["': SystemExit: os._exit(0). "]),
        ("from os import _exit; _exit(3)", "domain", ["os._exit(3)"]),
        ("raise KeyboardInterrupt", "domain", ["': KeyboardInterrupt. "]),
        ("raise GeneratorExit('closed')", "domain", ["GeneratorExit: closed"]),
        ("raise StopIteration('done')", "domain", ["StopIteration: done"]),
        ("raise __import__('asyncio').CancelledError", "domain", ["': CancelledError. "]),
        ("class Odd(BaseException): ...\nraise Odd('one')", "domain", ["Odd: one"]),
        ("class Mute(Exception):\n    def __str__(self): raise KeyError\nraise Mute", "domain", ["Mute: its text"]),
        ("def deep(): deep()\ndeep()", "domain", ["RecursionError"]),
        ("def __getattr__(name): raise SystemExit(name)", "domain", ["SystemExit"]),
        (DOMAIN, "dominion", ["AttributeError", "dominion"]),
        (None, "domain", ["ModuleNotFoundError"]),
    ],
)
def test_a_plugin_that_cannot_be_imported(plugin: Plugins, source: str | None, value: str, parts: list[str]) -> None:
    module = plugin(source, owner="dgpg-plugin-shop", shop=value)
    message = refused("shop")
    told = ("domain 'shop' of dgpg-plugin-shop 0.1", f"'{module}:{value}'", "pip uninstall dgpg-plugin-shop")
    for part in (*told, f"python -c 'import {module}; {module}.{value}'", *parts):
        assert part in message


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("api_version = 1", f"api_version = {API_VERSION + 1}", ["api_version 2", "has 1", "update dgpg"]),
        ("api_version = 1", "api_version = 0", ["api_version 0", "has 1", "update the plugin"]),
        ("api_version = 1", "api_version = '1.0'", ["api_version", "'1.0'", "expected a number"]),
        ("def make_env", "def make_environment", ["lacks make_env(config, num_envs, device, seed)"]),
        ("def analytical_model", "def model", ["lacks analytical_model(config)"]),
        ("def agent_mapping(self, config): ...", "agent_mapping = 3", ["lacks agent_mapping(config)"]),
        ("(self, config, num_envs, device, seed)", "(self, config)", ["make_env must accept", "(config)"]),
        (
            "agent_mapping(self, config)",
            "agent_mapping(self, config, more)",
            ["agent_mapping must accept", "more"],
        ),
        ("Config = Config", "", ["lacks Config", "None"]),
        ("class Config(Settings):", "class Config:", ["lacks Config", "expected a pydantic model class"]),
        ("Config = Config", "Config = Config()", ["lacks Config", "expected a pydantic model class"]),
        ("(Settings):", "(Settings, frozen=False):", ["must be frozen", "dgpg.domain.Settings"]),
        ("(Settings):", "(Settings, extra='ignore'):", ["forbid extra fields"]),
        ("domain = Good()", "domain = Good", ["make_env must accept", "missing"]),
        ("Config = Config", "Config = property(lambda self: 1 / 0)", ["ZeroDivisionError"]),
        ("Config = Config", "Config = property(lambda self: exit(3))", ["raised SystemExit: 3"]),
        ("domain = Good()", "domain = 3", ["lacks Config"]),
        ("domain = Good()", "domain = None", ["lacks Config"]),
        ("domain = Good()", "from unittest.mock import Mock; domain = Mock()", ["api_version", "expected a number"]),
    ],
)
def test_a_plugin_that_does_not_fit(plugin: Plugins, old: str, new: str, parts: list[str]) -> None:
    source = DOMAIN.replace(old, new)
    assert source != DOMAIN
    plugin(source, owner="dgpg-plugin-shop", shop="domain")
    message = refused("shop")
    for part in ("'shop'", "(dgpg-plugin-shop 0.1, ", *parts):
        assert part in message


def test_api_version_may_be_left_out(plugin: Plugins) -> None:
    plugin(DOMAIN.replace("api_version = 1", ""), shop="domain")
    assert registry.load_domain("shop").Config().model_dump() == {"size": 3}


def test_a_name_registered_twice_is_refused_and_both_owners_are_named(plugin: Plugins) -> None:
    for owner in ("dgpg-plugin-corner", "dgpg-plugin-high-street"):
        plugin(DOMAIN, owner=owner, shop="domain")
    message = refused("shop")
    for part in ("'shop'", "2 times", "dgpg-plugin-corner", "dgpg-plugin-high-street", "uninstall"):
        assert part in message


def test_a_name_of_a_domain_that_exists_is_no_way_in(plugin: Plugins) -> None:
    plugin(DOMAIN, owner="dgpg-plugin-intruder", cloud="domain")
    with pytest.raises(PluginError, match="'cloud' is registered 2 times"):
        registry.load_domain("cloud")


def test_an_unknown_domain_shows_the_nearest(plugin: Plugins) -> None:
    plugin(DOMAIN, shop="domain")
    with pytest.raises(PluginError, match=r"unknown domain 'shopp': did you mean 'shop'\? Valid: cloud"):
        registry.load_domain("shopp")


def test_a_stale_cache_of_stevedore_is_not_believed(plugin: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    module = plugin(DOMAIN + "other = Good()\n", shop="domain")
    for stale in ([], [EntryPoint("shop", f"{module}:other", registry.DOMAINS)],
                  [EntryPoint("shop", f"{module}:gone", registry.DOMAINS)]):  # fmt: skip
        monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {registry.DOMAINS: stale})
        assert registry.load_domain("shop") is sys.modules[module].domain


def test_a_plugin_that_fails_is_imported_once(plugin: Plugins, tmp_path: Path) -> None:
    log = tmp_path / "imports"
    plugin(f"with open({str(log)!r}, 'a') as log: log.write('x')\nraise RuntimeError", shop="domain")
    refused("shop")
    assert log.read_text() == "x"


@pytest.mark.parametrize("value", ["", "shop.domain()", "a b : c", "shop:", ":domain"])
def test_an_entry_point_that_names_no_object(plugin: Plugins, value: str) -> None:
    module = plugin(DOMAIN, owner="dgpg-plugin-shop")
    plugin.entry_points(module, f"[dgpg.domains]\nshop = {value}\n")
    message = refused("shop")
    assert "dgpg-plugin-shop 0.1" in message and f"'{value}'" in message and "NoneType" not in message


def test_a_plugin_that_changes_its_surroundings_at_import(
    plugin: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGINT)
    change = "import io, os, signal, sys\nos.chdir('/')\nsys.stdout = sys.stderr = io.StringIO()\n"
    for name, end in (("calm", DOMAIN), ("wild", "raise RuntimeError")):
        plugin(f"{change}signal.signal(signal.SIGINT, signal.SIG_IGN)\n{end}", **{name: "domain"})
        streams = sys.stdout, sys.stderr
        with suppress(PluginError):
            registry.load_domain(name)
        assert Path.cwd() == tmp_path and (sys.stdout, sys.stderr) == streams
        assert signal.getsignal(signal.SIGINT) is handler


def test_a_working_directory_that_was_removed_harms_no_import(
    plugin: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    plugin(DOMAIN, shop="domain")
    gone.rmdir()
    assert registry.load_domain("shop").Config().model_dump() == {"size": 3}


@pytest.mark.parametrize("end", ["", "raise RuntimeError('hidden')"])
def test_ctrl_c_during_an_import_is_the_users(plugin: Plugins, end: str) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with Ctrl-C ignored
    press = "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept BaseException: ...\n"
    plugin(press + end + DOMAIN, shop="domain")
    try:
        with pytest.raises(KeyboardInterrupt):
            registry.load_domain("shop")
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_process_that_an_import_forks_may_end(plugin: Plugins) -> None:
    fork = "import os, warnings\nwarnings.simplefilter('ignore')\nchild = os.fork()\nif child == 0: os._exit(7)\n"
    module = plugin(f"{fork}status = os.waitpid(child, 0)[1]\n{DOMAIN}", shop="domain")
    registry.load_domain("shop")
    assert os.waitstatus_to_exitcode(sys.modules[module].status) == 7
    assert os._exit.__name__ == "_exit"


def test_an_import_outside_the_main_thread(plugin: Plugins) -> None:
    plugin("raise KeyboardInterrupt", shop="domain")
    with ThreadPoolExecutor(1) as pool:
        assert "KeyboardInterrupt" in pool.submit(refused, "shop").result()


@pytest.mark.parametrize(
    ("source", "value", "part"),
    [
        (MODEL, "main", "AttributeError"),
        ("mine = 3", "mine", "must name a function"),
        ("def mine(): ...", "mine", "must accept (config)"),
        ("def mine(config, more): ...", "mine", "must accept (config)"),
        (MODEL.replace("potential", "energy"), "mine", "lacks the method potential"),
        ("def mine(config): ...", "mine", "(NoneType) lacks the method potential"),
    ],
)
def test_an_analytical_model_that_does_not_fit(plugin: Plugins, source: str, value: str, part: str) -> None:
    plugin(source, registry.MODELS, **{"cloud.mine": value})
    with pytest.raises(PluginError) as caught:
        registry.load_model("cloud.mine", Settings())
    assert "'cloud.mine'" in str(caught.value) and part in str(caught.value)


def test_an_unknown_model_shows_those_of_its_domain_alone(plugin: Plugins) -> None:
    plugin(MODEL, registry.MODELS, **{"cloud.mine": "mine", "shop.ours": "mine"})
    with pytest.raises(
        PluginError, match=r"unknown analytical model 'cloud\.min': did you mean 'cloud\.mine'"
    ) as caught:
        registry.load_model("cloud.min", Settings())
    shown = str(caught.value).partition("Valid: ")[2].partition(". Plugins")[0].split(", ")
    assert shown == registry.models_of("cloud") and "cloud.mine" in shown and "cloud.fluid" in shown
    with pytest.raises(PluginError, match=r"Valid: .*shop\.ours"):
        registry.load_model("shoe.ours", Settings())


def test_a_model_of_a_third_party_trains_the_domain_of_another(
    plugin: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = plugin(MODEL, registry.MODELS, **{"cloud.mine": "mine"})
    plugin("import os; os._exit(7)", broken="domain")
    tiny = "--set num_agents=4 --set horizon=4 --iterations 2 --num-envs 2 --device cpu"

    def train(run: str, *model: str) -> dict[str, Any]:
        monkeypatch.setattr(
            sys, "argv", ["dgpg", "train", "cloud", *tiny.split(), *model, "--out", str(tmp_path / run)]
        )
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code, capsys.readouterr().err
        state: dict[str, Any] = torch.load(tmp_path / run / "checkpoints/iteration-000002.pt")
        return state["actor"]

    theirs, ours, short = train("a", "--model", "cloud.mine"), train("b"), train("c", "--model", "mine")
    assert json.loads((tmp_path / "a/config.json").read_text())["model"] == "cloud.mine"
    assert json.loads((tmp_path / "c/config.json").read_text())["model"] == "cloud.mine"
    assert all(torch.equal(theirs[k], short[k]) for k in theirs)
    assert not all(torch.equal(theirs[k], ours[k]) for k in theirs)
    assert module in sys.modules
