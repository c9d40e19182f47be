"""How pictures look, on pages and in files: one colour for one algorithm everywhere, that all eyes can tell apart.

Colours are those of M. Okabe and K. Ito, Color Universal Design (2008). Lines have an olive, a wine and an
indigo of P. Tol's in the place of their yellow, which paper swallows; areas have the yellow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, OLIVE, YELLOW, WINE, INDIGO = "#cc79a7", "#56b4e9", "#999933", "#f0e442", "#882255", "#332288"

ALGORITHMS: Mapping[str, str] = {
    "dg-pg": BLUE,
    "mappo": ORANGE,
    "mappo-blocks": INDIGO,
    "ippo": PURPLE,
    "ippo-local": SKY,
    "ippo-blocks": WINE,
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


STREET, FAINT = "#d9d9d9", "#ececec"
"""Of maps: a link without its flow, and what only leads to the network, as connectors of zones do."""
FULLNESS, APART = "viridis_r", "RdBu_r"
"""Colour maps of matplotlib: of what fills up, and of differences about 0; both keep their order in grey."""
LOADS = (
    (0.1, "#bddf26", 1.5), (0.25, "#58c765", 2.2), (0.4, "#1e9c89", 3.0), (0.6, "#2f6c8e", 4.0), (0.8, "#463480", 5.0),
    (1.0, VERMILION, 6.0),
)  # fmt: skip
"""Classes of load: the least, the colour, `FULLNESS` up to what is over full, and the width in pixels."""
LOAD = 1.2
"""Where the scale of loads ends."""


def colour(name: str, kind: str = "policy") -> str:
    """Of a row: an algorithm's own, else that of its kind."""
    return ALGORITHMS.get(name, COLOURS[kind]) if kind == "policy" else COLOURS[kind]


def rule_colours(names: Iterable[str], policy: str) -> dict[str, str]:
    """Colours of rules that are drawn beside a policy of an algorithm; black where there are more than colours."""
    free = iter([one for one in RULES if one != colour(policy)])
    return {name: next(free, "#000000") for name in names}
