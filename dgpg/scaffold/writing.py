"""`dgpg new`: a plugin distribution that works before any edit.

Templates are working plugins themselves, of a domain called `example`; writing one is renaming it.
"""

from __future__ import annotations

import keyword
import re
import tempfile
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from dgpg.domain import registry
from dgpg.errors import ConfigError


@dataclass(frozen=True)
class Template:
    """One kind of system."""

    folder: str
    system: str
    model: str
    """Name of its model in the registry, after the domain's."""
    factory: str


TEMPLATES = {
    "discrete": Template("discrete", "clients send jobs to servers.", "waiting", "WaitingCost"),
    "continuous": Template("continuous", "pumps meet a demand together.", "pumping", "PumpingCost"),
    "simulator": Template("simulator", "clients send jobs to servers of a SimPy model.", "waiting", "WaitingCost"),
}
"""By the kind of action, or around a simulator."""
ACTIONS = ("discrete", "continuous")


def write(name: str, kind: str, parent: Path) -> Path:
    """Write the distribution `dgpg-plugin-NAME` below `parent`; returns its folder.

    Args:
        name: of the domain, lower case, as in `dgpg train NAME`.
        kind: one of `TEMPLATES`.
        parent: an existing folder, or one to make.

    Raises:
        ConfigError: a name that cannot be one or is taken, or a folder that is there already.
    """
    if kind not in TEMPLATES:
        raise ConfigError(f"--actions {kind}: expected {' or '.join(ACTIONS)}")
    _check(name)
    target = parent / f"dgpg-plugin-{name}"
    if target.exists():
        raise ConfigError(f"{target}: is there already, and nothing is overwritten; choose another --dir or remove it")
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".dgpg-new-") as unfinished:
        whole = Path(unfinished) / target.name
        for part in ("common", TEMPLATES[kind].folder):
            for path, source in _files(resources.files("dgpg.scaffold") / "templates" / part, Path()):
                place = whole / _renamed(str(path), name)
                place.parent.mkdir(parents=True, exist_ok=True)
                text = _filled(source.read_text(encoding="utf-8"), TEMPLATES[kind])
                place.write_text(_renamed(text, name), encoding="utf-8")
        whole.rename(target)
    return target


def _filled(text: str, template: Template) -> str:
    words = {"SYSTEM": template.system, "example.MODEL": f"example.{template.model}", "CLASS": template.factory}
    for word, meant in words.items():
        text = text.replace(word, meant)
    return text


def _check(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(
            f"dgpg new {name}: expected a name that a Python module may have, lower-case letters, digits and _, "
            "for example reservoirs"
        )
    if name in registry.find(registry.DOMAINS):
        raise ConfigError(f"dgpg new {name}: a domain of that name is installed (dgpg domains); choose another")


def _files(folder: Traversable, path: Path) -> list[tuple[Path, Traversable]]:
    found = []
    for item in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if item.is_dir():
            found += _files(item, path / item.name) if item.name != "__pycache__" else []
        else:
            found.append((path / item.name, item))
    return found


def _renamed(text: str, name: str) -> str:
    """`example`, `Example` and `dgpg_example` to the name; it is one word in the templates, and in no other meaning."""
    return text.replace("Example", name.title().replace("_", "")).replace("example", name)
