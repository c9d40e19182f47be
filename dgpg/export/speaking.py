"""Agents that speak before they act, as functions of one agent: announce, hear, decide (docs/adr/0017)."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from dgpg.domain import AgentMapping, Context, Decision, Influence, Observation, SupportsBlockPotential, contract
from dgpg.errors import ConfigError
from dgpg.learning.actions import Categorical
from dgpg.learning.guidance import gather_blocks, rise
from dgpg.learning.networks import Independent
from dgpg.learning.rounds import MirrorDescent, Team
from dgpg.learning.rounds.intents import amounts, message

PLACES = ("block", "here", "value")
"""Inputs that say what an agent's choices do to the state of the system."""


class Rows:
    """Agents are rows already: who shares weights is settled by whoever asks."""

    def rows(self, x: Tensor, active: Tensor) -> Tensor:
        """As they are."""
        return x

    def spread(self, rows: Tensor, active: Tensor) -> Tensor:
        """As they are."""
        return rows


class Thought(nn.Module):
    """One pass of an actor on rows: what it sees and a message in, outputs of the network out."""

    def __init__(self, actor: Any) -> None:
        super().__init__()
        self.actor = deepcopy(actor).cpu().eval()
        self.actor.sharing = Rows()

    def forward(self, agent: Tensor, choices: Tensor, mask: Tensor, said: Tensor, turn: Tensor) -> Tensor:
        """`[..., K]` of features `[..., F]`, `[..., K, C]` and a message `[..., K, M]`."""
        if isinstance(self.actor, MirrorDescent):
            at = turn.clamp(max=len(self.actor.keep) - 1)
            heard = self.actor.hearing(said)
            stays: Tensor = self.actor.keep[at, None] * said[..., -1]
            moved: Tensor = stays + self.actor.step[at, None] * heard[..., -2]
            return moved
        seen = Observation(agent, choices, mask, agent.new_zeros(0))
        found: Tensor = self.actor.decode(self.actor.encode(seen), said, mask, 0)
        return found


class Turn(nn.Module):
    """What R agents would do after what they have heard, `log pi(k)`; each row is a moment of its own to the model."""

    def __init__(self, team: Team) -> None:
        super().__init__()
        assert team.rounds is not None
        if not isinstance(team.kind, Categorical):
            raise ConfigError(
                "this policy speaks in rounds about numbers or splits: what an agent makes of them is the slope of the "
                "model along a mapping of everybody's actions, which no file for one agent holds; train with "
                "--set coordination.rounds=0 to export it"
            )
        if not isinstance(team.rounds.model, SupportsBlockPotential):
            raise ConfigError(
                "this policy speaks in rounds, and its model is no sum over blocks (it has no block_potential), so "
                "what a choice costs is not known from what it touches; train with a model that is, or with "
                "--set coordination.rounds=0"
            )
        self.action, self.count = team.kind, team.rounds.count
        self.own, self.descends = isinstance(team.actor.sharing, Independent), isinstance(team.actor, MirrorDescent)
        self.model = team.rounds.model
        self.thought = Thought(team.actor)

    @property
    def kind(self) -> str:
        """Agents choose."""
        return "choice"

    @property
    def chance(self) -> str:
        """What decides a draw."""
        return "uniform"

    @property
    def drawn(self) -> bool:
        """Whether it draws."""
        return "sampled" in self.outputs()

    def scores(self, rows: Mapping[str, Tensor]) -> Tensor:
        """log pi(k) where allowed, else 0, `[R, K]`: how large they are says what rounding does."""
        logs = self(**rows)[0]
        return torch.where(logs.isinf(), 0.0, logs)

    def outputs(self) -> tuple[str, ...]:
        """Names, in order: what an agent announces, and what of it is added up over agents."""
        return ("announced", "said")

    def first(self, rows: dict[str, Tensor]) -> Tensor:
        """Before anyone has spoken, `[R, K]`."""
        amount = amounts(rows["value"], rows["mask"].any(-1))
        nobody = torch.zeros_like(amount)
        said = message(nobody, self._cost(rows, nobody), torch.zeros_like(amount[..., 0, 0]), None, rows["mask"])
        return self._policy(rows, said)

    def next(self, rows: dict[str, Tensor]) -> Tensor:
        """After `heard`, the sums `[R, K, P, m + 1]` of what all said, and `last`, what each announced, `[R, K]`."""
        probability = rows["last"].exp()
        own = self.said(rows, probability).flatten(1, 2)
        places = rows["block"].flatten(1)
        same = (places.unsqueeze(-1) == places.unsqueeze(-2)).to(own)
        others = rows["heard"] - (same @ own).view_as(rows["heard"])
        said = message(others, self._cost(rows, others), probability, rows["last"], rows["mask"])
        return self._policy(rows, said)

    def said(self, rows: dict[str, Tensor], probability: Tensor) -> Tensor:
        """What agents add to the blocks that their choices touch, and how many they are, `[R, K, P, m + 1]`."""
        return amounts(rows["value"], rows["mask"].any(-1)) * probability[..., None, None]

    def _cost(self, rows: dict[str, Tensor], others: Tensor) -> Tensor:
        influence = Influence(rows["block"].unsqueeze(1), rows["value"].unsqueeze(1))
        context = {name.removeprefix("context."): x for name, x in rows.items() if name.startswith("context.")}
        assert isinstance(self.model, SupportsBlockPotential)
        return rise(self.model, (rows["here"] + others[..., :-1]).unsqueeze(1), influence, context).squeeze(1)

    def _policy(self, rows: dict[str, Tensor], said: Tensor) -> Tensor:
        turn = rows.get("turn", torch.zeros(1, dtype=torch.int64))
        seen = (rows["agent"], rows["choices"], rows["mask"], said, turn)
        if not self.own:
            return self.action.among(self.thought(*seen), rows["mask"])
        named = {name: x[rows["index"]] for name, x in self.thought.named_parameters()}
        apart = tuple(x.unsqueeze(1) for x in seen[:-1])
        found: Tensor = torch.func.functional_call(self.thought, named, (*apart, turn))
        return self.action.among(found.squeeze(1), rows["mask"])


