"""Analytical models of roads: travel time, and distances to user equilibrium and system optimum.

`system_optimum_cvx` needs the extra "convex" and is imported by itself."""

from dgpg_traffic.models.potentials import marginal_cost, system_optimum, user_equilibrium

__all__ = ["marginal_cost", "system_optimum", "user_equilibrium"]
