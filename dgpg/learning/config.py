"""What a run is made of, each setting with its default and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from dgpg.domain import Settings
from dgpg.learning.advantage import Scope
from dgpg.learning.networks import Parameters


class AlphaSchedule(Settings):
    """Weight of guidance in the advantage, linear over the run from `start` to `end`.

    Equal ends are a constant; `end=0` finishes with the unguided update (docs/theory.md S7).
    """

    start: float = Field(0.9, ge=0, le=1, description="alpha in the first iteration")
    end: float = Field(0.2, ge=0, le=1, description="alpha in the last iteration")

    @property
    def guidance_alone(self) -> bool:
        """Whether the return never enters."""
        return self.start == self.end == 1

    @property
    def ever(self) -> bool:
        """Whether guidance enters at all."""
        return self.start > 0 or self.end > 0

    def at(self, iteration: int, iterations: int) -> float:
        """alpha in iteration 0, ..., iterations - 1; it stays at `end` beyond."""
        share = min(iteration / (iterations - 1), 1.0) if iterations > 1 else 0.0
        return self.start + (self.end - self.start) * share


class BlockConfig(Settings):
    """Values of blocks (`dgpg.learning.blocks`), where the domain says what blocks cost."""

    use: bool = Field(True, description="learn them, and guide by them; false follows the model as it is")
    numbers: bool = Field(False, description="also where agents do not choose, but set numbers or splits")
    over: int = Field(
        10, ge=1, le=10**6, description="least iterations in which guidance goes over from model to value"
    )
    gamma: float = Field(0.95, ge=0, lt=1, description="discount a step of what blocks cost")
    lambda_: float = Field(0.9, ge=0, le=1, description="weight of what was seen against what is known of a block")
    fee: float = Field(1.0, ge=0, le=100, description="share of all costs that arriving work pays for at once")
    keep: int = Field(8, ge=1, le=1000, description="iterations that are learned from")
    steps: int = Field(24, ge=1, le=10_000, description="Adam steps an iteration")
    lr: float = Field(1e-2, gt=0, le=1, description="learning rate")
    hidden: int = Field(48, ge=1, le=1024, description="units of each of two hidden layers")


class TrainConfig(Settings):
    """Everything the trainer can be told; the defaults of an algorithm are in `dgpg.learning.algorithms`."""

    horizon: int | None = Field(
        None, ge=1, le=100_000, description="steps an iteration collects; an episode by default"
    )
    epochs: int = Field(2, ge=1, le=1000, description="passes over the collected data in one update phase")
    minibatches: int = Field(8, ge=1, le=100_000, description="Adam steps in one pass")
    actor_lr: float = Field(3e-3, gt=0, description="learning rate of the policy")
    critic_lr: float = Field(3e-3, gt=0, description="learning rate of the value")
    lr_end: float = Field(0.2, ge=0, le=1, description="share of the learning rates left at the end (linear)")
    gamma: float = Field(0.95, ge=0, le=1, description="discount a step")
    lambda_: float = Field(0.9, ge=0, le=1, description="lambda of GAE")
    clip: float = Field(0.2, gt=0, le=1e6, description="width of the policy's trust region")
    value_clip: float = Field(0.2, gt=0, le=1e6, description="width of the value's trust region, normalised units")
    huber: float = Field(10.0, gt=0, le=1e6, description="where the value loss turns linear, normalised units")
    entropy: float = Field(1e-3, ge=0, le=1e6, description="weight of the entropy bonus")
    max_grad_norm: float = Field(0.5, gt=0, le=1e9, description="gradients are scaled down to this norm")
    parameters: Parameters = Field(
        "shared", description="one network for all agents, or one for each (a central critic is always one)"
    )
    actor_hidden: int = Field(32, ge=1, le=4096, description="units of each hidden layer of the policy")
    critic_hidden: int = Field(64, ge=1, le=4096, description="units of each hidden layer of the critic")
    normalise: Scope = Field("batch", description="what the return advantage is normalised over")
    estimator: str | None = Field(
        None, description="how the analytical model enters the update; default all_action for choices, else pathwise"
    )
    distribution: Literal["gaussian", "beta", "mean"] | None = Field(
        None,
        description="of continuous actions: gaussian, beta (numbers only), or mean: no chance, needs alpha 1; default "
        "gaussian, and mean for splits wherever guidance is alone",
    )
    guidance_scale: Literal["none", "influence"] = Field(
        "none", description="what an agent's guidance is divided by before the batch normaliser"
    )
    alpha: AlphaSchedule = AlphaSchedule()
    blocks: BlockConfig = BlockConfig()
    shards: int = Field(
        1, ge=1, le=65536, description="parts that environments are in for good; processes share them alike"
    )
    threads: int | None = Field(
        None, ge=1, le=1024, description="torch threads of a process; chosen by problem size by default, 1 with shards"
    )
    checkpoint_every: int = Field(5, ge=1, le=10**9, description="iterations between checkpoints")
    checkpoint_minutes: float = Field(
        5.0, gt=0, le=1e9, description="time after which there is a checkpoint all the same"
    )


class CoordinationConfig(Settings):
    """Intent rounds, see `dgpg.learning.rounds.coordination`."""

    rounds: int = Field(0, ge=0, le=100, description="times that agents announce their policies before they act")
    detached: bool = Field(False, description="whether no gradient flows through messages")


class ChannelConfig(Settings):
    """Rounds where a policy acts, and what is wrong with its messages there."""

    rounds: int | None = Field(None, ge=0, le=100, description="rounds; those of the training by default")
    deaf: float = Field(0.0, ge=0, le=1, description="share of agents that hear nothing in a step")
    noise: float = Field(0.0, ge=0, le=10, description="relative error of every sum, a standard deviation")
    late: bool = Field(False, description="whether messages come one round late")


class RunConfig(Settings):
    """A resolved run, as `config.json` holds it: everything needed to repeat it."""

    domain: str
    algorithm: str
    model: str | None = Field(None, description="analytical model; the domain's own by default")
    iterations: int = Field(40, ge=1, le=10**9, description="total number that schedules are laid over")
    num_envs: int = Field(8, ge=1, le=65536, description="parallel environments")
    seed: int = Field(0, ge=0, lt=2**48)
    device: Literal["cpu", "cuda"] = "cpu"
    train: TrainConfig = TrainConfig()
    coordination: CoordinationConfig = CoordinationConfig()
    settings: dict[str, Any] = Field(default_factory=dict, description="the domain's own configuration")

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, values: Any) -> Any:
        return of_before(values)


def of_before(values: Any) -> Any:
    """A record from before there were values of blocks does not speak of them: it followed the model as it is."""
    train = values.get("train") if isinstance(values, Mapping) else None
    if not isinstance(train, Mapping) or "blocks" in train:
        return values
    return {**values, "train": {**train, "blocks": {"use": False}}}
