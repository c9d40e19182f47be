"""Doors to other libraries: any domain in Gymnasium, and, each in a module of its own, in PettingZoo and SB3."""

from dgpg.bridges.gym import JointEnv, VectorEnv

__all__ = ["JointEnv", "VectorEnv"]
