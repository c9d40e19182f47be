"""Hypothesis strategies of a domain: its configurations, moments of decision, joint actions, states and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, AnyStr

import torch
from hypothesis import strategies as st
from torch import Tensor

from dgpg.checks.fields import Leaf, leaves, nest
from dgpg.checks.subject import Subject, allowed
from dgpg.domain import Decision, merge, validate
from dgpg.domain.expected import state_of
from dgpg.domain.random import generator
from dgpg.errors import ConfigError

AROUND = 2.0
"""Numbers are drawn between the default divided by this and multiplied by it, within their bounds."""
SEEDS = st.integers(0, 2**20)
CUTS = (0, 1, 5)
"""Lengths of what is cut out of a damaged file, besides all that follows."""


def settings_of(subject: Subject, changes: int = 3) -> st.SearchStrategy[dict[str, Any]]:
    """Settings on top of the subject's own: up to `changes` of numbers, switches and literals, near the defaults.

    They shrink to the subject's own settings. Fields of other types keep their value.
    """
    drawn = [(leaf, _values(leaf, subject)) for leaf in leaves(type(subject.config))]
    known = {leaf.name: (leaf, values) for leaf, values in drawn if values is not None}
    if not known:
        return st.just(dict(subject.settings))
    pairs = st.sampled_from(sorted(known)).flatmap(lambda name: st.tuples(st.just(name), known[name][1]))
    chosen = st.lists(pairs, max_size=changes, unique_by=lambda pair: pair[0])

    def put(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = dict(subject.settings)
        for name, value in pairs:
            result = merge(result, nest(known[name][0].path, value))
        return result

    return chosen.map(put)


def configs(subject: Subject, changes: int = 3) -> st.SearchStrategy[Any]:
    """Validated configurations near the subject's; combinations that the domain refuses are left out."""

    def build(values: Mapping[str, Any]) -> Any:
        try:
            return validate(type(subject.config), values, "")
        except ConfigError:
            return None

    return settings_of(subject, changes).map(build).filter(lambda config: config is not None)


def _values(leaf: Leaf, subject: Subject) -> st.SearchStrategy[Any] | None:
    """Values of one setting; None for a type that cannot be varied blindly."""
    if leaf.choices:
        return st.sampled_from(leaf.choices)
    value: Any = subject.config
    for part in leaf.path:
        value = getattr(value, part)
    if leaf.number is None or value is None:
        return None
    low, high = sorted((value / AROUND, value * AROUND))
    least, most = leaf.bound("ge", "gt"), leaf.bound("le", "lt")
    low, high = (low if least is None else max(low, least)), (high if most is None else min(high, most))
    if leaf.number is int:
        low, high = round(low) + (leaf.bound("gt") == round(low)), round(high) - (leaf.bound("lt") == round(high))
        return st.integers(low, max(low, high))
    return st.floats(
        low, high, exclude_min=leaf.bound("gt") == low, exclude_max=leaf.bound("lt") == high, allow_subnormal=False
    )


def decisions(subject: Subject) -> st.SearchStrategy[Decision]:
    """Moments of decision after random actions, observation and context alike."""
    return st.sampled_from([situation.decision for situation in subject.situations])


def joint_actions(subject: Subject, decision: Decision) -> st.SearchStrategy[Tensor]:
    """Joint actions that the decision allows, `[B, N]`, or `[B, N, A]` if continuous, splits included."""
    return SEEDS.map(lambda seed: allowed(subject.env, decision, generator(seed)))


@st.composite
def states(draw: st.DrawFn, subject: Subject) -> tuple[Tensor, Decision]:
    """A state `[B, G, m]` that a joint action leads to by the mapping, and the decision it was taken in."""
    decision = draw(decisions(subject))
    actions = draw(joint_actions(subject, decision))
    with torch.no_grad():
        return state_of(subject.mapping, decision, actions), decision


@st.composite
def damaged(draw: st.DrawFn, content: AnyStr, pieces: Sequence[AnyStr]) -> AnyStr:
    """The content of a file with one of the pieces somewhere in it, between or instead of what was there."""
    start: int = draw(st.integers(0, len(content)))
    end: int = draw(st.sampled_from([*(start + cut for cut in CUTS), len(content)]))
    return content[:start] + draw(st.sampled_from(pieces)) + content[end:]
