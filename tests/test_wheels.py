"""What people install: wheels, alone and complete."""

import email
import json
import re
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest

from dgpg.domain import protocols

from .fresh import PLUGINS, ROOT, Fresh, wheels

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheels(tmp_path_factory.mktemp("dist"), ROOT, *PLUGINS)


def opened(dist: Path) -> dict[str, tuple[list[str], Message]]:
    """Names of files and metadata by distribution."""
    found = {}
    for path in dist.glob("*.whl"):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            meta = next(name for name in names if name.endswith(".dist-info/METADATA"))
            message = email.message_from_bytes(archive.read(meta))
            found[str(message["Name"])] = (names, message)
    return found


def test_wheels_say_what_they_are(dist: Path) -> None:
    found = opened(dist)
    assert set(found) == {"dgpg", "dgpg-plugin-cloud", "dgpg-plugin-power", "dgpg-plugin-traffic"}
    for name, (files, meta) in found.items():
        module = name.replace("dgpg-plugin-", "dgpg_")
        assert f"{module}/py.typed" in files and meta["License-Expression"] == "Apache-2.0"
        assert meta["Requires-Python"] == ">=3.11" and meta["Summary"] and str(meta.get_payload()).startswith("# ")
        classifiers = meta.get_all("Classifier", [])
        pythons = {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)}
        assert {"Typing :: Typed"} | pythons <= set(classifiers)
        links = dict(entry.split(", ") for entry in meta.get_all("Project-URL", []))
        assert set(links) >= {"Homepage", "Documentation", "Changelog"}
        assert not any("/tests/" in file or file.startswith("tests") for file in files if "templates" not in file)
    assert set(found["dgpg"][1].get_all("Provides-Extra", [])) >= {"tensorboard", "figures", "convex", "testing", "all"}


def test_plugins_ask_for_the_core_that_they_were_written_for() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    minor = int(version.split(".")[1])
    for plugin in PLUGINS:
        needs = tomllib.loads((plugin / "pyproject.toml").read_text())["project"]["dependencies"]
        assert any(re.match(rf"dgpg(\[\w+\])?>=0\.{minor},<0\.{minor + 1}$", need) for need in needs), plugin.name
    assert protocols.API_VERSION == 1


def test_a_plugin_comes_with_the_core_and_leaves_without_it(dist: Path, tmp_path: Path) -> None:
    fresh = Fresh.make(tmp_path)
    fresh.pip("install", "--no-index", "--find-links", dist, "dgpg-plugin-cloud")
    assert str(tmp_path) in fresh.run("python", "-c", "import dgpg_cloud; print(dgpg_cloud.__file__)").stdout
    assert fresh.domains()["cloud"] == "ok" and "power" not in fresh.domains()
    small = ["--set", "num_agents=4", "--set", "horizon=8", "--num-envs", 2, "--device", "cpu"]
    fresh.run("dgpg", "train", "cloud", *small, "--iterations", 2, "--out", "run")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["iterations"] == 2
    fresh.pip("uninstall", "--yes", "dgpg-plugin-cloud")
    assert fresh.domains() == {}
    missing = fresh.run("dgpg", "train", "cloud", code=1).stderr
    assert "unknown domain 'cloud'" in missing and "Traceback" not in missing
    reopened = fresh.run("dgpg", "evaluate", "run", code=1).stderr
    assert "cloud" in reopened and "dgpg-plugin-cloud" in reopened and "Traceback" not in reopened
    assert "Write a plugin" in fresh.run("dgpg", "--help").stdout
