"""What a user asks for on the command line, in the shape of settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgpg.errors import ConfigError, unknown


def gathered(
    domain: str | None, named: dict[str, Any], file: Path | None, sets: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is asked for, in the shape of RunConfig: the file, then --set, then options.

    The second is what of it somebody said: all, unless the file is the record of a run, which holds every setting.

    Raises:
        ConfigError: the file is not one of settings, or of another domain.
    """
    from dgpg.domain import merge
    from dgpg.learning.config import of_before
    from dgpg.learning.unused import is_record
    from dgpg.runs.overrides import read_file

    values = read_file(file) if file is not None else {}
    known = {"domain", "settings", "train", "coordination", *named}
    for key in values:
        if key not in known:
            own = "; settings of the domain stand in the table 'settings'" if domain or "domain" in values else ""
            raise ConfigError(f"--config {file}: {unknown('field', key, known)}{own}")
    if domain is not None and values.get("domain", domain) != domain:
        raise ConfigError(f"--config {file} is of domain {values['domain']!r}, not {domain!r}; leave one of them out")
    overrides = _overrides(sets)
    parts = {name: overrides.pop(name, {}) for name in ("train", "coordination")} | {"settings": overrides}
    said = {key: part for key, part in parts.items() if part != {}}
    said |= {key: value for key, value in {**named, "domain": domain}.items() if value is not None}
    record = is_record(values)
    asked = merge(of_before(values) if record else values, said)
    return asked, said if record else asked


@dataclass(frozen=True)
class Checked:
    """What a check is of."""

    domain: str
    settings: dict[str, Any]
    model: str | None
    folder: Path | None
    """Of the run that it is of, if it is of one."""


def checked(named: str, sets: list[str], model: str | None) -> Checked:
    """A domain by its name in settings of its own, or the system and model of a run by its folder.

    Raises:
        ConfigError: others are asked for beside a run's.
    """
    folder = Path(named)
    if not (folder / "config.json").is_file():
        return Checked(named, domain_only(sets, "a check"), model, None)
    if sets or model is not None:
        raise ConfigError(f"{folder} is a run, with settings and a model of its own: leave --set and --model out")
    from dgpg.runs import RunFolder

    run = RunFolder.open(folder)[1]
    return Checked(run.domain, run.settings, run.model, folder)


def domain_only(sets: list[str], what: str, refused: tuple[str, ...] = ("train", "coordination")) -> dict[str, Any]:
    """The settings of the domain, and of what else is not `refused`, where nothing is trained.

    Raises:
        ConfigError: others are among them.
    """
    overrides = _overrides(sets)
    for name in refused:
        if name in overrides:
            raise ConfigError(f"--set {name}.*: {what} does not train; only the domain's settings change")
    return overrides


def _overrides(sets: list[str]) -> dict[str, Any]:
    from dgpg.runs.overrides import parse_overrides, repeated
    from dgpg.showing import report

    for line in repeated(sets):
        report.aside(f"note: {line}")
    return parse_overrides(sets)
