"""What `dgpg serve` asks for, as settings of a service."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dgpg.errors import ConfigError

NEEDED = ("fastapi", "uvicorn", "prometheus_client", "onnxruntime")
TOKEN = "DGPG_TOKEN"
"""Environment variable with the token, where no file is named."""


def installed() -> None:
    """ConfigError where the extra is not."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"serve needs {', '.join(missing)}: pip install 'dgpg[serve]'")


def protocols(names: Sequence[str], sets: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Settings `PROTOCOL.NAME=VALUE` by protocol, as text: what they mean its plugin knows.

    Raises:
        ConfigError: one is of no protocol that is served, or has no value.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    for text in sets:
        path, equals, value = text.partition("=")
        protocol, _, name = path.partition(".")
        if protocol not in found or not name or not equals:
            served = ", ".join(f"{one}.NAME=VALUE" for one in names) or "none: nothing but /decide is served"
            raise ConfigError(f"--set {text}: expected a setting of what is served beside /decide ({served})")
        found[protocol][name] = value
    return found


def token(file: Path | None) -> str | None:
    """What requests must show; never an option, as a list of processes shows those.

    Raises:
        ConfigError: the file cannot be read, or holds nothing.
    """
    if file is None:
        return os.environ.get(TOKEN) or None
    try:
        said = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {file}: cannot be read ({error})") from None
    if not said:
        raise ConfigError(f"--token-file {file}: it is empty; write a token into it")
    return said
