"""Conformance checks: what a plugin declares is measured. `dgpg check DOMAIN` runs them all.

Each check is a function of a `Subject` and usable alone:

    from dgpg.checks import determinism, subject
    determinism(subject(domain))

It returns where the property holds (None, or what it measured if that is a figure), raises `CheckFailed` with what was
expected, what came, the likely cause and the fix, or `Skipped` with the reason why it does not apply. Neither pytest
nor hypothesis is needed here; for them see `dgpg.testing`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dgpg.checks.apart import parts
from dgpg.checks.baselines import baseline_actions, baseline_names
from dgpg.checks.blocks import block_cost, block_features, block_work
from dgpg.checks.chance import (
    batch,
    determinism,
    global_generators,
    restore,
    restore_elsewhere,
    saved_state_kept,
    saved_to_a_file,
    seeds,
)
from dgpg.checks.episode import (
    action_matters,
    actions_kept,
    finite,
    horizon,
    idle_agents,
    late_features,
    new_episode,
    outputs_kept,
    someone_acts,
)
from dgpg.checks.interface import (
    attributes,
    contexts,
    declared_spaces,
    final_observations,
    finals,
    named,
    observations,
    steps,
)
from dgpg.checks.joint import joint_state, slope_is_effect
from dgpg.checks.mapping import distinct_blocks, influence_format, influence_is_effect, mapping_is_pure, state_is_sum
from dgpg.checks.measured import measured_state
from dgpg.checks.model import block_potential, gradient, model_is_pure, potential_format
from dgpg.checks.reference import (
    conservation,
    reference_format,
    reference_is_exogenous,
    reference_is_least,
    reference_is_stationary,
)
from dgpg.checks.registration import api_version, default_model, entry_point, members
from dgpg.checks.settings import (
    default_settings,
    described_settings,
    edge_values,
    frozen_settings,
    stored_settings,
    transferred_settings,
    unknown_setting,
    wrong_type,
)
from dgpg.checks.subject import Moment, Sample, Situation, Subject, allowed, subject
from dgpg.checks.verdict import Check, CheckFailed, Outcome, Skipped, examine

CHECKS: tuple[Check, ...] = tuple(
    Check(function)
    for function in (
        entry_point,
        api_version,
        members,
        default_model,
        default_settings,
        frozen_settings,
        stored_settings,
        described_settings,
        unknown_setting,
        wrong_type,
        edge_values,
        attributes,
        declared_spaces,
        named,
        observations,
        contexts,
        steps,
        finals,
        final_observations,
        finite,
        horizon,
        new_episode,
        someone_acts,
        idle_agents,
        action_matters,
        actions_kept,
        outputs_kept,
        determinism,
        late_features,
        seeds,
        batch,
        parts,
        restore,
        restore_elsewhere,
        saved_state_kept,
        saved_to_a_file,
        global_generators,
        transferred_settings,
        influence_format,
        distinct_blocks,
        state_is_sum,
        influence_is_effect,
        joint_state,
        slope_is_effect,
        measured_state,
        mapping_is_pure,
        potential_format,
        gradient,
        block_potential,
        block_cost,
        block_features,
        block_work,
        model_is_pure,
        reference_format,
        reference_is_least,
        reference_is_stationary,
        reference_is_exogenous,
        conservation,
        baseline_names,
        baseline_actions,
    )
)
"""Every check, in the order in which a failure explains those after it."""


def examined(subject: Subject) -> Iterator[Outcome]:
    """Every check on one domain, one by one; a failure that others repeat is told once and named after that."""
    first: dict[str, str] = {}
    for check in CHECKS:
        found = examine(check, subject)
        known = first.setdefault(found.message, found.name) if found.status == "fail" else found.name
        yield found if known == found.name else replace(found, message=f"the same as {known} above")


def run(subject: Subject) -> list[Outcome]:
    """Every check on one domain."""
    return list(examined(subject))


__all__ = [
    "CHECKS",
    "Check",
    "CheckFailed",
    "Moment",
    "Outcome",
    "Sample",
    "Situation",
    "Skipped",
    "Subject",
    "action_matters",
    "actions_kept",
    "allowed",
    "api_version",
    "attributes",
    "baseline_actions",
    "baseline_names",
    "batch",
    "block_cost",
    "block_features",
    "block_potential",
    "block_work",
    "conservation",
    "contexts",
    "declared_spaces",
    "default_model",
    "default_settings",
    "described_settings",
    "determinism",
    "distinct_blocks",
    "edge_values",
    "entry_point",
    "examine",
    "examined",
    "final_observations",
    "finals",
    "finite",
    "frozen_settings",
    "global_generators",
    "gradient",
    "horizon",
    "idle_agents",
    "influence_format",
    "influence_is_effect",
    "joint_state",
    "late_features",
    "mapping_is_pure",
    "measured_state",
    "members",
    "model_is_pure",
    "named",
    "new_episode",
    "observations",
    "outputs_kept",
    "parts",
    "potential_format",
    "reference_format",
    "reference_is_exogenous",
    "reference_is_least",
    "reference_is_stationary",
    "restore",
    "restore_elsewhere",
    "run",
    "saved_state_kept",
    "saved_to_a_file",
    "seeds",
    "slope_is_effect",
    "someone_acts",
    "state_is_sum",
    "steps",
    "stored_settings",
    "subject",
    "transferred_settings",
    "unknown_setting",
    "wrong_type",
]
