"""Learns what blocks cost from what they did cost, each iteration before guidance is measured."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from dgpg.domain import AgentMapping, JointMapping, SupportsBlockPotential
from dgpg.domain.types import flatten, map_tensors
from dgpg.learning.blocks import targets
from dgpg.learning.blocks.attributed import brought
from dgpg.learning.blocks.memory import Memory, Seen
from dgpg.learning.blocks.value import BlockValue, Correction, looks
from dgpg.learning.config import BlockConfig
from dgpg.learning.gradients import give, gradient
from dgpg.learning.shards import WHOLE, Shard, mean, variance
from dgpg.learning.trajectory import Trajectory

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


class BlockLearner:
    """Owns the correction of a potential and its optimiser; what was seen is a `Memory` of each shard."""

    def __init__(
        self,
        base: SupportsBlockPotential,
        mapping: AgentMapping | JointMapping,
        correction: Correction,
        config: BlockConfig,
        horizon: int,
    ) -> None:
        self.mapping, self.correction, self.config = mapping, correction, config
        self.model = BlockValue(base, mapping, correction)
        """The potential as it is known now."""
        self.ahead = min(AHEAD, horizon // 4)
        self.optimiser = torch.optim.Adam(correction.net.parameters(), config.lr)
        self.optimiser.add_param_group({"params": [correction.level], "lr": LEVEL * config.lr})
        self.iteration = 0
        self.added: list[float] = []
        """What a unit of work added to costs in each iteration that is remembered."""

    def learn(self, trajectory: Trajectory, memory: Memory, shard: Shard = WHOLE) -> dict[str, Tensor]:
        """Take in what blocks cost in a shard's trajectory, `[T, B, G]`, and fit their values to all that was seen.

        Returns:
            Numbers `[]`. `block_fit` and `model_fit`: share of the variance of what followed that the value known
            before, and the model's potential, explain; `block_fee`: price of a unit of work; `block_share`: how far
            the correction is heard.
        """
        with torch.no_grad():
            raw, phi = self._looked_at(trajectory)
            if self.iteration == 0:
                self._begin(raw, shard)
            inputs = self.correction.standard(raw)
            target, price = self._followed(trajectory, inputs, phi, shard)
            enough = self._known(trajectory, shard)
            phi, target = targets.within(phi[enough], shard), targets.within(target[enough], shard)
            weight = (1 / variance(target, (0, 1), shard).clamp(min=1e-30)).view(1).expand(len(target))
            new = memory.some(Seen(inputs[enough].half(), phi, target, weight))
            model_fit, block_fit = self._judged(new, shard)
            memory.add(new)
        self._rescale(new, shard)
        self._fit(memory, shard)
        share = shard.once(lambda: self._go_over(block_fit - model_fit))
        told = {"model_fit": model_fit, "block_fit": block_fit, "block_fee": price, "block_share": share}
        return {name: torch.tensor(x) for name, x in told.items()}

    def _known(self, trajectory: Trajectory, shard: Shard) -> Tensor:
        """Moments after which enough was seen, `[T, B]`; all of them where every episode is shorter than that."""
        enough = targets.seen_enough(trajectory.terminated, trajectory.done, self.ahead)
        return enough if bool(shard.total(enough.sum())) else torch.ones_like(enough)

    def _looked_at(self, trajectory: Trajectory) -> tuple[Tensor, Tensor]:
        """Raw inputs `[T, B, G, F]` and the model's potential `[T, B, G]` of all blocks in the states x_t."""
        state, context = trajectory.state.flatten(0, 1), flatten(trajectory.decision).context
        index = torch.arange(state.shape[1], device=state.device).expand(state.shape[:2])
        phi = self.model.base.block_potential(state, index, context)
        raw, shape = looks(self.mapping, state, index, context, phi), trajectory.reward.shape
        return raw.view(*shape, *raw.shape[1:]), phi.view(*shape, -1)

    def _begin(self, raw: Tensor, shard: Shard) -> None:
        rows = raw.flatten(0, -2)
        middle, spread = mean(rows, (0,), shard)[0], variance(rows, (0,), shard)[0].sqrt().clamp(min=1e-3)
        shard.once(lambda: (self.correction.mean.copy_(middle), self.correction.deviation.copy_(spread)))

    def _followed(self, trajectory: Trajectory, inputs: Tensor, phi: Tensor, shard: Shard) -> tuple[Tensor, float]:
        """What each block's state led to, `[T, B, G]`, and the price of a unit of work."""
        cost, config = trajectory.block_cost, self.config
        assert cost is not None
        work = brought(trajectory, self.mapping, config.gamma)
        price = config.fee * self._price(trajectory, cost, work, shard)
        fee = price * work
        tail = mean(cost - fee, (0, 1), shard)[0, 0] / (1 - config.gamma)
        value = None
        if self.iteration > 1:
            value = self.correction.scale * phi + self.correction.unit * self.correction(inputs)
            value = value - mean(value, (0, 1), shard) + tail
        ends = trajectory.terminated, trajectory.done
        return targets.returns(cost, fee, value, tail, *ends, config.gamma, config.lambda_), price

    def _price(self, trajectory: Trajectory, cost: Tensor, work: Tensor, shard: Shard) -> float:
        """Of a unit of work: the mean, at which what arrived pays for all costs, or what a unit added where it is less.

        Args:
            trajectory: of this iteration.
            cost: of blocks, `[T, B, G]`.
            work: that arrived, discounted, `[T, B, G]`.
            shard: that these are of.
        """
        ends, gamma = (trajectory.terminated, trajectory.done), self.config.gamma
        whole = cost.sum(-1, keepdim=True)
        tail = mean(whole, (0, 1), shard)[0, 0] / (1 - gamma)
        followed = targets.returns(whole, 0 * whole, None, tail, *ends, gamma, 1.0).squeeze(-1)
        added = targets.added_by(work.sum(-1), followed, self._known(trajectory, shard), shard)
        usual = targets.price_of(brought(trajectory, self.mapping, 1.0), cost, shard)
        return min(usual, shard.once(lambda: self._usually_added(added)))

    def _usually_added(self, now: float) -> float:
        self.added = [*self.added, now][-self.config.keep :]
        return max(sum(self.added) / len(self.added), 0.0)

    def _judged(self, new: Seen, shard: Shard) -> tuple[float, float]:
        """Shares of the variance of what followed that phi, and the value known before, explain."""
        model_fit = targets.fit(new.phi, new.target, shard)[1]
        if self.iteration == 0:
            return model_fit, model_fit
        learned = targets.within(self.correction.unit * self.correction(new.inputs.float()), shard)
        return model_fit, targets.fit(self.correction.scale * new.phi + learned, new.target, shard)[1]

    def _go_over(self, gain: float) -> float:
        """One step towards what was learned where it foretold better than the model what came, back where worse.

        Where neither foretold more, as of a policy that does the same in all moments, nothing is to be said.
        """
        step = math.copysign(1 / self.config.over, gain) if abs(gain) > MARGIN else 0.0
        share = min(max(float(self.correction.share) + step, 0.0), 1.0)
        self.correction.share.fill_(share)
        self.iteration += 1
        return share

    def _rescale(self, new: Seen, shard: Shard) -> None:
        """Scale a of the model's potential by regression, and the unit of what is left.

        Where one of them does not vary, as of a single moment or of a policy that does the same in all, both stay.
        """
        apart, size = (float(variance(x, (0, 1), shard).sqrt()) for x in (new.phi, new.target))
        slope = targets.fit(new.phi, new.target, shard)[0]
        shard.once(lambda: self._scale(apart, size, slope))

    def _scale(self, apart: float, size: float, slope: float) -> None:
        if apart > 0 and size > 0:
            self.correction.scale.fill_(max(slope, LEAST * size / apart))
        if size > 0:
            self.correction.unit.fill_(size)

    def _fit(self, memory: Memory, shard: Shard) -> None:
        """Adam steps on the squared error of the correction, in units."""
        whole = memory.whole()
        size = memory.batch(*whole.target.shape)
        count = float(shard.total(torch.tensor(size))) * whole.target.shape[1]
        for moments in memory.drawn(len(whole.target), size, self.config.steps):
            part = map_tensors(lambda x: x.index_select(0, moments.to(x.device)), whole)  # noqa: B023 (called at once)
            flat = shard.total(gradient(self._error(part, count), self.correction))
            shard.once(lambda: self._step(flat))  # noqa: B023 (called at once)

    def _error(self, part: Seen, count: float) -> Tensor:
        """This part's share in the mean over `count` blocks of all shards, `[]`."""
        target = (part.target - self.correction.scale * part.phi) / self.correction.unit
        said = self.correction(part.inputs.float())
        said = said - said.mean(1, keepdim=True) - self.correction.level
        weight = (part.weight * self.correction.unit.square()).unsqueeze(-1)
        error: Tensor = (weight * (said - target).square()).sum() / count + RIDGE * (said.square().sum() / count)
        return error

    def _step(self, flat: Tensor) -> None:
        give(self.correction, flat)
        self.optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next iteration depends on."""
        return {
            "iteration": self.iteration,
            "correction": self.correction.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "added": list(self.added),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned, bit for bit."""
        self.iteration = state["iteration"]
        self.correction.load_state_dict(state["correction"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.added = list(state["added"])
