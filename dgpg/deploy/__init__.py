"""A trained policy in use: numpy and onnxruntime, nothing of training.

`pip install 'dgpg[deploy]'`; the file comes from `dgpg export RUN --out DIR`.
"""

from dgpg.deploy.plain import Adapter, Rows, Rule, SupportsEstimate, adapter, number, numbers, only, stacked, which
from dgpg.deploy.policy import Policy

__all__ = [
    "Adapter",
    "Policy",
    "Rows",
    "Rule",
    "SupportsEstimate",
    "adapter",
    "number",
    "numbers",
    "only",
    "stacked",
    "which",
]