class Announce(Turn):
    """What an agent says first."""

    def forward(self, **rows: Tensor) -> tuple[Tensor, Tensor]:
        """log pi(k) `[R, K]`, and what is added up of it."""
        announced = self.first(rows)
        return announced, self.said(rows, announced.exp())


class Hear(Turn):
    """What it says after a round."""

    def forward(self, **rows: Tensor) -> tuple[Tensor, Tensor]:
        """As `Announce`, `[R, ...]`."""
        announced = self.next(rows)
        return announced, self.said(rows, announced.exp())


class Settle(Turn):
    """What it does after the last round."""

    def outputs(self) -> tuple[str, ...]:
        """Names, in order."""
        return ("log_probability", "greedy", "sampled")

    def forward(self, **rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log pi(k) `[R, K]`, the most probable choice, one that is drawn by `noise` `[R]`."""
        logs = self.next(rows)
        return logs, self.action.greedy(logs), self.action.sample(logs, rows["noise"])


class Asked(dict[str, Tensor]):
    """A context that remembers what it was asked for."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.names: list[str] = []

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.names:
            self.names.append(name)
        return super().__getitem__(name)


def known(turn: Turn, team: Team, decision: Decision) -> dict[str, Tensor]:
    """What each agent of a decision knows before anyone speaks, a row `[B N, ...]` each, by name."""
    assert team.rounds is not None
    seen, mapping = decision.observation, contract.choosing(team.rounds.mapping)
    influence, here = places_of(mapping, decision)
    context = Asked(decision.context)
    rise(turn.model, here, influence, context)
    agents = seen.mask.shape[1]
    found = {"agent": seen.agent.flatten(0, 1), "choices": seen.choices.flatten(0, 1), "mask": seen.mask.flatten(0, 1)}
    if turn.own:
        found = {"index": torch.arange(agents).repeat(len(seen.mask))} | found
    found |= {
        "block": influence.index.flatten(0, 1),
        "here": here.flatten(0, 1),
        "value": influence.value.flatten(0, 1),
    }
    found |= {f"context.{name}": context[name].repeat_interleave(agents, 0) for name in context.names}
    return {name: x.detach().cpu().contiguous() for name, x in found.items()}


def places_of(mapping: AgentMapping, decision: Decision) -> tuple[Influence, Tensor]:
    """z_i(k), and x_0 on the blocks that it touches, `[B, N, K, P, m]`."""
    influence = mapping.influence(decision.observation, decision.context)
    return influence, gather_blocks(mapping.base_state(decision.context), influence.index)
