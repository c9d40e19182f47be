"""The configuration: it builds, is frozen and stored, and refuses what it cannot do by the field's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor

from dgpg.checks.fields import edges, leaves, nest, tables, wrong_value
from dgpg.checks.nested import difference, flat
from dgpg.checks.subject import Subject
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.domain import SupportsTransfer, merge, validate
from dgpg.errors import ConfigError, DgpgError

NO_SUCH = "no_such_setting"
STEPS = 3


def default_settings(subject: Subject) -> None:
    """Config() without any setting builds, and its environment takes a step."""
    config: type[BaseModel] = subject.domain.Config
    try:
        defaults = config()
    except ValidationError as error:
        raise CheckFailed(
            f"{config.__name__}()",
            expected="a configuration: the defaults alone give a runnable instance",
            got=str(error).replace("\n", " "),
            cause="a field has no default, or a default is outside its own bounds",
            fix="give every field a default value that needs no file",
        ) from error
    replace(subject, config=defaults).play(subject.domain.make_env(defaults, 1, subject.device, subject.seed), 1)


def frozen_settings(subject: Subject) -> None:
    """A configuration cannot be changed and can be hashed, tables included."""
    config: Any = subject.config
    for path in tables(type(config)):
        table: Any = config
        for part in path:
            table = getattr(table, part)
        name = ".".join((type(config).__name__, *path))
        if type(table).model_config.get("frozen") is not True:
            raise CheckFailed(
                name,
                expected="a frozen model: a run is repeated from its stored configuration",
                got="a model whose fields can be assigned",
                cause="it derives from pydantic.BaseModel",
                fix="derive it from dgpg.domain.Settings",
            )


def stored_settings(subject: Subject) -> None:
    """A configuration written as JSON and read again is the same."""
    config: Any = subject.config
    stored = config.model_dump(mode="json")
    try:
        again: Any = validate(type(config), stored, "")
        got = "equal" if again == config else f"{again!r} instead of {config!r}"
    except ConfigError as error:
        got = f"refused: {error}"
    if got != "equal":
        raise CheckFailed(
            f"{type(config).__name__} through config.json",
            expected="the same configuration: --resume and evaluate read it",
            got=got,
            cause="a validator changes its own result, or a field has a type that JSON does not keep",
            fix="make validators idempotent and use numbers, texts, lists and tables",
        )


def transferred_settings(subject: Subject) -> None:
    """transfer(trained, wished) gives a configuration, and of equal settings one with the same episodes."""
    if not isinstance(subject.domain, SupportsTransfer):
        raise Skipped("the domain has no transfer(trained, wished): settings of an evaluation stay as they are")
    _transferred(subject.domain, subject.config, subject.domain.Config(), "the settings of Config()")
    other = replace(subject, config=_transferred(subject.domain, subject.config, subject.config, "its own settings"))
    moments = subject.episode[:STEPS]
    again = other.replay(other.make_env(), [m.actions_then for m in moments])
    where = difference((moments[0].decision_then, [m.step_then for m in moments]), again)
    if where:
        raise CheckFailed(
            "environments of the settings and of their transfer to themselves ([0] is the reset, [1][t] step t)",
            expected="the same numbers: what is kept is what the settings have anyway",
            got=where,
            cause="transfer changes more than what features mean, or the instance measures what it should keep",
            fix="change nothing but the field that says what was trained in, and keep what its instance has",
        )


def _transferred(domain: Any, trained: Any, wished: Any, what: str) -> Any:
    """What the domain makes of `wished`, which must be a configuration."""
    found = domain.transfer(trained, wished)
    if not isinstance(found, domain.Config):
        raise CheckFailed(
            f"transfer of a policy to {what}",
            expected=f"a {domain.Config.__name__}, which make_env takes",
            got=f"{type(found).__name__} {found!r}",
            cause="it returns what it keeps instead of settings that hold it, or nothing",
            fix='return wished.model_copy(update={"trained": trained}), or wished where there is nothing to keep',
        )
    return found


def described_settings(subject: Subject) -> None:
    """Every field has a description."""
    bare = [leaf.name for leaf in leaves(subject.domain.Config) if not (leaf.field.description or "").strip()]
    if bare:
        raise CheckFailed(
            f"description of {', '.join(bare)}",
            expected="a line that says what the setting is, with its unit",
            got="none",
            cause="a field declared by a plain default",
            fix=f'{bare[0].rpartition(".")[2]}: ... = Field(default, ge=..., description="...")',
        )


def unknown_setting(subject: Subject) -> None:
    """An unknown field is refused with its name, in every table."""
    for path in tables(subject.domain.Config):
        name = ".".join((*path, NO_SUCH))
        message = _refusal(subject, nest((*path, NO_SUCH), 1))
        if message is None or NO_SUCH not in message:
            raise CheckFailed(
                f"setting {name}=1, which does not exist",
                expected="a refusal that names it: a typing error must not be ignored",
                got="accepted" if message is None else f"'{message}'",
                cause="the model ignores extra fields, or a validator drops them",
                fix='derive it from dgpg.domain.Settings (extra="forbid")',
            )


def wrong_type(subject: Subject) -> None:
    """A value of the wrong type is refused with the field's name."""
    for leaf in leaves(subject.domain.Config):
        value = wrong_value(leaf)
        if value is None:
            continue
        message = _refusal(subject, nest(leaf.path, value))
        if message is None or leaf.path[-1] not in message:
            raise CheckFailed(
                f"setting {leaf.name}={value!r}",
                expected=f"a refusal that names {leaf.name}",
                got="accepted" if message is None else f"'{message}'",
                cause="the field takes anything, or a validator with mode='before' works on what is not yet checked",
                fix="annotate the field with its type, and let validators run after (mode='after')",
            )


