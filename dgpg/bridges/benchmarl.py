"""Any domain as a task of BenchMARL: `pip install 'dgpg[benchmarl]'`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gymnasium import spaces

from dgpg.bridges.batch import Batch, missing
from dgpg.bridges.torchrl import GROUP, TorchEnv
from dgpg.domain import Domain

try:
    from benchmarl.environments.common import TaskClass
    from torchrl.data import Composite
    from torchrl.envs import EnvBase
except ImportError as error:
    raise missing(error, "benchmarl") from None


class DomainTask(TaskClass):  # type: ignore[misc]  # it ships no types
    """A task for `benchmarl.experiment.Experiment`, with one group of agents and the central features as its state.

    Args:
        domain: its name, or a domain object.
        config: its configuration, or a mapping of settings; the domain's defaults if None.
    """

    def __init__(self, domain: Domain | str, config: Any = None) -> None:
        probe = Batch(domain, config, 1, 0)
        self._domain, self._settings = domain, probe.config
        self._chooses = isinstance(probe.env.action_space, spaces.MultiDiscrete)
        name = domain if isinstance(domain, str) else type(domain).__name__
        super().__init__(name, probe.config.model_dump(mode="json"))

    def get_env_fun(
        self, num_envs: int, continuous_actions: bool, seed: int | None, device: Any
    ) -> Callable[[], EnvBase]:
        """Makes B environments."""
        return lambda: TorchEnv(self._domain, self._settings, num_envs, seed, device)

    def supports_continuous_actions(self) -> bool:
        """Where agents set numbers or split."""
        return not self._chooses

    def supports_discrete_actions(self) -> bool:
        """Where agents choose."""
        return self._chooses

    def max_steps(self, env: EnvBase) -> int:
        """Those of an episode."""
        return int(env.horizon)

    def has_render(self, env: EnvBase) -> bool:
        """Nothing is drawn."""
        return False

    def group_map(self, env: EnvBase) -> dict[str, list[str]]:
        """One group."""
        return dict(env.group_map)

    def observation_spec(self, env: EnvBase) -> Composite:
        """Of agents."""
        return _only(env, "observation")

    def info_spec(self, env: EnvBase) -> Composite | None:
        """None."""
        return None

    def state_spec(self, env: EnvBase) -> Composite | None:
        """Of the central critic."""
        return Composite({"state": env.full_observation_spec_unbatched["state"].clone()})

    def action_mask_spec(self, env: EnvBase) -> Composite | None:
        """Of agents that choose."""
        return _only(env, "action_mask") if self._chooses else None

    def action_spec(self, env: EnvBase) -> Composite:
        """Of agents."""
        return env.full_action_spec_unbatched

    @staticmethod
    def env_name() -> str:
        """How BenchMARL's records call it."""
        return "dgpg"


def _only(env: EnvBase, name: str) -> Composite:
    spec = env.full_observation_spec_unbatched[GROUP]
    return Composite({GROUP: Composite({name: spec[name].clone()}, shape=spec.shape)})
