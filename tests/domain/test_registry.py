"""Plugins come by entry point: good ones load, each broken one says what is wrong and hides no other."""

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from stevedore import ExtensionManager

from dgpg import cli
from dgpg.domain import API_VERSION, Settings, registry
from dgpg.errors import PluginError

Plugin = Callable[..., str]
DOMAIN = """
from dgpg.learning.config import Settings

class Config(Settings):
    size: int = 3

class Good:
    '''A domain of a test.'''
    api_version = 1
    Config = Config
    def make_env(self, config, num_envs, device, seed): ...
    def analytical_model(self, config): ...
    def agent_mapping(self, config): ...

domain = Good()
"""
MODEL = """
class Mine:
    def potential(self, state, context):
        return state.square().sum((-2, -1))

def mine(config):
    '''Somebody else's idea of efficient.'''
    return Mine()
"""
numbers = itertools.count()


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugin]:
    """Writes a distribution and puts it on the path; returns the name of its module."""
    monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {})
    made = []

    def install(source: str | None, group: str = registry.DOMAINS, owner: str = "", **entries: str) -> str:
        module = f"dgpg_test_plugin_{next(numbers)}"
        owner = owner or module.replace("_", "-")
        folder = tmp_path / module
        info = folder / f"{module}-0.1.dist-info"
        info.mkdir(parents=True)
        if source is not None:
            (folder / f"{module}.py").write_text(source)
        lines = [f"{name} = {module}:{value}" for name, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]) + "\n")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {owner}\nVersion: 0.1\n")
        monkeypatch.syspath_prepend(str(folder))
        made.append(module)
        return module

    yield install
    for module in made:
        sys.modules.pop(module, None)


def refused(name: str) -> str:
    """The error of a domain, which `dgpg domains` shows as well."""
    with pytest.raises(PluginError) as caught:
        registry.load_domain(name)
    assert {e.error for e in registry.listing() if e.name == name} == {str(caught.value)}
    assert [e.error for e in registry.listing() if e.name == "cloud"] == [None]
    assert registry.load_domain("cloud").Config().num_agents == 50
    return str(caught.value)


def listed(name: str) -> registry.Entry:
    (entry,) = [e for e in registry.listing() if e.name == name]
    return entry


def test_a_good_plugin_loads_and_is_listed(plugin: Plugin) -> None:
    module = plugin(DOMAIN, owner="dgpg-plugin-shop", shop="domain")
    domain = registry.load_domain("shop")
    assert domain is sys.modules[module].domain
    entry = listed("shop")
    assert (entry.error, entry.distribution, entry.version) == (None, "dgpg-plugin-shop", "0.1")
    assert entry.summary == "A domain of a test." and entry.json()["status"] == "ok"


def test_finding_names_imports_nothing(plugin: Plugin) -> None:
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
        (DOMAIN, "dominion", ["AttributeError", "dominion"]),
        (None, "domain", ["ModuleNotFoundError"]),
    ],
)
def test_a_plugin_that_cannot_be_imported(plugin: Plugin, source: str | None, value: str, parts: list[str]) -> None:
    module = plugin(source, owner="dgpg-plugin-shop", shop=value)
    message = refused("shop")
    for part in ("domain 'shop' of dgpg-plugin-shop 0.1", f"{module}:{value}", *parts):
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
    ],
)
def test_a_plugin_that_does_not_fit(plugin: Plugin, old: str, new: str, parts: list[str]) -> None:
    source = DOMAIN.replace(old, new)
    assert source != DOMAIN
    plugin(source, shop="domain")
    message = listed("shop").error if "ZeroDivision" in parts[0] else refused("shop")
    assert message is not None and "'shop'" in message
    for part in parts:
        assert part in message


def test_api_version_may_be_left_out(plugin: Plugin) -> None:
    plugin(DOMAIN.replace("api_version = 1", ""), shop="domain")
    assert registry.load_domain("shop").Config().model_dump() == {"size": 3}


def test_a_name_registered_twice_is_refused_and_both_owners_are_named(plugin: Plugin) -> None:
    for owner in ("dgpg-plugin-corner", "dgpg-plugin-high-street"):
        plugin(DOMAIN, owner=owner, shop="domain")
    message = refused("shop")
    for part in ("'shop'", "2 times", "dgpg-plugin-corner", "dgpg-plugin-high-street", "uninstall"):
        assert part in message
    owners = [e.distribution for e in registry.listing() if e.name == "shop"]
    assert sorted(owners) == ["dgpg-plugin-corner", "dgpg-plugin-high-street"]


def test_a_name_of_a_domain_that_exists_is_no_way_in(plugin: Plugin) -> None:
    plugin(DOMAIN, owner="dgpg-plugin-intruder", cloud="domain")
    with pytest.raises(PluginError, match="'cloud' is registered 2 times"):
        registry.load_domain("cloud")


def test_an_unknown_domain_shows_the_nearest(plugin: Plugin) -> None:
    plugin(DOMAIN, shop="domain")
    with pytest.raises(PluginError, match=r"unknown domain 'shopp': did you mean 'shop'\? Valid: cloud"):
        registry.load_domain("shopp")


def test_a_stale_cache_of_stevedore_is_not_believed(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    module = plugin(DOMAIN + "other = Good()\n", shop="domain")
    for stale in ([], [EntryPoint("shop", f"{module}:other", registry.DOMAINS)],
                  [EntryPoint("shop", f"{module}:gone", registry.DOMAINS)]):  # fmt: skip
        monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {registry.DOMAINS: stale})
        assert registry.load_domain("shop") is sys.modules[module].domain


def test_every_broken_plugin_is_listed_beside_the_others(
    plugin: Plugin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin("import a_module_nobody_has", first="domain")
    plugin(DOMAIN.replace("api_version = 1", "api_version = 9"), second="domain")
    plugin(DOMAIN, third="domain")
    plugin("mine = 3", registry.MODELS, **{"cloud.mine": "mine"})
    monkeypatch.setattr(sys, "argv", ["dgpg", "domains", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    plugins = {p["name"]: p for p in json.loads(capsys.readouterr().out)["plugins"]}
    assert "a_module_nobody_has" in plugins["first"]["error"]
    assert "api_version 9" in plugins["second"]["error"]
    assert "entry point must name a function" in plugins["cloud.mine"]["error"]
    broken = {name for name, entry in plugins.items() if entry["status"] == "error"}
    assert {"first", "second", "cloud.mine"} <= broken and not broken & {"third", "cloud", "cloud.capacity"}
    monkeypatch.setattr(sys, "argv", ["dgpg", "domains"])
    with pytest.raises(SystemExit):
        cli.main()
    shown = capsys.readouterr().out
    for name in ("first", "second", "cloud.mine"):
        assert f"{name}: {plugins[name]['error']}" in shown


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
def test_an_analytical_model_that_does_not_fit(plugin: Plugin, source: str, value: str, part: str) -> None:
    plugin(source, registry.MODELS, **{"cloud.mine": value})
    with pytest.raises(PluginError) as caught:
        registry.load_model("cloud.mine", Settings())
    assert "'cloud.mine'" in str(caught.value) and part in str(caught.value)


def test_an_unknown_model_shows_those_of_its_domain_alone(plugin: Plugin) -> None:
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
    plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = plugin(MODEL, registry.MODELS, **{"cloud.mine": "mine"})
    plugin("import a_module_nobody_has", broken="domain")
    assert listed("cloud.mine").summary == "Somebody else's idea of efficient."
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
