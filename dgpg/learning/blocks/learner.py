"""Learns what blocks cost from what they did cost, each iteration before guidance is measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, SupportsBlockPotential, random
from dgpg.domain.types import flatten, map_tensors
from dgpg.learning.blocks import targets
from dgpg.learning.blocks.attributed import brought
from dgpg.learning.blocks.value import BlockValue, Correction, looks
from dgpg.learning.config import BlockConfig
from dgpg.learning.trajectory import Trajectory

ROWS = 25_600
"""Blocks that an iteration adds to what is remembered, at most."""
BATCH = 6_400
"""Blocks in an Adam step, about."""
AHEAD = 8
"""Steps that must have been seen after a moment, at most a quarter of an episode."""
LEAST = 0.1
"""Correlation with what followed from which on the model's potential is scaled by it: it may guide alone at first."""
LEVEL = 3.0
"""Times the learning rate for what each block costs whatever is done: one number each, seen only in its own rows."""
MARGIN = 0.01
"""Share of the variance by which one must explain what followed better than the other to be believed more."""
RIDGE = 0.05
"""Weight of the correction's square beside its error's."""


@dataclass(frozen=True)
class Seen:
    """Of S moments, what is learned from; phi and target less the means of blocks and moments (`targets.within`)."""

    inputs: Tensor
    """Standard inputs, float16 `[S, G, F]`."""
    phi: Tensor
    """The model's potential of each block, `[S, G]`."""
    target: Tensor
    """What followed, `[S, G]`."""
    weight: Tensor
    """1 / variance of what followed in that iteration, `[S]`: a poor policy's costs are large, and say the least."""


