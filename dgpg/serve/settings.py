"""How a service behaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Mode = Literal["policy", "shadow"]


@dataclass(frozen=True)
class Settings:
    """Guard rails of a service; the defaults are those of `dgpg serve`."""

    mode: Mode = "policy"
    """Who decides: the policy, or the rule, with the policy in its shadow: asked, logged and compared."""
    rule: str | None = None
    """Name of the rule that stands in; the first of the domain's by default."""
    far: float = 1.0
    """The rule decides where a feature lies further outside the training's range than so many times that range."""
    token: str | None = None
    """What `Authorization: Bearer` must say; None asks for nothing."""
    max_bytes: int = 1 << 20
    """Of a request."""
    max_rows: int = 1000
    """Decisions that one request may ask for."""
    watch_s: float = 1.0
    """Between two looks for a new export in the folder, seconds."""


@dataclass(frozen=True)
class Tls:
    """Files in PEM that HTTPS is served with."""

    cert: Path
    """Of the service, with those that signed it below it."""
    key: Path
    """Its private key, without a passphrase."""
    clients: Path | None = None
    """Certificates of those who sign those of clients; who shows none is refused. None asks for none."""
