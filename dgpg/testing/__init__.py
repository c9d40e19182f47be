"""The conformance kit for pytest and hypothesis; needs the extra `testing`.

from dgpg.testing import DomainTests

class TestGrid(DomainTests):
    domain = "grid"  # or the domain object
"""

from __future__ import annotations

from dgpg.checks import CHECKS, Check, CheckFailed, Outcome, Skipped, Subject, run, subject
from dgpg.testing.machine import EnvironmentMachine, machine_of
from dgpg.testing.strategies import configs, damaged, decisions, joint_actions, settings_of, states
from dgpg.testing.suite import DomainTests

__all__ = [
    "CHECKS",
    "Check",
    "CheckFailed",
    "DomainTests",
    "EnvironmentMachine",
    "Outcome",
    "Skipped",
    "Subject",
    "configs",
    "damaged",
    "decisions",
    "joint_actions",
    "machine_of",
    "run",
    "settings_of",
    "states",
    "subject",
]
