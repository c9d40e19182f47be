"""What a user says over the defaults: `--set a.b=v` and configuration files."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dgpg.domain import merge
from dgpg.errors import ConfigError


def parse_overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """`["a.b=1", "c=x"]` to `{"a": {"b": 1}, "c": "x"}`; values are JSON where they parse as it.

    Raises:
        ConfigError: a pair without `=` or without a name.
    """
    tree: dict[str, Any] = {}
    for pair in pairs:
        path, sign, text = pair.partition("=")
        keys = path.strip().split(".")
        if not sign or not all(keys):
            raise ConfigError(f"--set {pair}: expected path.to.field=value, for example num_agents=50")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        tree = merge(tree, _nest(keys, value))
    return tree


def _nest(keys: Sequence[str], value: Any) -> Any:
    return {keys[0]: _nest(keys[1:], value)} if keys else value


def read_file(path: Path) -> dict[str, Any]:
    """A configuration file, JSON or TOML, shaped like `RunConfig` (a run's config.json is one).

    Raises:
        ConfigError: the file cannot be read, or is not a table.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path}: cannot be read ({error})") from None
    try:
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"--config {path}: not valid {path.suffix or '.json'}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"--config {path}: expected a table of settings, got {type(values).__name__}")
    return values
