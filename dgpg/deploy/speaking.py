"""Agents that speak before they act: what they say, how it adds up, and all of them together in one process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dgpg.errors import DecisionError

if TYPE_CHECKING:
    from dgpg.deploy.policy import Policy


class Words(NamedTuple):
    """What agents say in a round, with a row an agent, or of one agent without."""

    announced: NDArray[np.float32]
    """log pi(k) as it would decide now, `[R, K]`: the agent keeps it for the next round."""
    said: NDArray[np.float32]
    """What it adds to the blocks that its choices touch, and how many it is, `[R, K, P, m + 1]`: what travels."""


def totals(block: ArrayLike, said: ArrayLike, blocks: int, moment: ArrayLike = 0) -> NDArray[np.float32]:
    """What agents hear: the sums of what all `said`, on the blocks that the choices of each touch, `[R, K, P, m + 1]`.

    Whoever adds up needs no more than this. In float64, so that the order of agents does not matter.

    Args:
        block: `[R, K, P]`.
        said: `[R, K, P, m + 1]`.
        blocks: G, `rounds.blocks` of the policy's description.
        moment: which moment each agent is in, from 0, `[R]`; those of one hear each other.

    Raises:
        DecisionError: blocks that are not there, or not as many as things said.
    """
    place, spoken = np.asarray(block, np.int64), np.asarray(said, np.float64)
    if spoken.shape[:-1] != place.shape or not ((place >= 0) & (place < blocks)).all():
        raise DecisionError(
            f"block: expected numbers from 0 to {blocks - 1}, one for each place of `said` {list(spoken.shape)}, "
            f"got {list(place.shape)}"
        )
    at = place + np.reshape(np.asarray(moment, np.int64), (-1,) + (1,) * (place.ndim - 1)) * blocks
    found = np.zeros((int(at.max(initial=0)) + 1, spoken.shape[-1]))
    np.add.at(found, at, spoken)
    heard: NDArray[np.float32] = found[at].astype(np.float32)
    return heard


def agree(
    policy: Policy, rows: Mapping[str, Any], places: Mapping[str, ArrayLike], moment: ArrayLike = 0,
    rng: np.random.Generator | None = None,
) -> NDArray[Any]:  # fmt: skip
    """What agents do that speak in one process, `[R]`: all rounds, and the decision.

    Args:
        policy: that speaks in rounds.
        rows: `agent`, `choices`, and where they are asked for `mask` and `index`, as for `Policy.act`, a row an agent.
        places: as for `Policy.announce`.
        moment: see `totals`.
        rng: draws the actions; None takes those without chance.

    Raises:
        DecisionError: as `Policy.announce`.
    """
    words, told = policy.announce(**rows, places=places), policy.rounds()
    for turn in range(1, told["count"]):
        heard = totals(places["block"], words.said, told["blocks"], moment)
        words = policy.hear(**rows, places=places, last=words.announced, heard=heard, turn=turn)
    heard = totals(places["block"], words.said, told["blocks"], moment)
    return policy.decide(**rows, places=places, last=words.announced, heard=heard, rng=rng)
