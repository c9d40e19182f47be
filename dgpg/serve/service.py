"""A policy with guard rails: who decides, what for, and what the other would have done. It knows no HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dgpg.deploy import Adapter, Policy, Rows, Rule, SupportsEstimate, adapter
from dgpg.errors import ConfigError, DataError, DgpgError, unknown
from dgpg.serve.log import Log
from dgpg.serve.metrics import Metrics
from dgpg.serve.ranges import Ranges
from dgpg.serve.settings import Settings
from dgpg.serve.stamp import stamp
from dgpg.serve.trial import tried

FAILED, FAR, SHADOW = "failed", "far outside", "shadow"
"""Why the rule decided."""


WORST = float(np.finfo(np.float32).min)
"""How good what is allowed is at least."""
Verb: TypeAlias = Callable[[bytes | memoryview], tuple[int, bytes]]
"""Body of a request to status and JSON; the body is another's once it has returned."""


class NoAnswerError(DgpgError):
    """The policy failed, and there is no rule to stand in."""


@dataclass(frozen=True)
class Loaded:
    """An export in use; requests that began with it end with it."""

    policy: Policy
    adapter: Adapter | None
    """None where the plugin is not installed or has none: features are served, plain values are not."""
    rule: Rule | None
    ranges: Ranges

    @property
    def export(self) -> str:
        """Digest of the file, shortened."""
        return self.policy.digest[:12]

    @cached_property
    def choosing(self) -> bool:
        """Whether agents choose one of K."""
        return bool(self.policy.description["action"]["kind"] == "choice")


@dataclass(frozen=True)
class Answer:
    """What R agents do."""

    action: NDArray[Any]
    """`[R, ...]`."""
    by_rule: NDArray[np.bool_]
    """`[R]`."""
    reason: NDArray[np.str_]
    """Why the rule decided, "" where it did not, `[R]`."""
    beyond: NDArray[np.float32]
    """How far outside the training's range, in ranges, `[R]`."""
    preference: NDArray[Any] | None
    """Of choices, how good each is to whoever decided, `[R, K]`, greatest best, -inf where not allowed."""
    wished: NDArray[Any]
    """What the policy would do, whoever decides; zeros where it failed."""


