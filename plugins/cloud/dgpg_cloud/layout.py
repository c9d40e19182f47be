"""Which machines there are, and which of them each dispatcher reaches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dgpg.errors import DataError
from dgpg_cloud.config import Config
from dgpg_cloud.workload import IntArray

BoolArray = NDArray[np.bool_]


def choose(rng: np.random.Generator, count: int, fits: BoolArray, file: bool) -> IntArray:
    """Rows of the machine table: every type in turn for the built-in table, a sample of a file.

    Args:
        rng: of the instance.
        count: machines, M.
        fits: which machine of the table can run which shape, `[shapes, rows]`.
        file: the table is the user's.

    Raises:
        DataError: so few machines cannot run every shape.
    """
    total = fits.shape[1]
    order = rng.permutation(total)
    rows = np.concatenate([rng.permutation(total) for _ in range(-(-count // total))])[:count] if file else (
        order[np.arange(count) % total]
    )  # fmt: skip
    return able(rows, fits)


def able(rows: IntArray, fits: BoolArray) -> IntArray:
    """Rows of the machine table, where shapes that none of them can run pull in one that can, in another's place.

    Raises:
        DataError: so few machines cannot run every shape.
    """
    rows, count = rows.copy(), len(rows)
    for position in range(count):
        missing = ~fits[:, rows].any(1)
        if not missing.any():
            return rows
        rows[position] = np.argmax(fits[missing].sum(0))
    left = int((~fits[:, rows].any(1)).sum())
    if left:
        raise DataError(f"{count} machines cannot host every kind of job: {left} kinds are left; raise num_machines")
    return rows


def graph(rng: np.random.Generator, config: Config, fits: BoolArray) -> IntArray:
    """K distinct candidates a dispatcher: its own machine (n mod M), a roomy one, and others at random.

    A roomy machine is one of the quarter that can run the most shapes: without one, a dispatcher would
    have to send large jobs away.

    Args:
        rng: of the instance.
        config: numbers of dispatchers, machines and candidates.
        fits: which machine can run which shape, `[shapes, M]`.

    Raises:
        DataError: a shape fits on no candidate of any dispatcher.
    """
    machines, choices = config.machine_count, min(config.candidates, config.machine_count)
    room = fits.sum(0)
    roomy = np.flatnonzero(room >= np.quantile(room, 0.75))
    result = np.empty((config.num_agents, choices), np.int64)
    for n in range(config.num_agents):
        first = [n % machines, int(rng.choice(roomy))][:choices]
        rest = rng.permutation(machines)
        result[n] = list(dict.fromkeys([*first, *rest.tolist()]))[:choices]
    return covering(rng, result, fits)


def covering(rng: np.random.Generator, candidates: IntArray, fits: BoolArray) -> IntArray:
    """Candidates `[N, K]`, where a rare shape that fits on none gives one dispatcher a machine for it.

    Raises:
        DataError: a shape fits on no candidate of any dispatcher.
    """
    result = candidates.copy()
    covered = fits[:, result.reshape(-1)].any(1)
    for shape in np.flatnonzero(~covered):
        result[int(rng.integers(len(result))), -1] = np.argmax(fits[shape])
    left = int((~fits[:, result.reshape(-1)].any(1)).sum())
    if left:
        raise DataError(f"{left} kinds of job fit on no candidate of any dispatcher; raise num_agents or candidates")
    return result
