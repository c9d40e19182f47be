"""What kube-scheduler sends to an extender and reads from it: `k8s.io/kube-scheduler/extender/v1`.

Names are those of the Go types, large letters included. Nodes come whole, or by name where the extender is
`nodeCacheCapable`; 1,200 whole nodes are megabytes, so they are read once, and only what is asked for is decoded. What
there are thousands of in an answer is not the garbage collector's to look at (`gc=False`): it cannot refer to itself.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dgpg.errors import DecisionError
from dgpg_cloud.kubernetes.amounts import Object

MAX_PRIORITY = 10
"""`MaxExtenderPriority`."""


class Meta(msgspec.Struct, gc=False):
    """Of an object."""

    name: str = ""


class Named(msgspec.Struct, gc=False):
    """A node of which the name alone is decoded."""

    metadata: Meta


class Names(msgspec.Struct):
    """A `NodeList` of which names alone are decoded."""

    items: list[Named] | None = None


class Whole(msgspec.Struct):
    """A `NodeList` whose nodes stay as they came."""

    items: list[msgspec.Raw]
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


class ExtenderArgs(msgspec.Struct):
    """The pod to place and where it may go: `Nodes` or `NodeNames`, the other is null."""

    Pod: dict[str, Any]
    Nodes: Names | None = None
    NodeNames: list[str] | None = None


class Sent(msgspec.Struct):
    """Of `ExtenderArgs` the nodes as they came, to be sent back."""

    Nodes: msgspec.Raw


class HostPriority(msgspec.Struct, gc=False):
    """How good a node is, 0 to 10."""

    Host: str
    Score: int


class ExtenderFilterResult(msgspec.Struct):
    """Nodes on which the pod can be placed, and why not on the others."""

    Nodes: msgspec.Raw | None = None
    NodeNames: list[str] | None = None
    FailedNodes: dict[str, str] = msgspec.field(default_factory=dict)
    FailedAndUnresolvableNodes: dict[str, str] = msgspec.field(default_factory=dict)
    Error: str = ""


_ARGS = msgspec.json.Decoder(ExtenderArgs)
_SENT = msgspec.json.Decoder(Sent)
_WHOLE = msgspec.json.Decoder(Whole)


class Call:
    """One call of kube-scheduler.

    Attributes:
        pod: to place, the API's JSON.
        names: of the nodes it may go to.
    """

    def __init__(self, body: bytes | memoryview) -> None:
        """Read the body of a request.

        Raises:
            DecisionError: it is no `ExtenderArgs`.
        """
        try:
            args = _ARGS.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DecisionError(
                f"ExtenderArgs: {error}; expected the JSON that kube-scheduler sends, with Pod and Nodes or NodeNames"
            ) from None
        self.pod: Object = args.Pod
        self.names = args.NodeNames or []
        self._whole = None if args.Nodes is None else body
        if args.Nodes is not None:
            self.names = [node.metadata.name for node in args.Nodes.items or ()]

    def filtered(self, impossible: dict[str, str]) -> bytes:
        """The `ExtenderFilterResult` that leaves out nodes on which the pod can never run, with the reasons."""
        kept = [name not in impossible for name in self.names]
        result = ExtenderFilterResult(FailedAndUnresolvableNodes=impossible)
        if self._whole is None:
            result.NodeNames = [name for name, keep in zip(self.names, kept, strict=True) if keep]
        else:
            result.Nodes = _SENT.decode(self._whole).Nodes
            if not all(kept):
                listed = _WHOLE.decode(result.Nodes)
                listed.items = [node for node, keep in zip(listed.items, kept, strict=True) if keep]
                result.Nodes = msgspec.Raw(msgspec.json.encode(listed))
        return msgspec.json.encode(result)

    def prioritised(self, scores: NDArray[np.int64]) -> bytes:
        """The `HostPriorityList` of scores `[K]`, in the order of the names."""
        listed = [HostPriority(name, score) for name, score in zip(self.names, scores.tolist(), strict=True)]
        return msgspec.json.encode(listed)


def refused(error: str) -> bytes:
    """The `ExtenderFilterResult` of a call that cannot be answered."""
    return msgspec.json.encode(ExtenderFilterResult(Error=error))
