"""Plugins by entry point: names without importing, a check at the door, and no plugin lost in silence."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel
from stevedore import DriverManager

from dgpg.domain.protocols import API_VERSION, AnalyticalModel, Domain
from dgpg.errors import PluginError, unknown

DOMAINS = "dgpg.domains"
MODELS = "dgpg.analytical_models"
CALLS = {
    "make_env": ("config", "num_envs", "device", "seed"),
    "analytical_model": ("config",),
    "agent_mapping": ("config",),
}


@dataclass(frozen=True)
class Entry:
    """One registered plugin object and how it fared."""

    name: str
    group: str
    distribution: str
    version: str
    error: str | None = None
    summary: str = ""

    def json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"status": "error" if self.error else "ok"}


def find(group: str) -> dict[str, list[EntryPoint]]:
    """Entry points of a group by name, without importing any plugin."""
    found: dict[str, list[EntryPoint]] = {}
    for point in sorted(entry_points(group=group), key=lambda p: p.name):
        found.setdefault(point.name, []).append(point)
    return found


def load_domain(name: str) -> Domain:
    """The domain of that name, checked; PluginError says what does not fit."""
    domain: Domain = _load(DOMAINS, "domain", name)
    _check_domain(name, domain)
    return domain


def load_model(name: str, config: BaseModel) -> AnalyticalModel:
    """Another analytical model for a domain: its entry point is a function of the domain's configuration.

    Raises:
        PluginError: what the entry point returned is no model.
    """
    factory: Callable[[BaseModel], AnalyticalModel] = _load(MODELS, "analytical model", name)
    _check_model(name, factory)
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
    return model if "." in model else f"{domain_name}.{model}"


def listing() -> list[Entry]:
    """Every plugin of both groups, broken ones with their error."""
    entries = []
    for group, kind in ((DOMAINS, "domain"), (MODELS, "analytical model")):
        for name, points in find(group).items():
            error, summary = None, ""
            try:
                plugin = _load(group, kind, name)
                (_check_domain if group == DOMAINS else _check_model)(name, plugin)
                summary = (inspect.getdoc(plugin) or "").partition("\n")[0]
            except PluginError as problem:
                error = str(problem)
            except Exception as problem:  # code of the plugin that the checks have run
                error = f"{kind} '{name}': {type(problem).__name__}: {problem}"
            for point in points:
                entries.append(Entry(name, group, *_distribution(point), error=error, summary=summary))
    return entries


def _load(group: str, kind: str, name: str) -> Any:
    found = find(group)
    if name not in found:
        fit = models_of(name.partition(".")[0]) if group == MODELS else []  # other domains' models do not
        raise PluginError(
            unknown(kind, name, fit or found) + ". Plugins are packages such as dgpg-plugin-NAME; see `dgpg domains`"
        )
    points = found[name]
    if len(points) > 1:
        owners = ", ".join(_distribution(p)[0] for p in points)
        raise PluginError(f"{kind} '{name}' is registered {len(points)} times (by {owners}); uninstall all but one")
    point = points[0]
    try:
        manager: Any = DriverManager(group, name, invoke_on_load=False, on_load_failure_callback=_reraise)
        cached = manager.extensions[0]
        if cached.entry_point.value == point.value:
            return cached.plugin
    except (Exception, SystemExit):  # stevedore's cache can be minutes old: the entry point itself decides
        pass
    try:
        return point.load()
    except (Exception, SystemExit) as error:  # a plugin may raise anything on import; all of it is shown
        raise _broken(kind, point, error) from error


def _reraise(manager: Any, point: EntryPoint, error: BaseException) -> None:
    raise error


def _broken(kind: str, point: EntryPoint, error: BaseException) -> PluginError:
    owner, version = _distribution(point)
    return PluginError(
        f"{kind} '{point.name}' of {owner} {version} cannot be imported from {point.value}: "
        f"{type(error).__name__}: {error}"
    )


def _distribution(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("unknown", "unknown")


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
