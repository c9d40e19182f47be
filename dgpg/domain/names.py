"""What the numbers are that agents see and do, for whoever meets a policy without its environment."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dgpg.errors import PluginError


@dataclass(frozen=True)
class Feature:
    """One number: its name, unit and meaning."""

    name: str
    unit: str = "1"
    meaning: str = ""


@dataclass(frozen=True)
class Names:
    """Of every feature and of what actions are made of, in order."""

    agent: tuple[Feature, ...]
    """Of an agent, F."""
    choices: tuple[Feature, ...] = ()
    """Of each of its choices, C."""
    action: tuple[Feature, ...] = ()
    """Of each of the A numbers of a continuous action, or the one unit that is split; what a choice is, otherwise."""

    def __post_init__(self) -> None:
        for part in ("agent", "choices", "action"):
            for one in getattr(self, part):
                if not isinstance(one, Feature):
                    raise PluginError(f"Names.{part}: expected Feature({str(one)!r}), of dgpg.domain, got {one!r}")

    def json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def numbered(kind: str, count: int) -> tuple[Feature, ...]:
    """Names where a domain gives none, "agent 0" and so on.

    >>> numbered("agent", 2)[1].name
    'agent 1'
    """
    return tuple(Feature(f"{kind} {n}") for n in range(count))
