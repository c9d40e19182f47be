"""Errors a user can act on: what happened, where, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DgpgError(Exception):
    """Base of every error that dgpg raises on purpose; the command line prints it without a traceback."""


class ConfigError(DgpgError):
    """A setting is unknown, has the wrong type or is out of range."""


class PluginError(DgpgError):
    """A plugin cannot be imported, lacks a member, or does not fit this version of dgpg."""


class SimulatorError(PluginError):
    """A simulator raised, hung, died, showed what does not fit, or did not repeat itself: which one, and when."""


class DataError(DgpgError):
    """A data file is missing, malformed or holds impossible values."""


class RunError(DgpgError):
    """A run folder cannot be created, read, written or resumed."""


class Elsewhere(DgpgError):
    """What went wrong is told by another process of the same training."""


class DivergenceError(DgpgError):
    """Training produced a loss that is not finite."""


class OverflowingError(DivergenceError):
    """What an environment pays is not finite, or too large to learn from, before a policy has changed at all."""


class DecisionError(DgpgError, ValueError):
    """What an exported policy was given does not fit what it reads."""


class ActionError(DgpgError, ValueError):
    """What an environment was given to do is no action of its space."""


class ProgramError(DgpgError, ValueError):
    """The arrays of a convex program do not fit each other, or hold what is no number."""


class SolverError(DgpgError):
    """A convex program has no solution (infeasible or unbounded), or the solver did not find it."""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Message for an unknown name, with the nearest valid one first.

    >>> unknown("domain", "Clod", ["cloud", "power"])
    "unknown domain 'Clod': did you mean 'cloud'? Valid: cloud, power"
    """
    names = sorted(known)
    return f"unknown {kind} '{name}': {hint(name, names)}Valid: {', '.join(names) or 'none'}"


def hint(name: str, known: Iterable[str]) -> str:
    """Which of the known names is meant, large letters aside; nothing where none is near.

    >>> hint("MAPO", ["ippo", "mappo"])
    "did you mean 'mappo'? "
    """
    alike = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), alike, n=1, cutoff=0.5)
    return f"did you mean '{alike[near[0]]}'? " if near else ""
