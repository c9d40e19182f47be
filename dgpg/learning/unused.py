"""What an algorithm does not use: a setting without effect is refused, as whoever gives it expects one.

Only what a user said is looked at. A resolved run holds every setting, those that its algorithm ignores included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dgpg.errors import ConfigError
from dgpg.learning.algorithms import Algorithm
from dgpg.learning.config import CoordinationConfig, RunConfig, TrainConfig
from dgpg.learning.estimators import Estimator

GUIDANCE = ("alpha", "estimator", "guidance_scale", "blocks")
"""Settings of `train` that say how the analytical model enters."""
NETWORK = ("actor_hidden", "parameters")
"""Settings of `train` that shape a policy's network."""
RETURN = ("critic_lr", "critic_hidden", "value_clip", "huber", "gamma", "lambda_", "normalise")
"""Settings of `train` that say what is learned of the return."""


def is_record(values: Mapping[str, Any]) -> bool:
    """Whether values are a resolved run, as config.json holds it, rather than what somebody said."""
    return RunConfig.model_fields.keys() <= values.keys()


def refuse_without_guidance(algorithm: Algorithm, asked: Mapping[str, Any]) -> None:
    """Refuse what the algorithm itself does not use.

    Args:
        algorithm: of the run.
        asked: fields of `RunConfig`, only those that the user gave.

    Raises:
        ConfigError: naming each setting, and which algorithms use it.
    """
    train = asked.get("train")
    why = f"algorithm {algorithm.name} is not guided by a model"
    lines = [] if algorithm.guided else list(_told(train, GUIDANCE, f"{why}; leave it out, or use dg-pg"))
    if algorithm.reward == "blocks":
        what = "what followed in a block is one number, there is no more to wait for; leave it out, or use ippo-local"
        lines += _told(train, ("lambda_",), what)
    if algorithm.actor == "descent":
        lines += _told(train, NETWORK, f"algorithm {algorithm.name} has no network; leave it out, or use dg-pg")
    _refuse(lines)


def refuse_unused(
    algorithm: Algorithm,
    train: TrainConfig,
    coordination: CoordinationConfig,
    estimator: type[Estimator],
    valued: bool,
    choosing: bool,
    asked: Mapping[str, Any],
) -> None:
    """Refuse what these settings, resolved, leave without effect.

    Args:
        algorithm: of the run.
        train: resolved.
        coordination: resolved.
        estimator: that `train` names.
        valued: whether environment and model let values of blocks be learned.
        choosing: whether agents choose, rather than set numbers or splits.
        asked: fields of `RunConfig`, only those that the user gave.

    Raises:
        ConfigError: naming each setting, and what would use it.
    """
    lines: list[str] = []
    if not coordination.rounds:
        if not algorithm.guided and asked.get("model") is not None:
            why = f"algorithm {algorithm.name} uses no analytical model without rounds"
            lines.append(f"--model {asked['model']}: {why}; leave it out, or use dg-pg")
        if (asked.get("coordination") or {}).get("detached"):
            lines.append("coordination.detached: there are no rounds; leave it out, or set coordination.rounds=3 too")
    unvalued = _no_values(algorithm, train, estimator, valued, choosing) if algorithm.guided else None
    if unvalued is not None:
        lines += _told(asked.get("train"), ("blocks",), f"{unvalued}; leave it out")
    elif algorithm.guided and choosing:
        lines += _told(_blocks(asked), ("numbers",), "agents choose here; leave it out", "train.blocks")
    elif algorithm.guided:
        why = "numbers and splits bring no work that could pay it; leave it out"
        lines += _told(_blocks(asked), ("fee",), why, "train.blocks")
    if algorithm.guided and train.alpha.guidance_alone and estimator.ALONE:
        why = "guidance alone trains here (train.alpha is 1 from start to end), and no return is learned"
        lines += _told(asked.get("train"), RETURN, f"{why}; leave it out, or set train.alpha.end=0")
    _refuse(lines)


def _no_values(
    algorithm: Algorithm, train: TrainConfig, estimator: type[Estimator], valued: bool, choosing: bool
) -> str | None:
    """Why no values of blocks are learned, None where they may be."""
    if not valued:
        return "the domain does not say what blocks cost, or the model is no sum over them"
    if not estimator.LEARNS:
        return f"the estimator {train.estimator} keeps the objective, which a learned potential would not"
    if algorithm.actor == "descent":
        return f"algorithm {algorithm.name} has no network to guide"
    if not (choosing or train.blocks.numbers):
        return "agents set numbers or splits, whose blocks are learned with train.blocks.numbers=true only"
    return None


def _blocks(asked: Mapping[str, Any]) -> Any:
    """What somebody said of values of blocks."""
    train = asked.get("train")
    return train.get("blocks") if isinstance(train, Mapping) else None


def _told(said: Any, names: tuple[str, ...], why: str, where: str = "train") -> Iterator[str]:
    for name in names if isinstance(said, Mapping) else ():
        if said.get(name) is not None:
            yield f"{where}.{name} is not used: {why}"


def _refuse(lines: list[str]) -> None:
    if lines:
        raise ConfigError("\n".join(lines))
