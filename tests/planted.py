"""What plugins with a planted mistake are made of, see broken.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from dgpg.domain import Decision, Step

from . import toy


@dataclass(frozen=True)
class Case:
    """A broken plugin and what the message of the check must speak of."""

    label: str
    domain: Any
    words: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None


BROKEN: dict[str, list[Case]] = {}


def broken(
    check: str, label: str, *words: str, name: str | None = None, settings: Any = None, base: type = toy.Domain,
    **members: Any,
) -> None:  # fmt: skip
    """The toy `base` with other members: env, model and mapping are classes without arguments of their own."""
    parts: dict[str, Any] = {key: value for key, value in members.items() if key not in ("env", "model", "mapping")}
    if "env" in members:
        parts["make_env"] = lambda self, c, envs, device, seed: members["env"](envs, seed, c.horizon, c.still)
    if "model" in members:
        parts["analytical_model"] = lambda self, config: members["model"]()
    if "mapping" in members:
        parts["agent_mapping"] = lambda self, config: members["mapping"]()
    domain = type("Broken", (base,), parts)()
    BROKEN.setdefault(check, []).append(Case(label, domain, words, settings or {}, name))


def returning(change: Callable[[Any, Step], Step]) -> type:
    """An environment whose steps are changed afterwards."""

    class Changed(toy.Env):
        def step(self, actions: Tensor) -> Step:
            return change(self, super().step(actions))

    return Changed


def deciding(change: Callable[[Any, Decision], Decision]) -> type:
    """An environment whose decisions are changed."""

    class Changed(toy.Env):
        def _decide(self) -> Decision:
            return change(self, super()._decide())

    return Changed


def observing(**fields: Callable[[Any, Tensor], Tensor]) -> type:
    def change(env: Any, decision: Decision) -> Decision:
        seen = decision.observation
        return replace(decision, observation=replace(seen, **{k: f(env, getattr(seen, k)) for k, f in fields.items()}))

    return deciding(change)
