"""Rules on what a dispatcher sees: those of `dgpg_cloud.baselines` with the same information."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class View:
    """Parts of the features of choices `[..., K, C]`, each `[..., K]` unless it says otherwise."""

    fits_now: NDArray[np.bool_]
    """Nobody waits there and everything that the job asks for is free."""
    share: Floats
    """Largest requested share of a resource if the job went there, 3 at most."""
    queued: Floats
    """Jobs waiting there."""
    drain: Floats
    """Steps until the node has done its work, if it ran at capacity, by resource `[..., K, R]`."""
    steps: Floats
    """Whole steps that the job would run."""
    price: Floats
    """USD per hour."""
    off: NDArray[np.bool_]
    """Nothing runs or queues there."""

    @classmethod
    def of(cls, choices: Floats) -> View:
        """Of features in the order of the names."""
        r = (choices.shape[-1] - 8) // 5
        requested, share = choices[..., r : 2 * r], choices[..., 4 * r + 4 : 5 * r + 4]
        return cls(
            fits_now=choices[..., -4] > 0.5,
            share=(requested + share).max(-1),
            queued=count(choices[..., 3 * r]),
            drain=count(choices[..., 2 * r : 3 * r]),
            # Logarithms of whole steps over the speed are off by rounding.
            steps=np.ceil(count(choices[..., -1]) * (1 - 1e-5)),
            price=choices[..., 3 * r + 2],
            off=choices[..., 3 * r + 1] < 0.5,
        )


def count(logarithm: Floats) -> Floats:
    """x of log(1 + x); what nobody can count is cut off, so that rules have an answer to everything."""
    found: Floats = np.expm1(np.minimum(logarithm, 30.0))
    return found


def shortest_queue(view: View) -> Floats:
    """Jobs waiting; among equals the least requested."""
    return view.queued + 0.5 * (view.share / (1 + view.share))


def expected_completion(view: View) -> Floats:
    """Steps until the job would be done: at once where it fits, else after the backlog."""
    return np.where(view.fits_now, 0.0, view.drain.max(-1)) + view.steps


def best_fit(view: View) -> Floats:
    """Least room left where it fits now, else the least requested."""
    return np.where(view.fits_now, 1 - view.share, 10 + view.share)


def least_requested(view: View) -> Floats:
    """Largest requested share after placing."""
    return view.share


RULES: Mapping[str, Callable[[View], Floats]] = MappingProxyType(
    {
        "least-requested": least_requested,
        "least-expected-completion": expected_completion,
        "best-fit": best_fit,
        "join-shortest-queue": shortest_queue,
    }
)
"""Scores, least is best."""


def priced(score: Callable[[View], Floats], price: float) -> Callable[[View], Floats]:
    """The score plus what the job would pay for switching the node on while it runs, at `price` a USD per hour."""
    return lambda view: score(view) + price * view.off * view.price * view.steps
