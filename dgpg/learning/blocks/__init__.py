"""Values of blocks: what the blocks of a state really cost is learned, and guidance is its exact marginal.

docs/theory.md section 6 derives it. `targets` says what a block's state led to, `value` is the potential with the
network's part in it, `learner` owns that network, `memory` what was seen; `attributed` is the same without a model.
"""

from dgpg.learning.blocks.attributed import of_choices
from dgpg.learning.blocks.learner import BlockLearner
from dgpg.learning.blocks.memory import Memory
from dgpg.learning.blocks.value import BlockValue, Correction, looks

__all__ = ["BlockLearner", "BlockValue", "Correction", "Memory", "looks", "of_choices"]
