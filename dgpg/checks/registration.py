"""How the plugin is installed: entry point, version, members."""

from __future__ import annotations

import re

from dgpg import registry
from dgpg.checks.subject import Subject
from dgpg.checks.verdict import CheckFailed, Skipped
from dgpg.protocols import API_VERSION

VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9.]+)?")


def members(subject: Subject) -> None:
    """The domain has the four members of the contract."""
    for name, arguments in registry.CALLS.items():
        if not callable(getattr(subject.domain, name, None)):
            raise CheckFailed(
                f"{type(subject.domain).__name__}.{name}",
                expected=f"a method {name}({', '.join(arguments)})",
                got=repr(getattr(subject.domain, name, None)),
                cause="the member is missing or misspelt",
                fix="see dgpg.protocols.Domain",
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
