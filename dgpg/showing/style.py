"""How pictures look, on pages and in files: one colour for one algorithm everywhere, told apart by all kinds of vision.

Colours are those of M. Okabe and K. Ito, Color Universal Design (2008), and an olive of P. Tol's in the place of their
yellow, which paper swallows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, OLIVE = "#cc79a7", "#56b4e9", "#999933"

ALGORITHMS: Mapping[str, str] = {
    "dg-pg": BLUE,
    "mappo": ORANGE,
    "ippo": PURPLE,
    "ippo-local": SKY,
    "mirror-descent": OLIVE,
}
"""Trained policies by their algorithm."""
COLOURS: Mapping[str, str] = {"policy": BLUE, "untrained": "#b0b0b0", "baseline": VERMILION, "oracle": GREEN}
"""Rows of an evaluation by their kind; a policy's is that of its algorithm, see `colour`."""
RULES = (VERMILION, SKY, PURPLE, ORANGE, OLIVE)
"""Rules beside a policy, in their order, those of the policy's own colour left out."""
UNSURE = "#888888"
"""What is not distinguishable."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
"""Runs of one algorithm with other settings, in their order."""


def colour(name: str, kind: str = "policy") -> str:
    """Of a row: an algorithm's own, else that of its kind."""
    return ALGORITHMS.get(name, COLOURS[kind]) if kind == "policy" else COLOURS[kind]


def rule_colours(names: Iterable[str], policy: str) -> dict[str, str]:
    """Colours of rules that are drawn beside a policy of an algorithm; black where there are more than colours."""
    free = iter([one for one in RULES if one != colour(policy)])
    return {name: next(free, "#000000") for name in names}
