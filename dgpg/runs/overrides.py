"""What a user says over the defaults: `--set a.b=v` and configuration files."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dgpg.domain import merge
from dgpg.errors import ConfigError

LONGEST = 1_000_000
"""Characters of a configuration file; beyond them it is something else."""
READ = (".json", ".toml", "")
"""Endings of configuration files; without one it is JSON."""


def parse_overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """`["a.b=1", "c=x"]` to `{"a": {"b": 1}, "c": "x"}`; values are JSON where they parse as it. The last counts.

    Raises:
        ConfigError: a pair without `=` or without a name, or a table that names a setting twice.
    """
    tree: dict[str, Any] = {}
    for pair in pairs:
        keys, text = _halves(pair)
        tree = merge(tree, _nest(keys, _value(pair, text)))
    return tree


def repeated(pairs: Sequence[str]) -> list[str]:
    """A line for each setting that is given twice and not alike: which value counts."""
    seen: dict[str, str] = {}
    lines = []
    for pair in pairs:
        keys, text = _halves(pair)
        name = ".".join(keys)
        if seen.setdefault(name, text) != text:
            lines.append(f"--set {name} is given as {seen[name]} and as {text}: the last counts")
        seen[name] = text
    return lines


def parse_json(text: str | bytes) -> Any:
    """JSON in which no table names a setting twice.

    Raises:
        ValueError: not JSON.
        ConfigError: a name is there twice.
    """
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"'{twice}' is there twice in one table; leave one of them")
    return table


def _halves(pair: str) -> tuple[list[str], str]:
    path, sign, text = pair.partition("=")
    keys = path.strip().split(".")
    if not sign or not all(keys):
        raise ConfigError(f"--set {pair}: expected path.to.field=value, for example num_agents=50")
    return keys, text


def _value(pair: str, text: str) -> Any:
    try:
        return parse_json(text)
    except ConfigError as error:
        raise ConfigError(f"--set {pair}: {error}") from None
    except (ValueError, RecursionError):
        return text


def _nest(keys: Sequence[str], value: Any) -> Any:
    return {keys[0]: _nest(keys[1:], value)} if keys else value


def read_file(path: Path, said: str = "--config ") -> dict[str, Any]:
    """A configuration file, JSON or TOML, shaped like `RunConfig` (a run's config.json is one).

    `said` stands before its name in messages.

    Raises:
        ConfigError: the file cannot be read, or is not a table.
    """
    if path.suffix not in READ:
        raise ConfigError(f"{said}{path}: expected JSON or TOML, a file that ends in .json or .toml")
    try:
        with path.open(encoding="utf-8-sig") as file:  # some editors begin a file with a mark
            text = file.read(LONGEST + 1)
    except OSError as error:
        raise ConfigError(f"{said}{path}: cannot be read ({error.strerror}); name a file of settings") from None
    except ValueError as error:  # bytes that are no text, a name that no file can have
        raise ConfigError(f"{said}{path}: cannot be read ({error})") from None
    if len(text) > LONGEST:
        raise ConfigError(f"{said}{path}: longer than {LONGEST:,} characters, so it is no file of settings")
    try:
        values = tomllib.loads(text) if path.suffix == ".toml" else parse_json(text)
    except ConfigError as error:
        raise ConfigError(f"{said}{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{said}{path}: not valid {path.suffix or '.json'}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{said}{path}: expected a table of settings, got {type(values).__name__}")
    return values
