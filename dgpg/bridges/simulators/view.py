"""What is read of a simulator, and how it lies in memory that processes share. Needs numpy alone."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
Layout = list[tuple[str, str, tuple[int, ...]]]
"""Name, type and shape of each array of a view."""
CONTEXT, MEASURES = "context.", "measures."
OPTIONAL = {"state": (2, "[G, m]"), "block_cost": (1, "[G]"), "local_reward": (1, "[N]")}
"""Axes of parts that may be left out, and what they mean."""
MOST = float(np.finfo(np.float32).max)


@dataclass
class View:
    """What a simulator shows after a reset or a step: plain numbers and arrays of numpy, without a batch.

    After a reset the same parts are given as after a step; what a step brought about (costs, measures) is zero then.
    """

    agent: ArrayLike
    """Features of each agent itself, `[N, F]`."""
    context: Mapping[str, ArrayLike]
    """What the analytical model may look at, by name, fixed before the next action: numbers, float32 as tensors, or
    arrays of True and False."""
    cost: float = 0.0
    """Of the step that led here, of all agents."""
    choices: ArrayLike | None = None
    """Features of each choice of each agent, `[N, K, C]`, where choices have any."""
    mask: ArrayLike | None = None
    """True where a choice is allowed, `[N, K]`; all of them if None. An agent without any has nothing to decide."""
    central: ArrayLike | None = None
    """What a central critic sees, `[S]`; what all agents see if None."""
    state: ArrayLike | None = None
    """The state as it was measured after the step, `[G, m]`."""
    block_cost: ArrayLike | None = None
    """What each block cost in the step, `[G]`."""
    local_reward: ArrayLike | None = None
    """Each agent's own share of the reward, `[N]`."""
    measures: Mapping[str, float] = field(default_factory=dict)
    """What to report beside the cost."""
    terminated: bool = False
    """The episode has come to its true end."""
    truncated: bool = False
    """The episode was cut; at the horizon it is anyway."""


@dataclass(frozen=True)
class Sizes:
    """What every view of a simulator must fit."""

    agents: int
    features: int
    choices: int
    of_choices: int
    central: int
    horizon: int
    action: tuple[str, tuple[int, ...]]
    """Type and shape of a joint action."""


class Misfit(Exception):
    """A view that does not fit; the text says which part, what was expected and what came."""


@np.errstate(over="ignore")  # once a view: what float32 cannot hold is found as infinity
def arrays_of(view: object, sizes: Sizes) -> dict[str, Array]:
    """Every part of a view by name, checked against what is known of it before anything ran.

    Raises:
        Misfit: naming the part.
    """
    if not isinstance(view, View):
        raise Misfit(f"read returned {type(view).__name__}; expected a dgpg.bridges.simulators.View")
    n, k, c = sizes.agents, sizes.choices, sizes.of_choices
    agent = numbers("View.agent", view.agent, np.float32)
    if agent.ndim == 2 and len(agent) != n:
        raise Misfit(
            f"View.agent has rows of {len(agent)} agents; expected {n}, always: give an agent that is away features of "
            "zero and no allowed choice in View.mask"
        )
    central = agent.ravel() if view.central is None else numbers("View.central", view.central, np.float32)
    found = {
        "agent": fitting("View.agent", agent, (n, sizes.features), "[N, F], F as in names.agent"),
        "central": fitting("View.central", central, (sizes.central,), "[S], S as in `central`"),
        "cost": fitting("View.cost", numbers("View.cost", view.cost, np.float64), (), "a number"),
    }
    if abs(found["cost"]) > MOST:
        raise Misfit(f"View.cost is {found['cost']}; expected a number that float32 holds")
    if c:
        given = numbers("View.choices", view.choices, np.float32)
        found["choices"] = fitting("View.choices", given, (n, k, c), "[N, K, C], C as in names.choices")
    mask = np.ones((n, k), bool) if view.mask is None else flags("View.mask", view.mask)
    found["mask"] = fitting("View.mask", mask, (n, k), "[N, K]")
    for name in ("terminated", "truncated"):
        found[name] = fitting(f"View.{name}", flags(f"View.{name}", getattr(view, name)), (), "True or False")
    for name, value in named("View.context", view.context):
        found[CONTEXT + name] = of_context(f"View.context['{name}']", value)
    for name, (axes, meaning) in OPTIONAL.items():
        if getattr(view, name) is not None:
            found[name] = numbers(f"View.{name}", getattr(view, name), np.float32)
            if found[name].ndim != axes:
                raise Misfit(f"View.{name} has shape {list(found[name].shape)}; expected {meaning}")
    for name, value in named("View.measures", view.measures):
        found[MEASURES + name] = fitting(f"View.measures['{name}']", numbers(name, value, np.float32), (), "a number")
    return found


