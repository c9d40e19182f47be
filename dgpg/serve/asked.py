"""A request for decisions: features or plain values, of one agent or many; and its answer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dgpg.deploy import Rows, only, stacked
from dgpg.errors import DecisionError
from dgpg.serve.service import Answer, Loaded

FEATURES = ("agent", "choices", "mask", "index")


@dataclass(frozen=True)
class Asked:
    """What agents see."""

    rows: Rows
    """Of the agents that have anything to decide; nothing where none has."""
    able: NDArray[np.bool_]
    """Who has anything to decide: something is allowed, `[R]`."""
    one: bool
    """A single agent, whose answer is no list."""


def asked(body: bytes | memoryview, loaded: Loaded, most: int) -> Asked:
    """A request of at most so many decisions.

    Raises:
        DecisionError: what does not fit, and where.
    """
    given = _read(body)
    if not isinstance(given, Mapping) or ("plain" in given) == ("agent" in given):
        raise DecisionError("expected an object with either 'plain' or 'agent' (and choices, mask, index)")
    found = _plain(given, loaded, most) if "plain" in given else _features(given, loaded)
    if len(found.able) > most:
        raise DecisionError(f"{len(found.able)} decisions in a request, at most {most}; send several")
    return found


def _read(body: bytes | memoryview) -> Any:
    """JSON, also with what Python writes of numbers that are none: whoever sends those is told which."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.json.decode(body)
    try:
        return json.loads(bytes(body))
    except ValueError as error:
        raise DecisionError(f"the request is no JSON: {error}") from None
    except RecursionError:
        raise DecisionError("the request is no JSON that anybody asks for: lists in lists, too deep to read") from None


def _features(given: Mapping[str, Any], loaded: Loaded) -> Asked:
    rows, one = loaded.policy.rows(**only(given, "request", FEATURES))
    return Asked(rows, np.ones(len(rows["agent"]), bool), one)


def _plain(given: Mapping[str, Any], loaded: Loaded, most: int) -> Asked:
    if loaded.adapter is None:
        raise DecisionError(
            "plain: this service knows features alone (agent, choices, mask): the domain's plugin is not installed "
            "beside it, or the export is older than what it says of plain values"
        )
    plain = only(given, "request", ("plain",))["plain"]
    one = isinstance(plain, Mapping)
    told = [plain] if one else plain
    if not isinstance(told, Sequence) or isinstance(told, str) or not 0 < len(told) <= most:
        raise DecisionError(f"plain: expected an object, or a list of 1 to {most} of them")
    agents = [_of(loaded, one, n) for n, one in enumerate(told)]
    able = np.array(["mask" not in one or np.count_nonzero(one["mask"]) > 0 for one in agents])
    if np.count_nonzero(able) < len(able):  # nobody decides there, so that nothing is counted or compared
        agents = [one for one, may in zip(agents, able.tolist(), strict=True) if may]
        if not agents:
            return Asked({}, able, one)
    parts = {name: x[None] for name, x in agents[0].items()} if len(agents) == 1 else stacked(agents)
    return Asked(loaded.policy.rows(**parts)[0], able, one)


def _of(loaded: Loaded, plain: Any, n: int) -> dict[str, NDArray[Any]]:
    assert loaded.adapter is not None
    try:
        return loaded.adapter.features(plain)
    except DecisionError as error:
        raise DecisionError(f"plain[{n}]: {error}" if n else str(error)) from None


def told(request: Asked, answer: Answer | None, loaded: Loaded) -> dict[str, Any]:
    """As JSON; an agent with nothing allowed does nothing, and nobody decided that.

    Args:
        request: what was asked.
        answer: of those that have anything to decide; None where none has.
        loaded: that was asked.
    """
    columns: dict[str, list[Any]] = {"action": [], "by": [], "reason": [], "outside": []}
    if answer is not None:
        columns = {
            "action": answer.action.tolist(),
            "by": ["rule" if rule else "policy" for rule in answer.by_rule.tolist()],
            "reason": [x or None for x in answer.reason.tolist()],
            "outside": [round(x, 4) for x in answer.beyond.tolist()],
        }
    if np.count_nonzero(request.able) < len(request.able):
        columns = {name: _spread(column, request.able, NOTHING[name]) for name, column in columns.items()}
    if request.one:
        return {**{name: column[0] for name, column in columns.items()}, "export": loaded.export}
    return {**columns, "export": loaded.export}


NOTHING = {"action": None, "by": None, "reason": "nothing is allowed", "outside": 0.0}
"""Of an agent that has nothing to decide."""


def _spread(column: Iterable[Any], able: NDArray[np.bool_], otherwise: Any) -> list[Any]:
    """Values of those that are able at their places, `[R]`."""
    found = iter(column)
    return [next(found) if may else otherwise for may in able.tolist()]