class BlockLearner:
    """Owns the correction of a potential, its optimiser, its random numbers and what was seen."""

    def __init__(
        self,
        base: SupportsBlockPotential,
        mapping: AgentMapping,
        correction: Correction,
        config: BlockConfig,
        horizon: int,
        seed: int,
    ) -> None:
        self.mapping, self.correction, self.config = mapping, correction, config
        self.model = BlockValue(base, mapping, correction)
        """The potential as it is known now."""
        self.ahead = min(AHEAD, horizon // 4)
        self.order = random.generator(random.derive(seed, "blocks"))
        self.optimiser = torch.optim.Adam(correction.net.parameters(), config.lr)
        self.optimiser.add_param_group({"params": [correction.level], "lr": LEVEL * config.lr})
        self.iteration, self.memory = 0, list[Seen]()
        self.added: list[float] = []
        """What a unit of work added to costs in each iteration that is remembered."""

    def learn(self, trajectory: Trajectory) -> dict[str, Tensor]:
        """Take in what blocks cost in a trajectory, `[T, B, G]`, and fit their values to it.

        Returns:
            Numbers `[]`. `block_fit` and `model_fit`: share of the variance of what followed that the value known
            before, and the model's potential, explain; `block_fee`: price of a unit of work; `block_share`: how far
            the correction is heard.
        """
        with torch.no_grad():
            raw, phi = self._looked_at(trajectory)
            if self.iteration == 0:
                self._begin(raw)
            inputs = self.correction.standard(raw)
            target, price = self._followed(trajectory, inputs, phi)
            enough = self._known(trajectory)
            phi, target = targets.within(phi[enough]), targets.within(target[enough])
            weight = (1 / target.var().clamp(min=1e-30)).expand(len(target))
            new = self._some(Seen(inputs[enough].half(), phi, target, weight))
            model_fit, block_fit = self._judged(new)
            self.memory = [*self.memory, new][-self.config.keep :]
        whole = Seen(*(torch.cat([getattr(one, f.name) for one in self.memory]) for f in fields(Seen)))
        self._rescale(new)
        for moments in self._batches(*whole.target.shape):
            self._descend(map_tensors(lambda x: x.index_select(0, moments), whole))  # noqa: B023 (called at once)
        share = self._go_over(block_fit - model_fit)
        self.iteration += 1
        told = {"model_fit": model_fit, "block_fit": block_fit, "block_fee": price, "block_share": share}
        return {name: torch.tensor(x) for name, x in told.items()}

    def _known(self, trajectory: Trajectory) -> Tensor:
        """Moments after which enough was seen, `[T, B]`; all of them where every episode is shorter than that."""
        enough = targets.seen_enough(trajectory.terminated, trajectory.done, self.ahead)
        return enough if bool(enough.any()) else torch.ones_like(enough)

    def _looked_at(self, trajectory: Trajectory) -> tuple[Tensor, Tensor]:
        """Raw inputs `[T, B, G, F]` and the model's potential `[T, B, G]` of all blocks in the states x_t."""
        state, context = trajectory.state.flatten(0, 1), flatten(trajectory.decision).context
        index = torch.arange(state.shape[1], device=state.device).expand(state.shape[:2])
        phi = self.model.base.block_potential(state, index, context)
        raw, shape = looks(self.mapping, state, index, context, phi), trajectory.reward.shape
        return raw.view(*shape, *raw.shape[1:]), phi.view(*shape, -1)

    def _begin(self, raw: Tensor) -> None:
        rows = raw.flatten(0, -2)
        self.correction.mean.copy_(rows.mean(0))
        self.correction.deviation.copy_(rows.std(0).clamp(min=1e-3))

    def _followed(self, trajectory: Trajectory, inputs: Tensor, phi: Tensor) -> tuple[Tensor, float]:
        """What each block's state led to, `[T, B, G]`, and the price of a unit of work."""
        cost, config = trajectory.block_cost, self.config
        assert cost is not None
        work = brought(trajectory, self.mapping, config.gamma)
        price = config.fee * self._price(trajectory, cost, work)
        fee = price * work
        tail = (cost - fee).mean((0, 1)) / (1 - config.gamma)
        value = None
        if self.iteration > 1:
            value = self.correction.scale * phi + self.correction.unit * self.correction(inputs)
            value = value - value.mean((0, 1)) + tail
        ends = trajectory.terminated, trajectory.done
        return targets.returns(cost, fee, value, tail, *ends, config.gamma, config.lambda_), price

    def _price(self, trajectory: Trajectory, cost: Tensor, work: Tensor) -> float:
        """Of a unit of work: the mean, at which what arrived pays for all costs, or what a unit added where it is less.

        Args:
            trajectory: of this iteration.
            cost: of blocks, `[T, B, G]`.
            work: that arrived, discounted, `[T, B, G]`.
        """
        ends, gamma = (trajectory.terminated, trajectory.done), self.config.gamma
        whole = cost.sum(-1, keepdim=True)
        tail = whole.mean((0, 1)) / (1 - gamma)
        followed = targets.returns(whole, 0 * whole, None, tail, *ends, gamma, 1.0).squeeze(-1)
        added = targets.added_by(work.sum(-1), followed, self._known(trajectory))
        self.added = [*self.added, added][-self.config.keep :]
        mean = targets.price_of(brought(trajectory, self.mapping, 1.0), cost)
        return min(mean, max(sum(self.added) / len(self.added), 0.0))

    def _some(self, seen: Seen) -> Seen:
        """As many moments as make ROWS blocks, drawn at random."""
        moments, blocks = seen.target.shape
        chosen = torch.randperm(moments, generator=self.order)[: max(ROWS // blocks, 1)]
        return map_tensors(lambda x: x.index_select(0, chosen.to(x.device)), seen)

    def _judged(self, new: Seen) -> tuple[float, float]:
        """Shares of the variance of what followed that phi, and the value known before, explain."""
        model_fit = targets.fit(new.phi, new.target)[1]
        if self.iteration == 0:
            return model_fit, model_fit
        learned = targets.within(self.correction.unit * self.correction(new.inputs.float()))
        return model_fit, targets.fit(self.correction.scale * new.phi + learned, new.target)[1]

    def _go_over(self, gain: float) -> float:
        """One step towards what was learned where it foretold better than the model what came, back where worse.

        Where neither foretold more, as of a policy that does the same in all moments, nothing is to be said.
        """
        step = math.copysign(1 / self.config.over, gain) if abs(gain) > MARGIN else 0.0
        share = min(max(float(self.correction.share) + step, 0.0), 1.0)
        self.correction.share.fill_(share)
        return share

    def _rescale(self, new: Seen) -> None:
        """Scale a of the model's potential by regression, and the unit of what is left.

        Where one of them does not vary, as of a single moment or of a policy that does the same in all, both stay.
        """
        apart, size, slope = float(new.phi.std()), float(new.target.std()), targets.fit(new.phi, new.target)[0]
        if apart > 0 and size > 0:
            self.correction.scale.fill_(max(slope, LEAST * size / apart))
        if size > 0:
            self.correction.unit.fill_(size)

    def _batches(self, moments: int, blocks: int) -> Iterator[Tensor]:
        """Moments of each Adam step: permutations of all, cut in equal parts."""
        size = min(max(BATCH // blocks, 8), moments)
        left = torch.empty(0, dtype=torch.int64)
        for _ in range(self.config.steps):
            if len(left) < size:
                left = torch.randperm(moments, generator=self.order)
            chosen, left = left[:size], left[size:]
            yield chosen.to(self.correction.unit.device)

    def _descend(self, part: Seen) -> None:
        """One Adam step on the squared error of the correction, in units."""
        target = (part.target - self.correction.scale * part.phi) / self.correction.unit
        said = self.correction(part.inputs.float())
        said = said - said.mean(1, keepdim=True) - self.correction.level
        weight = (part.weight * self.correction.unit.square()).unsqueeze(-1)
        loss = (weight * (said - target).square()).mean() + RIDGE * said.square().mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next iteration depends on."""
        return {
            "iteration": self.iteration,
            "correction": self.correction.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "order": self.order.get_state(),
            "added": list(self.added),
            "memory": [{f.name: getattr(one, f.name) for f in fields(Seen)} for one in self.memory],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned, bit for bit."""
        self.iteration = state["iteration"]
        self.correction.load_state_dict(state["correction"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.order.set_state(state["order"].cpu())
        self.added = list(state["added"])
        self.memory = [Seen(**one) for one in state["memory"]]
