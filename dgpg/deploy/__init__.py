"""A trained policy in use: numpy and onnxruntime, nothing of training.

`pip install 'dgpg[deploy]'`; the file comes from `dgpg export RUN --out DIR`.
"""

from dgpg.deploy.policy import Policy

__all__ = ["Policy"]
