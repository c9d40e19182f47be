"""How the plugin is installed: entry point, version, members."""

from __future__ import annotations

import re

from dgpg.checks.subject import Subject
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.domain import API_VERSION, registry

VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9.]+)?")


def members(subject: Subject) -> None:
    """The domain has the four members of the contract, and those that make something return objects."""
    for name, arguments in registry.CALLS.items():
        if not callable(getattr(subject.domain, name, None)):
            raise CheckFailed(
                f"{type(subject.domain).__name__}.{name}",
                expected=f"a method {name}({', '.join(arguments)})",
                got=repr(getattr(subject.domain, name, None)),
                cause="the member is missing or misspelt",
                fix="see dgpg.domain.Domain",
            )
    for name, made in (("analytical_model", subject.model), ("agent_mapping", subject.mapping)):
        if isinstance(made, type):
            raise CheckFailed(
                f"{type(subject.domain).__name__}.{name}(config)",
                expected="an object",
                got=f"the class {made.__name__}",
                cause="it is returned without being called",
                fix=f"return {made.__name__}() with what it needs",
            )


def default_model(subject: Subject) -> None:
    """The name that the domain gives its own model is registered."""
    name = getattr(subject.domain, "default_model", None)
    if name is None or subject.name is None:
        raise Skipped("the domain names no default_model" if name is None else "checked as an object: not installed")
    known = registry.models_of(subject.name)
    if name not in known:
        raise CheckFailed(
            f"{type(subject.domain).__name__}.default_model",
            expected=f"a name registered in {registry.MODELS}: {', '.join(known) or 'there is none for this domain'}",
            got=repr(name),
            cause="misspelt here or in pyproject.toml: --model and the run's record would not find it",
            fix=f'[project.entry-points."{registry.MODELS}"] "{subject.name}.NAME" = "package.module:function"',
        )


def api_version(subject: Subject) -> None:
    """The domain declares the version of the contract that it was written for."""
    found = getattr(subject.domain, "api_version", None)
    if found != API_VERSION or isinstance(found, bool):
        raise CheckFailed(
            f"{type(subject.domain).__name__}.api_version",
            expected=f"{API_VERSION}",
            got=repr(found),
            cause="not declared: a later dgpg could not tell that the plugin is older",
            fix=f"api_version = {API_VERSION} on the domain",
        )


def entry_point(subject: Subject) -> None:
    """The entry point's name is plain, unique, and its distribution has a version."""
    if subject.name is None:
        raise Skipped("checked as an object: it has no entry point")
    points = registry.find(registry.DOMAINS).get(subject.name, [])
    owner = points[0].dist if len(points) == 1 else None
    facts = {
        "its name": (bool(re.fullmatch(r"[a-z][a-z0-9_-]*", subject.name)), "lower case letters, digits, - and _"),
        "its distribution": (owner is not None, "exactly one installed distribution"),
        "its version": (owner is not None and bool(VERSION.fullmatch(owner.version)), "a version such as 0.1.0"),
    }
    for what, (fits, expected) in facts.items():
        if not fits:
            found = ", ".join(f"{p.dist.name} {p.dist.version}" if p.dist else "unknown" for p in points) or "none"
            raise CheckFailed(
                f"entry point '{subject.name}' in {registry.DOMAINS}: {what}",
                expected=expected,
                got=found,
                cause="pyproject.toml names it otherwise, or it was installed twice",
                fix='[project.entry-points."dgpg.domains"] name = "package.module:object", then pip install -e .',
            )
