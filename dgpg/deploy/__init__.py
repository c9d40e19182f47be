"""A trained policy in use: numpy and onnxruntime, nothing of training.

`pip install 'dgpg[deploy]'`; the file comes from `dgpg export RUN --out DIR`.
"""

from dgpg.deploy.packed import packed, unpacked
from dgpg.deploy.plain import Adapter, Rows, Rule, SupportsEstimate, adapter, number, numbers, only, stacked, which
from dgpg.deploy.policy import Policy
from dgpg.deploy.speaking import Words, agree, totals

__all__ = [
    "Adapter",
    "Policy",
    "Rows",
    "Rule",
    "SupportsEstimate",
    "Words",
    "adapter",
    "agree",
    "number",
    "numbers",
    "only",
    "packed",
    "stacked",
    "totals",
    "unpacked",
    "which",
]
