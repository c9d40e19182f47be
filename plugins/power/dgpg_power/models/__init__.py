"""Analytical models of dispatch: its cost, distances to optimal power flow, prices of buses.

`dcopf_cvx` needs the extra "convex" and is imported by itself."""

from dgpg_power.models.potentials import cost, dcopf

__all__ = ["cost", "dcopf"]
