"""How the operator of a domain speaks: plain values in, what agents see out, and rules that see the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dgpg.errors import DecisionError, PluginError, unknown

GROUP = "dgpg.deploy"
"""Entry points, named as their domains, to functions that make an `Adapter` of what an export says of itself."""
Rows: TypeAlias = Mapping[str, NDArray[Any]]
"""Arguments of `Policy.act` by name, with a row an agent: `agent` `[R, F]`, `choices` `[R, K, C]`, `mask` `[R, K]`."""
Rule: TypeAlias = Callable[[Rows], NDArray[Any]]
"""Of choices how good each is, `[R, K]`, greatest best; of numbers and splits the action, `[R, A]` or `[R, K]`."""


class Adapter(Protocol):
    """What a plugin knows of its domain in use. It imports neither torch nor the plugin's environment."""

    example: Mapping[str, Any]
    """Plain values of one decision, for the page of the service."""
    rules: Mapping[str, Rule]
    """Rules that see what an agent sees, the one to fall back to first."""

    def features(self, plain: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Arguments of `Policy.act` for one agent.

        Raises:
            DecisionError: a value is missing, unknown or impossible, with its place.
        """
        ...


@runtime_checkable
class SupportsEstimate(Protocol):
    """An adapter that says what its analytical model expects of choices."""

    cost_unit: str
    """Unit of the costs."""

    def cost(self, rows: Rows) -> NDArray[Any]:
        """Of each choice, `[R, K]`, up to a number that all choices of an agent share."""
        ...


def adapter(description: Mapping[str, Any]) -> Adapter | None:
    """The adapter of the domain that an exported policy is of; None where its plugin has none or is not installed.

    Raises:
        PluginError: the plugin's own cannot be imported or made.
    """
    domain = description["domain"]
    found = [point for point in entry_points(group=GROUP) if point.name == domain]
    if not found or "plain" not in description:
        return None
    try:
        made: Adapter = found[0].load()(description)
    except Exception as error:
        raise PluginError(f"{found[0].value}, the `{GROUP}` of domain '{domain}': {error}") from error
    return made


def stacked(agents: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Arguments of several agents with a row each; who has fewer choices gets more that are not allowed."""
    return {name: _padded([one[name] for one in agents]) for name in agents[0]}


def _padded(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if len({np.shape(part) for part in parts}) == 1:
        return np.stack(parts)
    found = np.zeros((len(parts), max(len(part) for part in parts), *parts[0].shape[1:]), parts[0].dtype)
    for row, part in zip(found, parts, strict=True):
        row[: len(part)] = part
    return found


def only(given: Any, where: str, names: Iterable[str]) -> Mapping[str, Any]:
    """The object `given`, none of whose names is unknown; DecisionError otherwise."""
    if not isinstance(given, Mapping):
        raise DecisionError(f"{where}: expected an object of {', '.join(names)}, got {short(given)}")
    for name in given:
        if name not in names:
            raise DecisionError(f"{where}: {unknown('name', str(name), names)}")
    return given


def number(
    given: Mapping[str, Any], where: str, name: str, default: float | None = None, least: float = -np.inf
) -> float:
    """A finite number of an object, at least `least`; DecisionError otherwise."""
    value = given.get(name, default)
    if type(value) not in (int, float) or not least <= value <= _LARGEST:
        expected = "a number" if least == -np.inf else f"a number of at least {least:g}"
        got = f"got {short(value)}" if name in given else "nothing is given"
        raise DecisionError(f"{where}.{name}: expected {expected}, {got}")
    return float(value)


_LARGEST = float(np.finfo(np.float64).max)
"""Whole numbers of JSON may be larger, and have no floating point number then."""


def numbers(given: Mapping[str, Any], where: str, name: str, count: int) -> NDArray[np.float32]:
    """A list of so many finite numbers of an object, `[count]`; DecisionError otherwise."""
    try:
        found = np.asarray(given[name], np.float32)
    except (KeyError, TypeError, ValueError, OverflowError):
        found = np.full(0, np.nan, np.float32)
    if found.shape != (count,) or not np.isfinite(found).all():
        got = f"got {short(given[name])}" if name in given else "nothing is given"
        raise DecisionError(f"{where}.{name}: expected a list of {count} numbers, {got}")
    return found


def which(given: Mapping[str, Any], where: str, name: str, names: Sequence[str]) -> int:
    """The position that an object names, by one of `names` or as a number from 0; DecisionError otherwise."""
    value = given.get(name)
    if type(value) is int and 0 <= value < len(names):
        return value
    if value not in names:
        got = f"got {short(value)}" if name in given else "nothing is given"
        raise DecisionError(
            f"{where}.{name}: expected a number from 0 to {len(names) - 1}, or one of {_few(names)}, {got}"
        )
    return names.index(value)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} ... {names[-1]}"


def short(value: Any) -> str:
    """What was given, for a message."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python writes out no whole number of more than 4,300 digits
        return f"a {type(value).__name__} that is too long to write"
    return text if len(text) < 40 else text[:37] + "..."
