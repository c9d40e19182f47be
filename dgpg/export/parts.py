"""What an export is made of: the graphs that are written, a file each, and what each is held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dgpg.domain import Environment
from dgpg.export.graph import Decide, Everyone
from dgpg.export.moments import Moments, moments, spoken
from dgpg.export.speaking import Announce, Hear, Settle
from dgpg.export.verify import Compared, Graph, compare, recorded, sizes, verify, verify_everyone
from dgpg.learning.rounds import Team

NAMES = ("announce", "hear", "everyone", "policy")
"""Of all graphs that there may be; `policy` decides and is always there."""
Sessions = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """A graph to write."""

    graph: Any
    """A module with `outputs()`, whose `forward` takes inputs by name."""
    sample: dict[str, Tensor]
    """Two rows of each input, or all that there may be."""
    chooses: bool
    """Whether any number of choices is served."""
    fixed: bool = False
    """Whether it is of as many rows as the sample alone."""


class Made(Protocol):
    """The parts of one policy."""

    @property
    def graph(self) -> Graph:
        """What decides."""
        ...

    @property
    def rows(self) -> dict[str, Tensor]:
        """What it was asked along episodes, `[R, ...]` of each input."""
        ...

    @property
    def parts(self) -> dict[str, Part]:
        """By the name of the file."""
        ...

    @property
    def rounds(self) -> dict[str, Any] | None:
        """How agents speak; None where they do not."""
        ...

    def compared(self, sessions: Sessions, seed: int) -> Compared:
        """Files against torch; RunError where they differ."""
        ...


@dataclass(frozen=True)
class Alone:
    """Agents that decide by what they see."""

    graph: Decide
    rows: dict[str, Tensor]
    agents: int
    rounds: None = None

    @property
    def parts(self) -> dict[str, Part]:
        """One agent or many; where each has a network of its own, all at once too."""
        chooses = self.graph.kind == "choice"
        found = {"policy": Part(self.graph, {name: x[:2] for name, x in self.rows.items()}, chooses)}
        if self.graph.own:
            every = {name: x[torch.arange(self.agents) % len(x)] for name, x in self.rows.items() if name != "index"}
            found["everyone"] = Part(Everyone(self.graph), every, chooses, fixed=True)
        return found

    def compared(self, sessions: Sessions, seed: int) -> Compared:
        """Each file."""
        found = verify(self.graph, sessions["policy"], self.rows, seed)
        if "everyone" in sessions:
            found += verify_everyone(self.graph, sessions["everyone"], self.rows, self.agents, seed)
        return found


@dataclass(frozen=True)
class Speaking:
    """Agents that speak before they decide."""

    announce: Announce
    hear: Hear
    graph: Settle
    moments: Moments
    asked: dict[str, dict[str, Tensor]]

    @property
    def rows(self) -> dict[str, Tensor]:
        """Of the last question."""
        return self.asked["policy"]

    @property
    def parts(self) -> dict[str, Part]:
        """A file for each of the three questions, of as many choices as in training."""
        graphs = {"announce": self.announce, "hear": self.hear, "policy": self.graph}
        return {
            name: Part(graph, {key: x[:2] for key, x in self.asked[name].items()}, chooses=False)
            for name, graph in graphs.items()
        }

    @property
    def rounds(self) -> dict[str, Any]:
        """What the page says of them."""
        places, width = self.moments.rows["value"].shape[2:]
        context = [name for name in self.moments.rows if name.startswith("context.")]
        return {
            "count": self.graph.count, "blocks": self.moments.blocks, "places": places, "coordinates": width,
            "context": context,
        }  # fmt: skip

    def compared(self, sessions: Sessions, seed: int) -> Compared:
        """Each file, and all rounds together against what training makes of all agents at once."""
        found = Compared()
        for name, part in self.parts.items():
            found += verify(part.graph, sessions[name], self.asked[name], seed)
        return found + self._together(sessions)

    @torch.no_grad()
    def _together(self, sessions: Sessions) -> Compared:
        rows = {name: x.numpy() for name, x in self.moments.rows.items()}
        announced, said = sessions["announce"].run(None, rows)
        for turn in range(1, self.graph.count + 1):
            heard = self.moments.heard(torch.from_numpy(said)).numpy()
            told = {**rows, "last": announced, "heard": heard}
            if self.graph.descends:
                told["turn"] = np.full(len(said), turn)
            if turn < self.graph.count:
                announced, said = sessions["hear"].run(None, told)
        right = self.moments.logs
        told["noise"] = self.rows["noise"].numpy()
        outputs = ("log_probability", "greedy", "sampled")
        got = dict(zip(outputs, sessions["policy"].run(list(outputs), told), strict=True))
        drawn = self.graph.action.sample(right, self.rows["noise"]).numpy()
        expected = {"log_probability": right.numpy(), "greedy": right.argmax(-1).numpy(), "sampled": drawn}
        return compare("after all rounds,", expected, got, sizes(self.graph, self.rows), told["noise"])


def parts(team: Team, env: Environment, least: int, seed: int) -> Made:
    """What there is to write of a policy, with at least so many decisions to compare.

    Raises:
        ConfigError: agents speak of what no file for one of them can hold.
    """
    if team.rounds is None:
        graph = Decide(team)
        return Alone(graph, recorded(graph, team, env, least, seed), env.num_agents)
    announce, hear, settle = Announce(team), Hear(team), Settle(team)
    found = moments(announce, team, env, least, seed)
    return Speaking(announce, hear, settle, found, spoken(announce, hear, settle, found, seed))
