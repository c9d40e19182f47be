"""Grids to dispatch: MATPOWER files, PYPOWER's cases, generated grids, and RTS-GMLC with its year of hours."""

from .load import load_network
from .rts import Rts, load_rts
from .series import Series

__all__ = ["Rts", "Series", "load_network", "load_rts"]
