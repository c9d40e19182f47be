"""Analytical models of the cloud: costs of a state of the machines, and distances to efficient ones.

`fluid_cvx` needs the extra "convex" and is imported by itself."""

from dgpg_cloud.models.potentials import capacity, demand, fluid, headroom

__all__ = ["capacity", "demand", "fluid", "headroom"]