def layout_of(found: Mapping[str, Array]) -> Layout:
    """How such parts lie in memory."""
    return [(name, array.dtype.str, array.shape) for name, array in found.items()]


def record(layout: Layout, sizes: Sizes) -> np.dtype[Any]:
    """One environment in shared memory: what is now, what an episode ended in, and what goes to the simulator."""
    one = np.dtype([(name, dtype, shape) for name, dtype, shape in layout])
    return np.dtype(
        [
            ("now", one),
            ("final", one),
            ("digest", "<u4"),
            ("final_digest", "<u4"),
            ("over", "u1"),
            ("seed", "<i8"),
            ("action", *sizes.action),
        ]
    )


GOES_ON, ENDED, CUT = 0, 1, 2
"""What `over` says of a step."""


class Board:
    """Records of some environments; parts are written here by the process of the simulator, and read by the trainer's.

    Args:
        records: `[B]` of the type `record`.
        layout: of a view.
    """

    def __init__(self, records: Array, layout: Layout) -> None:
        self.records, self.layout = records, layout
        self.columns = {part: {name: records[part][name] for name, _, _ in layout} for part in ("now", "final")}
        self._kinds = [(name, np.dtype(dtype), shape) for name, dtype, shape in layout]

    def write(self, part: str, place: int, found: Mapping[str, Array]) -> None:
        """Parts of a view into the record of one environment, with their digest.

        Raises:
            Misfit: other parts, or of other shapes, than those of the first view.
        """
        columns = self.columns[part]
        if found.keys() != columns.keys():
            odd = sorted(found.keys() ^ columns.keys())[0]
            has = "is given and was not" if odd in found else "is not given and was"
            raise Misfit(f"View.{odd} {has} in the first view; give the same parts always, zeros after a reset")
        for name, dtype, shape in self._kinds:
            array = found[name]
            if array.shape != shape:
                raise Misfit(f"View.{name} has shape {list(array.shape)}; it had {list(shape)} in the first view")
            if array.dtype != dtype:
                raise Misfit(f"View.{name} holds {array.dtype}; it held {dtype} in the first view")
            columns[name][place] = array
        digest = "digest" if part == "now" else "final_digest"
        self.records[digest][place] = zlib.crc32(self.records[part][place].tobytes())


def named(name: str, value: Any) -> Iterable[tuple[str, Any]]:
    """Parts by name.

    Raises:
        Misfit: there are no names, or something else than text.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise Misfit(f"{name}: expected a dict with names as keys, got {value!r:.80}")
    return value.items()


def numbers(name: str, value: Any, dtype: Any) -> Array:
    """An array of finite numbers.

    Raises:
        Misfit: there is none, it holds no numbers, or nan or infinity.
    """
    if value is None:
        raise Misfit(f"{name} is missing")
    if getattr(getattr(value, "dtype", None), "kind", "f") == "c":
        raise Misfit(f"{name} holds complex numbers")
    try:
        array = np.asarray(value, dtype)
    except RuntimeError as error:  # a tensor of torch that keeps its gradient, or is on a device
        raise Misfit(f"{name}: {error}") from None
    except (TypeError, ValueError):
        raise Misfit(f"{name} holds no numbers: {value!r:.80}") from None
    if not np.isfinite(array).all():
        at = np.argwhere(~np.isfinite(array))[0].tolist()
        raise Misfit(f"{name}{at if at else ''} is {array[tuple(at)]}; expected finite numbers")
    return array


def flags(name: str, value: Any) -> Array:
    """An array of True and False, or of 0 and 1.

    Raises:
        Misfit: other values.
    """
    array = np.asarray(value)
    if array.dtype == bool:
        return array
    if not (array.dtype.kind in "iuf" and np.isin(array, (0, 1)).all()):
        raise Misfit(f"{name}: expected True and False, got {array.dtype} {array.ravel()[:6].tolist()}")
    return array.astype(bool)


def of_context(name: str, value: Any) -> Array:
    """Numbers as float32, flags as they are."""
    flags = isinstance(value, bool | np.bool_) or (isinstance(value, np.ndarray) and value.dtype == bool)
    return np.asarray(value) if flags else numbers(name, value, np.float32)


def fitting(name: str, array: Array, shape: tuple[int, ...], meaning: str) -> Array:
    """The array, if it has that shape."""
    if array.shape != shape:
        raise Misfit(f"{name} has shape {list(array.shape)}; expected {list(shape)}, {meaning}")
    return array
