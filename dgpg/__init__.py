"""Policy gradients for many cooperating agents, guided by an analytical model of their domain.

Read `rollout`, `guidance`, `advantage`, `update`, `train` in this order: that is the algorithm. Plugin authors need
`protocols`, `types`, `spaces`, `models` and `config.Settings`; `text` reads their files, `cache` keeps what takes long.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("dgpg")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
