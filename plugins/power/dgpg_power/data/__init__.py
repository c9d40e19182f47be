"""Grids to dispatch: MATPOWER files, PYPOWER's cases, generated grids, and RTS-GMLC with its year of hours."""

from .load import load_network

__all__ = ["load_network"]
