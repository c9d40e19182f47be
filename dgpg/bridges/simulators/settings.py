"""What an author says of a simulator, and what a user says of the processes that it runs in."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from gymnasium import spaces
from pydantic import Field

from dgpg.bridges.simulators.view import Sizes, View
from dgpg.domain.names import Names
from dgpg.domain.settings import Settings
from dgpg.domain.spaces import Simplex
from dgpg.errors import ConfigError, PluginError


class Workers(Settings):
    """Processes of simulators; a field of a domain's `Config` makes them settings: `--set workers.count=4`.

    No number of a run depends on them.
    """

    count: int | None = Field(
        None, ge=0, le=4096, description="processes; none: one a core, at most one an environment; 0: the trainer's own"
    )
    engine: Literal["processes", "ray"] = Field(
        "processes",
        description="what they are: processes of this machine, or actors of one core each in the Ray cluster that this "
        "machine belongs to (`RAY_ADDRESS` names another), one of its own where there is none",
    )
    timeout: float = Field(
        300.0, gt=0, description="seconds that a simulator may take for a reset or a step, before it counts as hanging"
    )


@dataclass(frozen=True)
class Simulation:
    """One simulator as dgpg sees it: how it is made, how it is read, what its agents see and do."""

    make: Callable[[int], Any]
    """Called with a seed; returns an object with `reset(seed)` and `step(action)`: an episode depends on the two seeds
    and its actions alone. Optional: `close()`, and `save()` to bytes with `load(bytes)`."""
    read: Callable[[Any, Any], View]
    """Called with that object and what its `reset` or `step` returned; what is shown of it."""
    action_space: spaces.Space[Any]
    """Of the joint action, as in `dgpg.domain.Environment`. `step` gets choices int64 `[N]`, numbers float32 `[N, A]`
    or splits float32 `[N, K]`; an agent with nothing to decide does 0, or the nearest that its bounds allow."""
    names: Names
    """Of what an agent sees, of each of its choices, and of an action: as many as there are numbers."""
    horizon: int
    """Steps after which an episode is cut."""
    cost_unit: str
    """Of `View.cost`."""
    central: int | None = None
    """S, numbers in `View.central`; what all agents see, N F, if None."""
    num_blocks: int | None = None
    """G, where views have a `block_cost`."""
    repeats: bool = True
    """Whether the same seeds and actions give the same numbers. Without that no run can go on after an interruption,
    nor after a worker's death."""
    alone: bool = False
    """Whether a process can hold one such simulator only, as libsumo's: then there is a process an environment."""

    def __post_init__(self) -> None:
        for name in ("make", "read"):
            given = getattr(self, name)
            if not callable(given):
                instead = f"; give its class, {type(given).__name__}" if hasattr(given, "step") else ""
                raise PluginError(f"Simulation.{name}: expected a function or a class, got {given!r:.80}{instead}")
        if not isinstance(self.names, Names):
            raise PluginError(f"Simulation.names: expected dgpg.domain.Names, got {self.names!r:.80}")
        if not isinstance(self.horizon, int) or self.horizon < 1:
            raise PluginError(f"Simulation.horizon: expected a whole number of steps, at least 1, got {self.horizon!r}")

    @property
    def sizes(self) -> Sizes:
        """What views must fit.

        Raises:
            PluginError: a space of joint actions that dgpg has no agents for.
        """
        space = self.action_space
        shape = tuple(space.shape or ())
        action: tuple[str, tuple[int, ...]] = ("<f4", shape)
        if isinstance(space, Simplex):
            agents, choices = shape
        elif isinstance(space, spaces.Box) and len(shape) == 2:
            agents, choices = shape[0], 1
        elif isinstance(space, spaces.MultiDiscrete) and len(set(space.nvec.tolist())) == 1:
            agents, choices, action = shape[0], int(space.nvec[0]), ("<i8", shape)
        else:
            raise PluginError(
                f"Simulation.action_space: expected MultiDiscrete([K] * N), a Box [N, A] or dgpg.domain.Simplex(N, K), "
                f"got {space}; where agents have different choices, let K be the most and View.mask say which are there"
            )
        features, of_choices = len(self.names.agent), len(self.names.choices)
        central = agents * features if self.central is None else self.central
        return Sizes(agents, features, choices, of_choices, central, self.horizon, action)


def own_cores() -> int:
    """Of this machine that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes(workers: Workers, alone: bool, num_envs: int, cores: int) -> int:
    """How many processes so many environments are spread over; 0 is the trainer's own.

    Raises:
        ConfigError: simulators that need a process each are to share the trainer's.
    """
    if workers.count == 0 and alone and num_envs > 1:
        raise ConfigError(
            f"workers.count = 0: each of these simulators needs a process of its own, and there are {num_envs} "
            "environments; leave it out"
        )
    if workers.count == 0 or (alone and workers.count is not None and workers.count >= num_envs):
        return min(workers.count or 0, num_envs)
    return num_envs if alone else min(cores if workers.count is None else workers.count, num_envs)
