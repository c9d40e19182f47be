"""Traffic assignment: routes by column generation, the optimum over them, and equilibria over all paths."""

from dgpg_traffic.assignment.assign import SYSTEM_OPTIMUM, USER_EQUILIBRIUM, assign

__all__ = ["SYSTEM_OPTIMUM", "USER_EQUILIBRIUM", "assign"]
