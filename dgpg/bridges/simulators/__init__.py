"""Any single-environment Python simulator as a batched environment of dgpg: docs/simulators.md.

An author's module of the simulator needs `View` alone, and with it numpy alone: workers start fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dgpg.bridges.simulators.environment import Simulators
    from dgpg.bridges.simulators.settings import Simulation, Workers
    from dgpg.bridges.simulators.standards import from_gymnasium, from_parallel_env
    from dgpg.bridges.simulators.view import View

__all__ = ["Simulation", "Simulators", "View", "Workers", "from_gymnasium", "from_parallel_env"]
_HOMES = {
    "Simulators": "environment",
    "Simulation": "settings",
    "Workers": "settings",
    "View": "view",
    "from_gymnasium": "standards",
    "from_parallel_env": "standards",
}


def __getattr__(name: str) -> Any:
    """A public name from its module, which is imported then: those of torch are not where processes need none."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no {name}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
