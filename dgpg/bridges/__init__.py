"""Doors to other libraries: any domain as a Gymnasium environment."""

from dgpg.bridges.gym import JointEnv, VectorEnv

__all__ = ["JointEnv", "VectorEnv"]