class Service:
    """Answers for the export in a folder; `swap` takes a new one.

    Attributes:
        parts: what protocols beside `/decide` say of their health, by name; one with a `trouble` degrades the service.
        verbs: what answers to a POST, by path.
    """

    def __init__(self, folder: Path, settings: Settings, log: Log) -> None:
        self.folder, self.settings, self.log, self.metrics = folder, settings, log, Metrics()
        self.parts: dict[str, Callable[[], Mapping[str, Any]]] = {}
        self.verbs: dict[str, Verb] = {}
        self.current = self._load()
        self.metrics.uses(self.current.policy)
        log.event("serving", **self._about(self.current), folder=str(folder), mode=settings.mode)

    def decide(self, loaded: Loaded, rows: Rows, doubt: str = "") -> Answer:
        """What agents do that see `rows` of `Policy.rows`, by an export that was or is `current`.

        Where whoever asks has a doubt about what they see, the rule decides for that reason.

        Raises:
            NoAnswerError: the policy failed, and there is no rule.
        """
        began, count = time.perf_counter(), len(rows["agent"])
        beyond = loaded.ranges.beyond(rows)
        action, preference, failed = self._asked(loaded, rows)
        by_rule, reason = failed | (beyond > self.settings.far), np.zeros(count, "<U1")
        if not doubt and self.settings.mode == "policy" and not np.count_nonzero(by_rule):
            answer = Answer(action, by_rule, reason, beyond, preference, action)
        else:
            answer = self._doubted(loaded, rows, action, preference, failed, beyond, doubt)
        ruled = answer.reason[answer.by_rule].tolist()
        self.metrics.decided(time.perf_counter() - began, count, ruled, int(np.count_nonzero(beyond)))
        return answer

    def _doubted(
        self, loaded: Loaded, rows: Rows, action: NDArray[Any], preference: NDArray[Any] | None,
        failed: NDArray[np.bool_], beyond: NDArray[np.float32], doubt: str,
    ) -> Answer:  # fmt: skip
        """The answer where not all is the policy's to decide."""
        reason = np.where(failed, FAILED, np.where(beyond > self.settings.far, FAR, doubt))
        if self.settings.mode == "shadow":
            reason = np.where(reason == "", SHADOW, reason)
        by_rule, wished = reason != "", action
        if by_rule.any():
            action, preference = self._ruled(loaded, rows, by_rule, failed, action, preference)
            by_rule &= loaded.rule is not None
        return Answer(action, by_rule, np.where(by_rule, reason, ""), beyond, preference, wished)

    def swap(self) -> bool:
        """Take the export that is in the folder now; the one in use stays where that is none, or of other inputs."""
        try:
            fresh = self._load()
            if fresh.export == self.current.export:
                return False
            _same_questions(self.current.policy.description, fresh.policy.description)
            if self.current.adapter is not None and fresh.adapter is None:
                raise DataError("the new export says nothing of plain values, which may be asked; export its run again")
            about = self._about(fresh)
            self.metrics.uses(fresh.policy)
        except Exception as error:  # whatever is wrong with it, the one in use goes on
            self.metrics.swaps.labels("refused").inc()
            self.log.event("swap refused", error=str(error) or repr(error), export=self.current.export)
            return False
        self.current = fresh
        self.metrics.swaps.labels("done").inc()
        self.log.event("swapped", **about)
        return True

    @property
    def changed(self) -> bool:
        """Whether files of the export are others than when they were last looked at."""
        return stamp(self.folder) != self._seen

    def _load(self) -> Loaded:
        self._seen = stamp(self.folder)  # before reading: what comes after that is a change
        policy = Policy.load(self.folder)
        if policy.description.get("rounds"):
            raise DataError(
                f"{self.folder}: its agents speak before they act, and a request is one agent; use announce, hear and "
                "decide of dgpg.deploy.Policy, or train with --set coordination.rounds=0"
            )
        tried(policy, self.folder)
        known = adapter(policy.description)
        return Loaded(
            policy, known, _rule(known, self.settings, policy.description["domain"]), Ranges(policy.description)
        )

    def _asked(self, loaded: Loaded, rows: Rows) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[np.bool_]]:
        """The policy's actions `[R, ...]`, its preferences, and where it failed `[R]`."""
        count = len(rows["agent"])
        try:
            if loaded.choosing:
                action, preference = loaded.policy.run(rows, ("greedy", "log_probability"))
                return action, preference, np.isnan(preference).any(-1)
            (action,) = loaded.policy.run(rows, ("greedy",))
            return action, None, ~np.isfinite(action).reshape(count, -1).all(-1)
        except Exception as error:  # whatever the runtime raises: the rule is there for it
            self.log.event("failed", error=str(error).splitlines()[0], export=loaded.export)
            return np.zeros(count), None, np.ones(count, bool)

    def _ruled(
        self,
        loaded: Loaded,
        rows: Rows,
        by_rule: NDArray[np.bool_],
        failed: NDArray[np.bool_],
        action: NDArray[Any],
        preference: NDArray[Any] | None,
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Actions and preferences with those of the rule where it decides."""
        if loaded.rule is None:
            if failed.any():
                raise NoAnswerError("the policy failed, and this domain has no rule to stand in; see the log")
            return action, preference
        found = loaded.rule(rows)
        if loaded.choosing:  # also where numbers are too large for any rule: one of those that are allowed
            found = np.where(rows["mask"], np.nan_to_num(found, nan=WORST, neginf=WORST), -np.inf)
        elif not np.isfinite(found[by_rule]).all():
            raise NoAnswerError(
                "the policy has no answer, and the rule none that is a number: what agents see is too large"
            )
        ruled = found.argmax(-1) if loaded.choosing else found
        if failed.all():
            return ruled, found if loaded.choosing else None
        if self.settings.mode == "shadow":
            self._compared(loaded, rows, action, ruled, failed)
        where = by_rule.reshape(-1, *(1,) * (ruled.ndim - 1))
        preferred = None if preference is None else np.where(by_rule[:, None], found, preference)
        return np.where(where, ruled, action), preferred

    def _compared(
        self, loaded: Loaded, rows: Rows, action: NDArray[Any], ruled: NDArray[Any], failed: NDArray[np.bool_]
    ) -> None:
        """Log what the policy would have done, and what the analytical model says that it would have cost."""
        agreed = (np.isclose(action, ruled)).reshape(len(ruled), -1).all(-1)
        more = np.full(len(ruled), np.nan)
        if loaded.choosing and isinstance(loaded.adapter, SupportsEstimate):
            cost, at = loaded.adapter.cost(rows), np.arange(len(ruled))
            more = cost[at, action] - cost[at, ruled]
        for n in np.flatnonzero(~failed):
            difference = None if np.isnan(more[n]) else float(more[n])
            self.metrics.shadowed(bool(agreed[n]), difference)
            self.log.event(
                "shadow", policy=action[n].tolist(), rule=ruled[n].tolist(), difference=difference, export=loaded.export
            )

    def _about(self, loaded: Loaded) -> dict[str, Any]:
        told = loaded.policy.description
        return {
            "export": loaded.export, "domain": told["domain"], "iteration": told["iteration"],
            "plain": loaded.adapter is not None, "rule": loaded.rule is not None,
        }  # fmt: skip


def _rule(known: Adapter | None, settings: Settings, domain: str) -> Rule | None:
    """The rule that settings ask for.

    Raises:
        ConfigError: there is none of that name, or none at all and one is needed.
    """
    rules: Mapping[str, Rule] = {} if known is None else known.rules
    if settings.rule is not None and settings.rule not in rules:
        raise ConfigError(unknown("rule", settings.rule, rules))
    if settings.mode == "shadow" and not rules:
        raise ConfigError(
            f"shadow mode serves a rule, and there is none for domain '{domain}': its plugin is not installed, the "
            "export is of an older one (export the run again), or it has none"
        )
    return rules[settings.rule or next(iter(rules))] if rules else None


def _same_questions(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """DataError unless whoever asked the old policy may ask the new one the same."""
    for what, of in (
        ("domain", lambda told: told["domain"]),
        ("inputs", lambda told: {name: [one["name"] for one in x] for name, x in told["inputs"].items()}),
        ("arrays", lambda told: told["arrays"]),
        ("action", lambda told: (told["action"]["kind"], [one["name"] for one in told["action"]["names"]])),
    ):
        if of(old) != of(new):
            raise DataError(f"the new export has another {what}, {of(new)}; start a service of its own for it")
