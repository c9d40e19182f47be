"""Plugins by entry point: names without importing, a check at the door, and no plugin lost in silence."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel
from stevedore import DriverManager

from dgpg.domain.containment import contained, said
from dgpg.domain.protocols import API_VERSION, AnalyticalModel, Domain
from dgpg.errors import PluginError, unknown

DOMAINS = "dgpg.domains"
MODELS = "dgpg.analytical_models"
KINDS = {DOMAINS: "domain", MODELS: "analytical model"}
CALLS = {
    "make_env": ("config", "num_envs", "device", "seed"),
    "analytical_model": ("config",),
    "agent_mapping": ("config",),
}


def find(group: str) -> dict[str, list[EntryPoint]]:
    """Entry points of a group by name, without importing any plugin."""
    found: dict[str, list[EntryPoint]] = {}
    for point in sorted(entry_points(group=group), key=lambda p: p.name):
        found.setdefault(point.name, []).append(point)
    return found


def owner(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that registered an entry point."""
    return (point.dist.name or "unknown", point.dist.version or "unknown") if point.dist else ("unknown", "unknown")


def load_domain(name: str) -> Domain:
    """The domain of that name, checked; PluginError says what does not fit."""
    domain: Domain = load(DOMAINS, name)
    return domain


def load_model(name: str, config: BaseModel) -> AnalyticalModel:
    """Another analytical model for a domain: its entry point is a function of the domain's configuration.

    Raises:
        PluginError: what the entry point returned is no model.
    """
    factory: Callable[[BaseModel], AnalyticalModel] = load(MODELS, name)
    model = factory(config)
    if not isinstance(model, AnalyticalModel):
        raise PluginError(
            f"analytical model '{name}' ({type(model).__name__}) lacks the method potential(state, context)"
        )
    return model


def models_of(domain: str) -> list[str]:
    """Names of the models registered for a domain, `DOMAIN.MODEL`."""
    return [name for name in find(MODELS) if name.partition(".")[0] == domain]


def full_name(domain_name: str, model: str) -> str:
    """`DOMAIN.MODEL` of a model given with or without its domain."""
    return model if "." in model[1:] else f"{domain_name}.{model}"


def load(group: str, name: str) -> Any:
    """The plugin of that name, imported, and checked; no other is imported.

    Raises:
        PluginError: it is not there or there twice, cannot be imported, or does not fit.
    """
    point = _only(group, name)
    with contained(lambda error: broken(point, said(error))):
        (extension,) = _Now(group, name, on_load_failure_callback=_reraise).extensions
    with contained(lambda error: _unfit(point, error)):
        (_check_domain if group == DOMAINS else _check_model)(name, extension.plugin)
    return extension.plugin


class _Now(DriverManager):  # type: ignore[type-arg]  # generic in newer versions alone
    """Finds what is installed now: stevedore's own list is kept in a file and may be minutes old."""

    def list_entry_points(self) -> list[EntryPoint]:
        return list(entry_points(group=self.namespace))


def _only(group: str, name: str) -> EntryPoint:
    """The one entry point of that name."""
    kind, found = KINDS[group], find(group)
    if name not in found:
        fit = models_of(name.partition(".")[0]) if group == MODELS else []  # other domains' models do not
        raise PluginError(
            unknown(kind, name, fit or found) + ". Plugins are packages such as dgpg-plugin-NAME; see `dgpg domains`"
        )
    points = found[name]
    if len(points) > 1:
        owners = ", ".join(owner(p)[0] for p in points)
        raise PluginError(f"{kind} '{name}' is registered {len(points)} times (by {owners}); uninstall all but one")
    return points[0]


def _reraise(manager: Any, point: EntryPoint, error: BaseException) -> None:
    raise error


def broken(point: EntryPoint, why: str) -> PluginError:
    """Of a plugin that cannot be imported: whose it is, what happened, and what to do."""
    name, version = owner(point)
    try:
        named = ".".join(filter(None, (point.module, point.attr)))
        shows = f". `python -c 'import {point.module}; {named}'` shows where"
    except Exception:
        why, shows = "expected module:object", ""
    return PluginError(
        f"{KINDS[point.group]} '{point.name}' of {name} {version} cannot be imported from '{point.value}': "
        f"{why}{shows}; mend it, or uninstall it: pip uninstall {name}"
    )


def summary(plugin: object) -> str:
    """The first line of what a plugin says of itself."""
    with contained(lambda error: PluginError(f"its docstring raised {said(error)}")):
        return (inspect.getdoc(plugin) or "").partition("\n")[0]


def _unfit(point: EntryPoint, error: BaseException) -> PluginError:
    """Of a plugin that was imported and is not what it should be."""
    looked = f"{KINDS[point.group]} '{point.name}': looking at its members raised {said(error)}"
    what = str(error) if isinstance(error, PluginError) else looked
    return PluginError(f"{what} ({' '.join(owner(point))}, {point.value})")


def _check_domain(name: str, domain: Any) -> None:
    """Name the member, what was expected and what came (docs/concepts.md has the contract)."""
    version = getattr(domain, "api_version", API_VERSION)
    if not isinstance(version, int):
        raise PluginError(f"domain '{name}': api_version is {version!r}, expected a number, {API_VERSION}")
    if version != API_VERSION:
        older = "update the plugin" if version < API_VERSION else "update dgpg"
        raise PluginError(f"domain '{name}' is written for api_version {version}, this dgpg has {API_VERSION}: {older}")
    settings = getattr(domain, "Config", None)
    if not (inspect.isclass(settings) and issubclass(settings, BaseModel)):
        raise PluginError(f"domain '{name}' lacks Config: expected a pydantic model class, got {settings!r}")
    if settings.model_config.get("frozen") is not True or settings.model_config.get("extra") != "forbid":
        raise PluginError(
            f"domain '{name}': Config must be frozen and forbid extra fields; derive it from dgpg.domain.Settings"
        )
    for member, arguments in CALLS.items():
        method = getattr(domain, member, None)
        if not callable(method):
            raise PluginError(f"domain '{name}' lacks {member}({', '.join(arguments)})")
        _check_signature(f"domain '{name}': {member}", method, arguments)


def _check_model(name: str, factory: Any) -> None:
    if not callable(factory):
        raise PluginError(
            f"analytical model '{name}' is {factory!r}: its entry point must name a function of the domain's config"
        )
    _check_signature(f"analytical model '{name}'", factory, ("config",))


def _check_signature(what: str, call: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    try:
        signature = inspect.signature(call)
    except ValueError:  # written in C: it does not say
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise PluginError(
            f"{what} must accept ({', '.join(arguments)}), its signature is {signature} ({error})"
        ) from None
