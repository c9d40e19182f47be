"""The test cases that PYPOWER brings along, by name."""

from __future__ import annotations

import importlib

import numpy as np

from dgpg.errors import DataError, unknown

from .case import Case, Matrix

NAMES = (
    *("case6ww", "case9", "case14", "case24_ieee_rts", "case30", "case30pwl", "case39"),
    *("case57", "case118", "case300"),
)
"""Cases with costs and in service; PYPOWER 5.1 (BSD), after MATPOWER."""


def read_builtin(name: str) -> Case:
    """The case of that name; DataError if the name is unknown or PYPOWER is not installed."""
    if name not in NAMES:
        raise DataError(unknown("case", name, NAMES))
    try:
        data = getattr(importlib.import_module("pypower.api"), name)()
    except ImportError as error:
        raise DataError(f"built-in {name} needs PYPOWER ({error}): install it with 'pip install PYPOWER'") from error
    where = f"built-in {name}"

    def matrix(key: str) -> Matrix:
        return Matrix(where, f"mpc.{key}", tuple(map(tuple, np.asarray(data[key], float).tolist())))

    base = float(data["baseMVA"])
    return Case(where, name, base, matrix("bus"), matrix("gen"), matrix("branch"), matrix("gencost"))
