"""B environments of a domain as all bridges hold them: by name or object, with settings, seeds and restarts."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from gymnasium.utils import seeding
from pydantic import BaseModel
from torch import Tensor

from dgpg.bridges import actions
from dgpg.domain import Decision, Domain, Step, load_domain, validate
from dgpg.errors import ConfigError

CPU = torch.device("cpu")
LARGEST = 2**48
"""Seeds that leave room for `seed + b` in every library's type."""


class Batch:
    """The batched environment with its current moment; an action from elsewhere is looked at before it is taken.

    Args:
        domain: its name (`dgpg domains` lists them) or the object.
        config: the domain's `Config`, a mapping of settings that differ from its defaults, or None for the defaults.
        num_envs: B.
        seed: environment b draws from `seed + b`; None draws a seed, so that two processes are not twins.

    Raises:
        ConfigError: a setting is wrong.
        PluginError: there is no such domain.
    """

    def __init__(
        self, domain: Domain | str, config: Any = None, num_envs: int = 1, seed: int | None = None,
        device: torch.device = CPU,
    ) -> None:  # fmt: skip
        self.num_envs = whole("num_envs", num_envs, 1)
        self.domain = load_domain(domain) if isinstance(domain, str) else domain
        self.config, self.device = settings(self.domain, config), device
        self.make(seed)
        actions.known(self.env.action_space)

    def make(self, seed: int | None) -> None:
        """New environments; no episode has begun.

        Raises:
            ConfigError: the seed is no whole number of at least 0.
        """
        self.seed = drawn() if seed is None else whole("seed", seed, 0)
        self.env = self.domain.make_env(self.config, self.num_envs, self.device, self.seed)
        self.decision: Decision | None = None
        self._restarted = False

    def reset(self, seed: int | None = None) -> Decision:
        """New episodes everywhere; those that have just begun, where all ended in the last step.

        So the k-th episode is the k-th of the environment's own, whether its user resets it or not.
        """
        if seed is not None:
            self.make(seed)
        if self.decision is None or not self._restarted:
            self.decision = self.env.reset()
        self._restarted = False
        return self.decision

    @property
    def now(self) -> Decision:
        """The moment of decision.

        Raises:
            ConfigError: `reset` was never called.
        """
        if self.decision is None:
            raise ConfigError("call reset() before step()")
        return self.decision

    def step(self, given: Any) -> tuple[Step, Tensor]:
        """What joint actions (`dgpg.bridges.actions.joint`) brought about, and who did what is not allowed, `[B, N]`.

        Raises:
            ActionError: they are no actions.
        """
        mask = self.now.observation.mask
        taken = actions.joint(given, self.env.action_space, mask)
        wrong = actions.not_allowed(taken, mask.cpu())
        step = self.env.step(taken.to(self.device))
        self.decision, self._restarted = step.decision, bool((step.terminated | step.truncated).all())
        return step, wrong


def settings(domain: Domain, config: Any) -> BaseModel:
    """The domain's configuration of what a user gave.

    Raises:
        ConfigError: a setting is wrong, or it is that of another domain.
    """
    if config is None:
        return domain.Config()
    if isinstance(config, Mapping):
        return validate(domain.Config, config, "")
    if not isinstance(config, domain.Config):
        raise ConfigError(f"config: expected a {domain.Config.__qualname__} or a mapping, got {type(config).__name__}")
    return config


def whole(name: str, value: Any, least: int) -> int:
    """A whole number of any library's type.

    Raises:
        ConfigError: it is none, or less than `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ConfigError(f"{name} = {value!r}: expected a whole number of at least {least}")
    return number


def drawn() -> int:
    """A seed from the operating system."""
    return int(seeding.np_random()[1]) % LARGEST


def missing(error: ImportError, extra: str) -> ConfigError:
    """What to install where a bridge's library is not there."""
    return ConfigError(f"this bridge needs {error.name or error}: pip install 'dgpg[{extra}]'")
