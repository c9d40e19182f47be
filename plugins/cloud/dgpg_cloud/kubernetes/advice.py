"""Where pods were advised to go, and where they went."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from numpy.typing import NDArray

from dgpg.deploy import Rows

OPEN = 500
"""Pods that are waited for at most, each with what the policy saw; older ones are forgotten."""
Cost: TypeAlias = Callable[[Rows], NDArray[Any]]
"""What the analytical model expects of choices, as `dgpg.deploy.SupportsEstimate` has it."""


class Given(NamedTuple):
    """Advice about one pod."""

    names: Sequence[str]
    best: int
    choices: NDArray[Any]
    """What the policy saw of each node, `[K, C]`."""
    cost: Cost


class Advice:
    """Compares what the policy wished for with what happened, pod by pod.

    Attributes:
        followed: pods that went to the node that was best.
        other: pods that went elsewhere.
        difference: what the analytical model says that going elsewhere cost more, all of them together.
    """

    def __init__(self, tell: Callable[..., None]) -> None:
        """With what is called of each pod that lands: `landed`, and by name what is known of it."""
        self._tell = tell
        self.followed = self.other = 0
        self.difference = 0.0
        self._open: OrderedDict[str, Given] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def give(self, uid: str, given: Given) -> None:
        """A pod was advised; newer advice about it replaces older."""
        self._open[uid] = given
        self._open.move_to_end(uid)
        if len(self._open) > OPEN:
            self._open.popitem(last=False)

    def landed(self, uid: str, node: str) -> None:
        """A pod was seen on a node."""
        given = self._open.pop(uid, None)
        if given is None:
            return
        best = given.names[given.best]
        self.followed += best == node
        self.other += best != node
        more = None
        if node in given.names:
            both = given.choices[[given.names.index(node), given.best]]
            there, wished = given.cost({"choices": both[None]})[0]
            more = float(there - wished)
            self.difference += more
        self._tell("landed", uid=uid, node=node, advised=best, model_cost_more=more)
