"""Action kinds, one module each: how to sample, score and guide. Nothing else in the core asks."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from gymnasium import spaces

from dgpg.actions import categorical
from dgpg.errors import PluginError


def kind_of(space: spaces.Space[Any]) -> ModuleType:
    """The module for an action space. Box and simplex spaces come with their first domain."""
    if isinstance(space, spaces.MultiDiscrete):
        return categorical
    raise PluginError(
        f"action space {space} is of no known kind: expected MultiDiscrete([K] * N), one choice of K an agent"
    )
