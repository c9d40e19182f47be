"""Settings that a domain and its training have, with what they mean, found by a word; and a domain in one screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from textwrap import wrap
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from dgpg.domain import Domain, registry
from dgpg.errors import ConfigError
from dgpg.learning import ALGORITHMS, CoordinationConfig, TrainConfig
from dgpg.showing import report
from dgpg.showing.alone import tell
from dgpg.showing.tables import table

BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


@dataclass(frozen=True)
class Setting:
    """One that `--set NAME=VALUE` takes."""

    name: str
    default: Any
    allowed: str
    what: str

    def has(self, word: str) -> bool:
        """Whether a word is in its name, its meaning or what it allows; upper and lower case are the same."""
        return word.casefold() in f"{self.name} {self.what} {self.allowed}".casefold()


def settings_of(domain: Domain) -> list[Setting]:
    """The domain's own, then those of training and of speaking agents."""
    own = list(_fields(domain.Config, ""))
    return [*own, *_fields(TrainConfig, "train."), *_fields(CoordinationConfig, "coordination.")]


def _fields(config: type[BaseModel], where: str) -> Iterator[Setting]:
    for name, field in config.model_fields.items():
        kinds = [one for one in _alternatives(field.annotation) if one is not type(None)]
        parts = [one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)]
        if parts and type(None) not in _alternatives(field.annotation):
            yield from _fields(parts[0], f"{where}{name}.")
        elif field.description and not parts:  # parts that may be missing are what an evaluation sets, and no user
            default = field.get_default(call_default_factory=True, validated_data={})
            shown = None if default is PydanticUndefined else to_jsonable_python(default, fallback=str)
            yield Setting(f"{where}{name}", shown, _allowed(field, kinds), " ".join(field.description.split()))


def _alternatives(annotation: Any) -> Sequence[Any]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _allowed(field: FieldInfo, kinds: Sequence[Any]) -> str:
    """Choices, bounds or the kind of value."""
    choices = [str(choice) for one in kinds if get_origin(one) is Literal for choice in get_args(one)]
    if choices:
        return " | ".join(choices)
    limits = [
        f"{sign} {getattr(one, key):g}" for one in field.metadata for key, sign in BOUNDS.items() if hasattr(one, key)
    ]
    names = [{"str": "text", "bool": "true | false", "Path": "file"}.get(_name(one), _name(one)) for one in kinds]
    return ", ".join([" or ".join(names), *limits])


def _name(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is not None and hasattr(kind, "__metadata__"):  # Annotated
        return _name(get_args(kind)[0])
    return "list" if origin in (tuple, list) else "table" if origin is dict else getattr(kind, "__name__", "value")


def show_settings(name: str, word: str | None, as_json: bool) -> None:
    """All settings of a domain, or those that a word is in.

    Raises:
        ConfigError: the word is in none.
    """
    found = settings_of(registry.load_domain(name))
    chosen = [one for one in found if word is None or one.has(word)]
    if not chosen:
        raise ConfigError(f"no setting of {name} has {word!r} in its name or meaning; dgpg settings {name} lists all")
    if as_json:
        tell({"domain": name, "settings": [asdict(one) for one in chosen]})
        return
    for one in chosen:
        default = (
            "none" if one.default is None else str(one.default).lower() if one.default in (True, False) else one.default
        )
        report.console.print(f"--set {one.name}=  ({one.allowed}; default {default})", style="bold", soft_wrap=True)
        report.console.print(f"    {one.what}", soft_wrap=True)
    if any(one.name.startswith("train.") for one in chosen):
        report.console.print(
            "note: an algorithm may be tuned to others; config.json of a run has what it was trained with"
        )


def show_domain(name: str, as_json: bool) -> None:
    """A domain in one screen: what it is, who trains on it, its models and settings."""
    domain = registry.load_domain(name)
    distribution, version = registry.owner(registry.find(registry.DOMAINS)[name][0])
    own, models = getattr(domain, "default_model", None), registry.models_of(name)
    groups = dict[str, list[str]]()
    for one in _fields(domain.Config, ""):
        group, _, rest = one.name.rpartition(".")
        groups.setdefault(group, []).append(rest)
    about = " ".join((type(domain).__doc__ or "").split("\n\n")[0].split())
    if as_json:
        tell({
            "domain": name, "distribution": distribution, "version": version, "about": about,
            "algorithms": list(ALGORITHMS), "models": list(models), "default_model": own, "settings": groups,
        })  # fmt: skip
        return
    say = report.console.print
    say(f"{name}  ({distribution} {version})", style="bold")
    say(about, soft_wrap=True)
    say(f"algorithms  {', '.join(ALGORITHMS)}  (dgpg train {name} --algorithm NAME)", soft_wrap=True)
    told = [f"{one} (default)" if one == own else one for one in models] or ["its own"]
    say(f"models      {', '.join(told)}  (--model NAME)", soft_wrap=True)
    made = table("settings (dgpg settings " + name + " [WORD] says what they mean)", ("group", "names"))
    for group, names in groups.items():
        lines = wrap(", ".join(names), max(30, report.console.width - 20)) or [""]
        for place, line in enumerate(lines):
            made.add_row(group or "--set" if place == 0 else "", line)
    say(made)
