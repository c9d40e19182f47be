"""Ways for an analytical model to enter learning, a file each; docs/theory.md sections 2 and 4.

An estimator says what it needs and where it enters; the trainer asks it and never which one it is. A new one derives
from the class of its place in `estimator` and is listed here.
"""

from __future__ import annotations

from dgpg.errors import ConfigError, unknown
from dgpg.learning.actions import ActionKind, Box, Simplex
from dgpg.learning.estimators.all_action import AllAction
from dgpg.learning.estimators.control_variate import ControlVariate
from dgpg.learning.estimators.estimator import Estimator, Unguided
from dgpg.learning.estimators.exact import Exact
from dgpg.learning.estimators.first_order import FirstOrder, FirstOrderDraw
from dgpg.learning.estimators.mirror import Mirror
from dgpg.learning.estimators.pathwise import NaturalSplit, Pathwise, PlainSplit
from dgpg.learning.estimators.potential_based import PotentialBased

__all__ = ["Estimator", "Unguided", "find_estimator", "offered"]

CHOICES: tuple[type[Estimator], ...] = (AllAction, Mirror, Exact, FirstOrder, ControlVariate, PotentialBased)
NUMBERS: tuple[type[Estimator], ...] = (Pathwise, FirstOrderDraw)
SPLITS: tuple[type[Estimator], ...] = (NaturalSplit, PlainSplit, FirstOrderDraw)


def offered(kind: ActionKind) -> dict[str, type[Estimator]]:
    """Estimators that a kind of action and its distribution allow, by name; the first is the default."""
    found = NUMBERS if isinstance(kind, Box) else SPLITS if isinstance(kind, Simplex) else CHOICES
    return {one.NAME: one for one in found if one.NEEDS in kind.OFFERS}


def find_estimator(kind: ActionKind, name: str) -> type[Estimator]:
    """The estimator of that name.

    Raises:
        ConfigError: this kind of action has none of that name.
    """
    if name not in offered(kind):
        raise ConfigError("train.estimator: " + unknown("estimator", name, offered(kind)))
    return offered(kind)[name]
