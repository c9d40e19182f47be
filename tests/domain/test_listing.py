"""`dgpg domains`: every plugin is listed, whatever it does when it is imported."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from dgpg.domain import listing, registry
from dgpg.errors import PluginError
from dgpg.showing import report

from ..commands import ok
from ..distributions import DOMAIN, Plugins

ENDLESS_THREAD = (
    "import threading, time\ndef run():\n    while True:\n        print('alive', flush=True); time.sleep(0.01)\n"
    "threading.Thread(target=run).start()\n"
)
FATAL = {
    "exits": ("import ctypes; ctypes.CDLL(None)._exit(0)", "exit status 0"),
    "falls": ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    "kills_its_group": ("import os, signal; os.killpg(0, signal.SIGTERM)", "SIGTERM"),
}
"""What no process survives, and what is said of it."""
LOUD = {
    "raises": ("raise GeneratorExit('closed')", "GeneratorExit: closed"),
    "stops": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "leaves": ("import os; os._exit(0)", "os._exit(0)"),
    "is_no_domain": ("domain = 3", "lacks Config"),
}
"""What is said by an exception."""
GOOD = {
    "prints": f"import os; print('hello'); os.write(1, b'raw'); import atexit; atexit.register(print, 'bye')\n{DOMAIN}",
    "moves": f"import os; os.chdir('/')\n{DOMAIN}",
    "warns": f"import warnings; warnings.warn('old', DeprecationWarning)\n{DOMAIN}",
    "goes_on": f"{ENDLESS_THREAD}{DOMAIN}",
    "forks": f"import os; os.fork()\n{DOMAIN}",
    "reads": f"import sys; sys.stdin.read()\n{DOMAIN}",
    "zz_last": DOMAIN,
}
"""What is odd, and allowed."""
SHORT = 2.0


@pytest.mark.slow
def test_every_plugin_is_listed_whatever_its_neighbours_do(plugin: Plugins) -> None:
    bad = {name: (source, name, words) for name, (source, words) in FATAL.items()}
    bad |= {name: (source, "loud", words) for name, (source, words) in LOUD.items()}
    for name, (source, owner, _) in bad.items():
        plugin(source, owner=f"by-{owner}", **{name: "domain"})
    for name, source in GOOD.items():
        plugin(source, **{name: "domain"})
    plugin("mine = 3", registry.MODELS, owner="by-loud", **{"cloud.mine": "mine"})
    for owner in ("corner", "high-street"):
        plugin(DOMAIN, owner=owner, twice="domain")
    plugins = ok("domains", "--json").json["plugins"]
    found = {one["name"]: one for one in plugins}
    for name, (_, owner, words) in bad.items():
        assert found[name]["status"] == "error"
        for part in (f"'{name}'", f"by-{owner} 0.1", words):
            assert part in found[name]["error"]
    for name in (*GOOD, "cloud", "power", "traffic", "cloud.headroom"):
        assert found[name]["error"] is None and found[name]["status"] == "ok", found[name]
    assert found["moves"]["summary"] == "A domain of a test." and found["moves"]["version"] == "0.1"
    assert "must name a function" in found["cloud.mine"]["error"]
    twice = [one for one in plugins if one["name"] == "twice"]
    assert {one["distribution"] for one in twice} == {"corner", "high-street"} and len(twice) == 2
    assert all("registered 2 times" in one["error"] for one in twice)


def test_a_plugin_is_broken_in_the_words_of_who_needs_it(plugin: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, (source, _) in enumerate(LOUD.values()):
        plugin(source, owner="loud", **{f"shop{number}": "domain"})
    only(monkeypatch)
    for entry in listing.listing():
        with pytest.raises(PluginError) as caught:
            registry.load_domain(entry.name)
        assert entry.error == str(caught.value)


@pytest.mark.slow
def test_a_plugin_that_breaks_its_neighbours(plugin: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(f"{DOMAIN}\nimport sys; sys.modules['dgpg.learning.config'] = None", a_first="domain")
    plugin(DOMAIN, second="domain")
    only(monkeypatch)
    assert [entry.error for entry in listing.listing()] == [None, None]


@pytest.mark.slow
def test_an_import_that_does_not_end(plugin: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin("while True: pass", first="domain")
    plugin(DOMAIN, second="domain")
    only(monkeypatch)
    first, second = listing.listing(limit=SHORT)
    assert first.error is not None and "did not end within 2 s" in first.error
    assert second.error is None


def test_the_usual_case_costs_one_process(plugin: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(DOMAIN, first="domain", second="domain")
    only(monkeypatch)
    begun = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **kw: begun.append(args) or popen(*args, **kw))
    assert [entry.error for entry in listing.listing()] == [None, None]
    assert len(begun) == 1 and not [name for name in sys.modules if name.startswith("dgpg_test_plugin")]


def test_one_distribution_of_many_plugins_is_asked_again_together(
    plugin: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin("raise RuntimeError('no licence')", **{f"shop{number}": "domain" for number in range(5)})
    only(monkeypatch)
    begun = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **kw: begun.append(args) or popen(*args, **kw))
    assert all("no licence" in str(entry.error) for entry in listing.listing())
    assert len(begun) == 2


def test_what_a_plugin_started_ends_with_the_listing(
    plugin: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = tmp_path / "beats"
    beat = f"import subprocess\nsubprocess.Popen('while :; do echo >> {beats}; sleep 0.02; done', shell=True)\n"
    plugin(f"{beat}import time; time.sleep(0.2)\n{DOMAIN}", shop="domain")
    only(monkeypatch)
    listing.listing()
    size = beats.stat().st_size
    time.sleep(0.2)
    assert beats.stat().st_size == size > 0


def test_a_python_that_cannot_import_dgpg_is_not_the_plugins_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "CHILD", "raise SystemExit(5)")
    with pytest.raises(PluginError, match=r"cannot import dgpg \(.*exit status 5"):
        listing.listing()


def test_files_where_one_works_are_not_imported_for_pythons(
    plugin: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("json.py").write_text("raise SystemExit('mine')")
    plugin(DOMAIN, shop="domain")
    only(monkeypatch)
    assert [entry.error for entry in listing.listing()] == [None]


def test_a_table_shows_each_error_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    long = "domain 'shop' of dgpg-plugin-shop 0.1 cannot be imported from 'shop:[red]domain': " + 20 * "and so on, "
    report.plugins([listing.Entry("shop", registry.DOMAINS, "dgpg-plugin-shop", "0.1", long),
                    listing.Entry("cloud.mine", registry.MODELS, "cloud-mine", "2.0")])  # fmt: skip
    shown = capsys.readouterr().out
    assert f"shop: {long}\n" in shown and "cloud-mine 2.0" in shown and "error, see below" in shown


def only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at what the test has installed alone."""
    find = registry.find
    monkeypatch.setattr(
        registry,
        "find",
        lambda group: {n: p for n, p in find(group).items() if p[0].module.startswith("dgpg_test_plugin")},
    )
