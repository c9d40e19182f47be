"""Small distributions with plugins, as pip would have installed them."""

import itertools
import sys
from pathlib import Path

import pytest

from dgpg.domain import registry

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
_numbers = itertools.count()


class Plugins:
    """Writes distributions below a folder and puts them on the path; forgets their modules at the end."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch
        self._made: list[str] = []

    def __call__(self, source: str | None, group: str = registry.DOMAINS, owner: str = "", **entries: str) -> str:
        """A distribution of one module, whose name is returned; `entries` are the names and objects it registers."""
        module = f"dgpg_test_plugin_{next(_numbers)}"
        info = self._info(module)
        info.mkdir(parents=True)
        if source is not None:
            (info.parent / f"{module}.py").write_text(source)
        name = owner or module.replace("_", "-")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
        lines = [f"{name} = {module}:{value}" for name, value in entries.items()]
        self.entry_points(module, "\n".join([f"[{group}]", *lines]) + "\n")
        self._monkeypatch.syspath_prepend(str(info.parent))
        self._made.append(module)
        return module

    def entry_points(self, module: str, text: str) -> None:
        """Another list of entry points for a distribution."""
        (self._info(module) / "entry_points.txt").write_text(text)

    def forget(self) -> None:
        """As if none had been imported."""
        for module in self._made:
            sys.modules.pop(module, None)

    def _info(self, module: str) -> Path:
        return self._folder / module / f"{module}-0.1.dist-info"
