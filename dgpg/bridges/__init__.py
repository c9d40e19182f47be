"""Doors to other libraries.

Any domain in Gymnasium, and, each in a module of its own, in PettingZoo, Stable-Baselines3, TorchRL and BenchMARL; any
simulator as an environment of dgpg (`dgpg.bridges.simulators`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dgpg.bridges.gym import JointEnv, VectorEnv

__all__ = ["JointEnv", "VectorEnv"]


def __getattr__(name: str) -> Any:
    """A public name from its module, imported then: processes of simulators come by here and need no torch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no {name}")
    from dgpg.bridges import gym

    return getattr(gym, name)
