"""Policies. Written once; `sharing` says whether agents share weights.

Shared weights serve any number of agents and choices, independent ones any number of choices.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dgpg.domain import Observation
from dgpg.learning.networks.hearing import Hearing, Listener
from dgpg.learning.networks.layers import hidden_layers, input_norm
from dgpg.learning.networks.sharing import Sharing


class ScoringActor(nn.Module):
    """Scores each choice by itself from its own features and the agent's: logits `[..., K]`.

    The agent's part of the first layer is computed once, not once a choice; that of features once, not once a round.
    """

    def __init__(
        self, agent: int, choice: int, hidden: int, sharing: Sharing, seed: torch.Generator, messages: int = 0
    ) -> None:
        super().__init__()
        self.sharing = sharing
        self.agent_norm = input_norm(agent)
        self.choice_norm = input_norm(choice)
        self.agent_in = sharing.layer(agent, hidden, math.sqrt(2), seed)
        self.choice_in = sharing.layer(choice, hidden, math.sqrt(2), seed)
        self.middle = sharing.layer(hidden, hidden, math.sqrt(2), seed)
        self.score = sharing.layer(hidden, 1, 0.01, seed)
        if messages:
            self.listener = Listener(messages, 1, hidden, 2.0, sharing, seed)

    def features(self, agent: Tensor, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised `[..., F]` and `[..., K, C]`; they hold no parameters, so one pass serves a whole update phase."""
        return self.agent_norm(agent), self.choice_norm(choices)

    def forward(self, agent: Tensor, choices: Tensor) -> Tensor:
        """Logits `[..., K]` from normalised features `[..., F]` and `[..., K, C]`."""
        logits: Tensor = self.score(self.hidden(agent, choices)).squeeze(-1)
        return logits

    def hidden(self, agent: Tensor, choices: Tensor) -> Tensor:
        """What the last layer scores, `[..., K, hidden]`, from normalised features."""
        return self._last(self._first(agent, choices))

    def _first(self, agent: Tensor, choices: Tensor) -> Tensor:
        own = self.agent_in(agent).unsqueeze(-2)
        first: Tensor = self.choice_in(choices) + own
        return first

    def _last(self, first: Tensor) -> Tensor:
        # A layer of more than two dimensions returns a view, which autograd copies before it is changed in place.
        last: Tensor = self.middle(first.relu_()).relu()
        return last

    def outputs(self, observation: Observation) -> Tensor:
        """Logits `[B, N, K]` where there is something to decide; elsewhere they mean nothing."""
        return self.sharing.spread(self(*_inputs(self, observation)), observation.active)

    def encode(self, observation: Observation) -> Tensor:
        """What of the first layer no message changes, as rows `[..., K, hidden]`."""
        return self._first(*_inputs(self, observation))

    def decode(self, encoded: Tensor, message: Tensor, active: Tensor, turn: int) -> Tensor:
        """Logits `[B, N, K]` after a message `[B, N, K, M]`, raw; the same network in every turn."""
        heard, direct = self.listener(self.sharing.rows(message, active))
        score = self.score(self._last(encoded + self.listener.inner(heard))).squeeze(-1)
        return self.sharing.spread(score + direct, active)

    @property
    def hearing(self) -> Hearing:
        """Sizes of messages."""
        return self.listener.hearing


class MlpActor(nn.Module):
    """Parameters of a continuous policy from the agent's own features and those of its choices: `[..., A, P]`.

    Features are taken as they are: a set-point depends on their size, which LayerNorm would take away. Choices keep
    their order, so each has weights of its own.
    """

    def __init__(
        self, inputs: int, actions: int, width: int, hidden: int, sharing: Sharing, seed: torch.Generator,
        choices: int = 1, messages: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.sharing, self.shape = sharing, (actions, width)
        sizes = [inputs, hidden, hidden]
        self.layers = nn.Sequential(*hidden_layers(sizes, sharing, seed))
        self.last = sharing.layer(hidden, actions * width, 0.01, seed)
        if messages:
            self.listener = Listener(messages, choices, hidden, 0.0, sharing, seed)

    def features(self, agent: Tensor, choices: Tensor) -> tuple[Tensor, Tensor]:
        """One row of an agent's features and all of its choices', `[..., F + K C]`, in the place of the agent's."""
        return torch.cat([agent, choices.flatten(-2)], -1), choices

    def forward(self, agent: Tensor, choices: Tensor) -> Tensor:
        """`[..., A, P]` from such rows."""
        return self._shaped(self.last(self.hidden(agent, choices)))

    def hidden(self, agent: Tensor, choices: Tensor) -> Tensor:
        """What the last layer maps, `[..., hidden]`."""
        last: Tensor = self.layers(agent)
        return last

    def _shaped(self, raw: Tensor) -> Tensor:
        return raw.view(*raw.shape[:-1], *self.shape)

    def outputs(self, observation: Observation) -> Tensor:
        """`[B, N, A, P]`; where there is nothing to decide they mean nothing."""
        return self.sharing.spread(self(*_inputs(self, observation)), observation.active)

    def encode(self, observation: Observation) -> Tensor:
        """What of the first layer no message changes, as rows `[..., hidden]`."""
        first: Tensor = self.layers[0](_inputs(self, observation)[0])
        return first

    def decode(self, encoded: Tensor, message: Tensor, active: Tensor, turn: int) -> Tensor:
        """`[B, N, A, P]` after a message `[B, N, A, M]`, raw; the same network in every turn."""
        heard, direct = self.listener(self.sharing.rows(message, active))
        raw = self._shaped(self.last(self.layers[1:](encoded + self.listener.inner(heard.flatten(-2)))))
        count = direct.shape[-1]
        moved = torch.cat([raw[..., :count, :1] + direct.unsqueeze(-1), raw[..., :count, 1:]], -1)
        return self.sharing.spread(torch.cat([moved, raw[..., count:, :]], -2), active)

    @property
    def hearing(self) -> Hearing:
        """Sizes of messages."""
        return self.listener.hearing


Actor = ScoringActor | MlpActor


def _inputs(actor: Actor, observation: Observation) -> tuple[Tensor, Tensor]:
    """Features of the agents that act, as rows."""
    active = observation.active
    agent, choices = (actor.sharing.rows(x, active) for x in (observation.agent, observation.choices))
    return actor.features(agent, choices)
