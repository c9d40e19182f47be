"""Numbers about policies, rules and models: costs on the same arrivals, comparisons of runs, alignment of a model."""

from dgpg.measuring.compare import compare_runs
from dgpg.measuring.evaluate import NetworkPolicy, Played, episode_costs, evaluate_run, play
from dgpg.measuring.rows import Row
from dgpg.measuring.rules import BiggestFirst, DescendPotential, GreedyPotential
from dgpg.measuring.statistics import Difference
from dgpg.measuring.verdict import Alignment

__all__ = [
    "Alignment",
    "BiggestFirst",
    "DescendPotential",
    "Difference",
    "GreedyPotential",
    "NetworkPolicy",
    "Played",
    "Row",
    "compare_runs",
    "episode_costs",
    "evaluate_run",
    "play",
]
