"""What follows on single agents' tries: one after the other, or all of them in one batch where that changes no bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from dgpg.domain import Environment, SupportsParts
from dgpg.measuring.tries import Choices, Numbers

WIDEST = 2**16
"""Agents of all environments of such a batch at most: more keep a processor as busy alone."""


class Replays:
    """Follows K tries at a time, always as many.

    Args:
        env: where they are done, left as after the last of them.
        way: what is tried, and how agents act later.
        make: so many environments of the same instance, for all tries together; used where `env` is one of
            `SupportsParts`.
    """

    def __init__(
        self, env: Environment, way: Choices | Numbers, make: Callable[[int], Environment] | None = None
    ) -> None:
        self.env, self.way, self._make = env, way, make
        self._together: Environment | None = None

    def paid(self, saved: dict[str, Any], tries: Sequence[Tensor], noise: Tensor) -> Tensor:
        """Cost of each step from each of K joint actions `[B, N, ...]` on, `[K, B, H]`, 0 after the episode's end.

        Args:
            saved: where they are done.
            tries: the first joint actions.
            noise: of even draws after them, the same for each, `[B, H, N, ...]`.
        """
        env, count = self.env, len(tries)
        if self._make is None or not isinstance(env, SupportsParts) or count * env.num_envs * env.num_agents > WIDEST:
            return torch.stack([_followed(env, self.way, saved, actions, noise) for actions in tries])
        self._together = self._together or self._make(count * env.num_envs)
        whole, noise = dict(env.joined([saved] * count)), torch.cat([noise] * count)
        paid = _followed(self._together, self.way, whole, torch.cat(list(tries)), noise)
        *_, last = env.apart(self._together.state_dict(), [len(paid) - env.num_envs, env.num_envs])
        env.load_state_dict(dict(last))  # as if tries had been done in turn: what is drawn next is the same
        return paid.view(count, -1, paid.shape[-1])


def _followed(
    env: Environment, way: Choices | Numbers, saved: dict[str, Any], actions: Tensor, noise: Tensor
) -> Tensor:
    """Cost of each step from a joint action on, `[B, H]`, 0 after the episode's end."""
    env.load_state_dict(saved)
    step = env.step(actions)
    paid, over = [-step.reward.double()], step.terminated | step.truncated
    for noise_t in noise[:, 1:].unbind(1):
        if over.all():
            break
        step = env.step(way.even(step.decision.observation, noise_t))
        paid.append(-step.reward.double() * ~over)
        over = over | step.terminated | step.truncated
    missing = noise.shape[1] - len(paid)
    return torch.nn.functional.pad(torch.stack(paid, -1), (0, missing))
