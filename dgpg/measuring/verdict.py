"""What an alignment measurement says about a model, and the sentence that a user should have of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from dgpg.measuring.statistics import Difference

Interval: TypeAlias = tuple[float, float]
TRUSTED, DOUBTFUL = 0.8, 0.3
"""Directions from which a model may be trusted, and below which it may not."""
SIZE = 1e-3, 1e3
"""Scales beyond which units are probably mixed up."""
SAME, LONG = 0.99, 2.0
"""Cosine from which a potential is the cost of its step, and how much more or less later cost is worth a word then."""
HALF = 0.5
"""Part of the way from the best rule to even draws that may be lost by following the model."""


PARTLY = "use alpha 0.5 falling to 0: it points the right way on the whole, not in all states"
"""Of a model that lacks nothing in particular."""


@dataclass(frozen=True)
class Along:
    """The direction in states that a policy leads to."""

    play: str
    direction: float
    direction_ci95: Interval
    states: int


@dataclass(frozen=True)
class Alone:
    """What following the model costs without learning, an agent and step, on the arrivals of everything beside it."""

    name: str
    cost: float
    even: float
    """Even draws."""
    over_even: Difference
    rule: str | None = None
    """The cheapest rule, none where the domain brings none."""
    rule_cost: float | None = None
    rule_over_even: Difference | None = None
    over_rule: Difference | None = None
    """Of the follower."""

    @property
    def ruins(self) -> bool:
        """Whether drawing evenly costs less, by more than chance."""
        return bool(self.over_even.distinguishable) and self.over_even.cost > 0

    @property
    def helps(self) -> bool:
        """Whether it costs less than drawing evenly, by more than chance."""
        return bool(self.over_even.distinguishable) and self.over_even.cost < 0

    @property
    def lost(self) -> float:
        """Part of the way from the cheapest rule to even draws; 0 where either of both may be chance."""
        gap, behind = self.rule_over_even, self.over_rule
        if gap is None or behind is None or not (gap.distinguishable and behind.distinguishable):
            return 0.0
        return max(behind.cost / -gap.cost, 0.0) if gap.cost < 0 else 0.0

    @property
    def said(self) -> str:
        """Costs in words."""
        rule = "" if self.rule_cost is None else f", {self.rule} {self.rule_cost:.4g}"
        return f"{self.name} {self.cost:.4g}{rule}, even draws {self.even:.4g}"


@dataclass(frozen=True)
class Alignment:
    """What was measured; intervals are 95 % bootstraps over states."""

    direction: float
    direction_ci95: Interval
    worst: float
    """The direction in the worst of the groups of states in which luck leaves one to be seen."""
    detail: float
    gain: float
    """`detail` less that of the same model with shuffled blocks."""
    gain_ci95: Interval
    scale: float
    """Cost that one unit of the potential stands for: 1 where a value potential is the whole truth."""
    states: int
    own: float
    """The cosine choice by choice with the cost of the step itself: 1 where the potential is that cost."""
    lasting: float
    """What a choice costs in all the steps looked at, over what it costs in its own."""
    symmetric: bool
    """Whether no shuffle of the blocks changes the potential, so that `gain` says nothing."""
    lookahead: int
    """Steps of cost that a choice was charged with."""
    along: tuple[Along, ...] = ()
    alone: Alone | None = None

    def json(self) -> dict[str, Any]:
        """As plain values, with what follows from them."""
        return {**asdict(self), "trusted": self.trusted, "verdict": self.verdict, "advice": self.advice}

    @property
    def advice(self) -> str:
        """What else might help; "" where nothing is known."""
        if self.own < SAME or 1 / LONG < self.lasting < LONG:
            return ""
        if self.lasting < 1:
            return (
                "its potential is the cost of one step, but what a choice costs over the next ones is "
                f"{self.lasting:.2g} times that: what is saved now is paid for later; let the potential count what a "
                "choice leaves behind (docs, Your first plugin, What lasts)"
            )
        return (
            f"its potential is the cost of one step, but what a choice costs over the next ones is {self.lasting:.2g} "
            "times that: if some of it lasts longer than the rest, let the potential count it for as long (docs, Your "
            "first plugin, What lasts)"
        )

    @property
    def misleads(self) -> Along | None:
        """The play in whose states the model clearly points the wrong way, the worst of them."""
        wrong = [one for one in self.along if one.direction_ci95[1] < 0]
        return min(wrong, key=lambda one: one.direction, default=None)

    @property
    def trusted(self) -> bool:
        """Whether the model may be used with a large alpha."""
        right = self.direction_ci95[0] >= TRUSTED and self.worst > 0 and self.gain_ci95[0] > 0
        kept = self.misleads is None and (self.alone is None or (not self.alone.ruins and self.alone.lost <= HALF))
        return right and kept and SIZE[0] < self.scale < SIZE[1]

    @property
    def _look(self) -> str:
        if self.own >= SAME:
            return "look for costs that come later than the step, which is all that the potential counts"
        return "look for what it leaves out, and for a wrong sign, index order or reference"

    @property
    def verdict(self) -> str:
        """What a user should do about it, one sentence."""
        if self.trusted:
            return "it may be trusted with a large alpha: it points where the cost falls and knows its blocks apart"
        return self._refused or self._halved

    @property
    def _refused(self) -> str:
        """Why it may not be followed at all; "" where it may a little."""
        low, high = self.direction_ci95
        wrong, alone = self.misleads, self.alone
        if high < 0:
            return "it misleads: it points where the cost rises; look for a wrong sign, index order or reference"
        if wrong is not None and not (alone is not None and alone.helps):
            return (
                f"it misleads where it is followed: in states that {wrong.play} leads to it points where the cost "
                f"rises (direction {wrong.direction:.2f}); {self._look}"
            )
        if alone is not None and alone.ruins:
            return (
                f"it may not be trusted: following it alone costs more than drawing evenly ({alone.said}); "
                f"{self._look}, or train with mappo or ippo-local"
            )
        if low < DOUBTFUL:
            how = "does not point" if self.direction < DOUBTFUL else "may not point, as far as was measured,"
            return f"it may not be trusted: it {how} where the cost falls; train with mappo or ippo-local"
        return ""

    @property
    def _halved(self) -> str:
        """How far it may be followed, and what it lacks."""
        wrong, alone = self.misleads, self.alone
        if wrong is not None and alone is not None:
            return (
                f"use alpha 0.5 falling to 0: following it helps ({alone.said}), but in states that {wrong.play} leads "
                f"to it points where the cost rises (direction {wrong.direction:.2f}); {self._look}"
            )
        if not SIZE[0] < self.scale < SIZE[1]:
            return (
                f"check its units first: one unit of its potential stands for {self.scale:.1e} of cost, so some "
                "coordinate may be off by a factor (a distance in units of its own is fine: guidance is normalised)"
            )
        far = alone is not None and alone.lost > HALF
        if self.symmetric and not far:
            alike = "its potential takes all blocks for alike, so a control with shuffled ones does not apply"
            return f"{self._if_alike}, and {alike}"
        if self.gain_ci95[0] <= 0:
            return (
                "use a small alpha that falls to 0: it is no better than with its blocks shuffled, so it takes them "
                "for alike or for one another (right only if they are alike); check the order and size of its data"
            )
        if alone is not None and far:
            return (
                "use alpha 0.5 falling to 0: it points the right way, but following it alone is nearer to even draws "
                f"than to the best rule ({alone.said}), so it leaves out something that costs"
            )
        return PARTLY

    @property
    def _if_alike(self) -> str:
        if self.direction_ci95[0] >= TRUSTED and self.worst > 0:
            return "it may be trusted with a large alpha if its blocks are alike: it points where the cost falls"
        return PARTLY