def _refusal(subject: Subject, change: Mapping[str, Any]) -> str | None:
    """How the configuration refuses a change; None if it takes it."""
    try:
        validate(subject.domain.Config, merge(subject.settings, change), "")
    except ConfigError as error:
        return str(error)
    except Exception as error:  # a validator of the plugin may raise anything
        return f"{type(error).__name__} without a field's name"
    return None


def edge_values(subject: Subject) -> None:
    """A number at its bounds, 0 or -1 is refused with the field's name or gives a few finite steps."""
    numbers = [leaf for leaf in leaves(subject.domain.Config) if leaf.number]
    if not numbers:
        raise Skipped("Config has no numeric field")
    for leaf in numbers:
        for value in edges(leaf):
            problem = _problem(subject, nest(leaf.path, value), leaf.path[-1])
            if problem:
                raise CheckFailed(
                    f"setting {leaf.name}={value:g}",
                    expected=f"a refusal that names {leaf.name}, or an environment that runs",
                    got=problem,
                    cause=f"the bounds of {leaf.name} are wider than what the environment can do",
                    fix="declare bounds (Field(gt=0), ge=1, le=...), or raise ConfigError with the field's name and "
                    "the valid range",
                )


def _problem(subject: Subject, change: Mapping[str, Any], name: str) -> str | None:
    """What goes wrong with a changed configuration that is not refused by name; None if nothing does."""
    try:
        config: Any = validate(subject.domain.Config, merge(subject.settings, change), "")
        other = replace(subject, config=config)
        moments = other.play(other.make_env(), STEPS)
    except DgpgError as error:
        return None if name in str(error) else f"a refusal that does not name it: '{error}'"
    except Exception as error:  # whatever the plugin raises
        return f"{type(error).__name__}: {error}"
    for t, moment in enumerate(moments):
        for where, value in flat([moment.decision_then, moment.step_then]).items():
            if isinstance(value, Tensor) and not torch.isfinite(value).all():
                return f"nan or infinity in {where.lstrip('[01].')} of step {t}"
    return None
