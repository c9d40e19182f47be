"""Plugins with one planted mistake each: the toy, or a wrapper of it, as an author might get it wrong.

`BROKEN` says by check which plugins it must catch, and words that its message must hold; each file here adds its own.
"""

from __future__ import annotations

from . import broken_blocks, broken_measured, broken_settings, broken_simplex  # noqa: F401 - add to BROKEN
from .broken_box import joint
from .broken_episodes import Forgets
from .broken_models import valued
from .planted import BROKEN, returning

__all__ = ["BROKEN", "Forgets", "joint", "returning", "valued"]
