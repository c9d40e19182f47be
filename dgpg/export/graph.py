"""The decision of single agents as one function of tensors: rows in, rows out, any number of them and of choices."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn

from dgpg.domain import Decision
from dgpg.learning.actions import Box, Categorical, Simplex, distributions, logits
from dgpg.learning.networks import Independent, MlpActor
from dgpg.learning.networks.sharing import StackedLinear
from dgpg.learning.rounds import Team

KINDS = {Categorical: "choice", Box: "numbers", Simplex: "split"}
CHANCE = {distributions.Gaussian: "normal", logits.Gaussian: "normal", distributions.Beta: "elsewhere"}
"""What a draw is made of, by distribution; Beta's inverse is in SciPy alone, the rest has no chance."""


class Decide(nn.Module):
    """What each of R agents does, given what it sees: normalisation, mask and units are inside.

    `index` says which agents they are, and is asked for where it matters: networks, bounds or starts of their own.
    `noise` decides a draw: uniform numbers `[R]` for choices, standard normal ones for the rest.
    """

    low: Tensor
    high: Tensor
    start: Tensor

    def __init__(self, team: Team) -> None:
        super().__init__()
        assert team.rounds is None, "see dgpg.export.speaking"
        self.actor, self.action = deepcopy(team.actor).cpu().eval(), team.kind
        self.own = isinstance(self.actor.sharing, Independent)
        plain = isinstance(team.kind, Categorical)
        self.chance = "uniform" if plain else CHANCE.get(type(getattr(team.kind, "distribution", None)), "none")
        low, high = (team.kind.low, team.kind.high) if isinstance(team.kind, Box) else (torch.zeros(0), torch.zeros(0))
        start = team.kind.start if isinstance(team.kind, Simplex) else torch.zeros(0)
        for name, x in (("low", low), ("high", high), ("start", start)):
            self.register_buffer(name, x.detach().cpu().float())

    @property
    def drawn(self) -> bool:
        """Whether it draws from noise that it is given."""
        return self.chance in ("uniform", "normal")

    @property
    def kind(self) -> str:
        """choice, numbers or split."""
        return KINDS[type(self.action)]

    def inputs(self, decision: Decision) -> dict[str, Tensor]:
        """A row `[B N, ...]` for every agent of a decision, by the name of the input; noise is zero."""
        seen = decision.observation
        envs, agents, choices = seen.mask.shape
        found = {"agent": seen.agent.flatten(0, 1)}
        if self.own or self.kind != "choice":
            found = {"index": torch.arange(agents).repeat(envs)} | found
        if seen.choices.shape[-1]:
            found["choices"] = seen.choices.flatten(0, 1)
        if self.kind != "numbers":
            found["mask"] = seen.mask.flatten(0, 1)
        if self.drawn:
            width = {"choice": (), "numbers": self.low.shape[1:], "split": (choices,)}[self.kind]
            found["noise"] = torch.zeros(envs * agents, *width)
        return {name: x.detach().cpu() for name, x in found.items()}

    def outputs(self) -> tuple[str, ...]:
        """Names, in order."""
        return (
            *(("log_probability",) if self.kind == "choice" else ()), "greedy", *(("sampled",) if self.drawn else ())
        )  # fmt: skip

    def forward(
        self,
        agent: Tensor,
        index: Tensor | None = None,
        choices: Tensor | None = None,
        mask: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """`outputs`, a row an agent: log pi(k) `[R, K]` of choices, the action without chance, one that is drawn."""
        return self.decided(self.raw(agent, index, choices), index, mask, noise)

    def decided(
        self, raw: Tensor, index: Tensor | slice | None, mask: Tensor | None, noise: Tensor | None
    ) -> tuple[Tensor, ...]:
        """`outputs` of what the network says `[R, ...]`; the rest as for `forward`."""
        able = raw.new_ones(raw.shape[0], 1, dtype=torch.bool) if mask is None else mask
        policy = self.action.among(raw, able)
        greedy = self._units(self.action.greedy(policy), index)
        found = (policy,) if self.kind == "choice" else ()
        if noise is None:
            return (*found, greedy)
        return (*found, greedy, self._units(self._draw(policy, noise), index))

    def scores(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Outputs of the network for rows by name."""
        return self.raw(rows["agent"], rows.get("index"), rows.get("choices"))

    def raw(self, agent: Tensor, index: Tensor | slice | None = None, choices: Tensor | None = None) -> Tensor:
        """Outputs of the network, `[R, ...]`: of the one there is, or of each agent's own."""
        choices = _choices(agent, choices)
        if not self.own:
            raw: Tensor = self.actor(*self.actor.features(agent, choices))
            return raw
        named = {name: x[index] for name, x in self.actor.named_parameters()}
        inputs = self.actor.features(agent.unsqueeze(1), choices.unsqueeze(1))
        own: Tensor = torch.func.functional_call(self.actor, named, inputs)
        return own.squeeze(1)

    def _draw(self, policy: Tensor, noise: Tensor) -> Tensor:
        if isinstance(self.action, Categorical):
            return self.action.sample(policy, noise)
        assert isinstance(self.action, Box | Simplex)
        assert isinstance(self.action.distribution, distributions.Gaussian | logits.Gaussian)
        return self.action.distribution.drawn(policy, noise)

    def _units(self, action: Tensor, index: Tensor | slice | None) -> Tensor:
        """In the environment's units, as the kind's own `to_env`, of the rows' agents."""
        if self.kind == "choice":
            return action
        if self.kind == "numbers":
            low, high = self.low[index], self.high[index]
            return low + (high - low) * action
        return (self.start[index] + action).softmax(-1)


class Everyone(nn.Module):
    """The same of all agents at once, in their order: nothing of networks and bounds has to be looked up and copied."""

    def __init__(self, graph: Decide) -> None:
        super().__init__()
        self.single = graph
        self.grouped = Grouped(graph.actor) if isinstance(graph.actor, MlpActor) else None

    def outputs(self) -> tuple[str, ...]:
        """Names, in order."""
        return self.single.outputs()

    def forward(
        self, agent: Tensor, choices: Tensor | None = None, mask: Tensor | None = None, noise: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """As `Decide`, `[N, ...]`, of rows without `index`."""
        every = slice(None)
        if self.grouped is None:
            raw = self.single.raw(agent, every, choices)
        else:
            raw = self.grouped(self.single.actor.features(agent, _choices(agent, choices))[0])
        return self.single.decided(raw, every, mask, noise)


class Grouped(nn.Module):
    """Networks of N agents on a row each, as convolutions of N groups over one place.

    A runtime works such a layer out with its bias and its ReLU in one step; as N products of a row and a matrix it
    takes three, and for small networks the steps are what takes time.
    """

    def __init__(self, actor: MlpActor) -> None:
        super().__init__()
        layers = [*actor.layers, actor.last]
        self.layers = nn.Sequential(*(_grouped(one) if isinstance(one, StackedLinear) else one for one in layers))
        self.shape = actor.shape

    def forward(self, rows: Tensor) -> Tensor:
        """`[N, A, P]` from rows `[N, F]`."""
        raw: Tensor = self.layers(rows.reshape(1, -1, 1))
        return raw.view(rows.shape[0], *self.shape)


def _grouped(layer: StackedLinear) -> nn.Conv1d:
    """The same layer over one place."""
    count, inputs, outputs = layer.weight.shape
    found: nn.Conv1d = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Conv1d, count * inputs, count * outputs, 1, groups=count
    )
    found.weight = nn.Parameter(layer.weight.detach().mT.reshape(-1, inputs, 1))
    found.bias = nn.Parameter(layer.bias.detach().flatten())
    return found


def _choices(agent: Tensor, choices: Tensor | None) -> Tensor:
    return agent.new_zeros(agent.shape[0], 1, 0) if choices is None else choices
