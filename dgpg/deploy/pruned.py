"""A file of ONNX without what some of its outputs need.

The runtime computes whatever a file says, asked for or not: its option `only_execute_path_to_fetches` does nothing in
the packages that are published. Read and written as the protocol buffers that it is, with the numbers of fields of
onnx.proto: the package `onnx` is none of those that a decision needs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

GRAPH = 7
"""Of `ModelProto`."""
NODE, INITIALIZER, INPUT, OUTPUT, VALUE = 1, 5, 11, 12, 13
"""Of `GraphProto`."""
NAMES = {INITIALIZER: 8, INPUT: 1, OUTPUT: 1, VALUE: 1}
"""Number of the name in what is named."""
NODE_INPUT, NODE_OUTPUT = 1, 2
MESSAGE = 2
"""Wire type of what has a length: texts, messages."""
WIDTHS = {1: 8, 5: 4}
"""Bytes of numbers of fixed width, by wire type."""


class Field(NamedTuple):
    """A field of a message."""

    number: int
    value: memoryview
    """Of a message or text its bytes; nothing of numbers."""
    whole: memoryview
    """The field as it stands."""


def keeping(model: bytes, outputs: Collection[str]) -> bytes:
    """The model with these outputs alone, and what they need of inputs, weights and operators."""
    parts = [
        _message(GRAPH, _graph(field.value, outputs)) if field.number == GRAPH else field.whole
        for field in _fields(memoryview(model))
    ]
    return b"".join(parts)


def _graph(graph: memoryview, outputs: Collection[str]) -> bytes:
    fields = list(_fields(graph))
    needed, used = set(outputs), set[int]()
    for at in range(len(fields) - 1, -1, -1):  # operators stand after those whose results they read
        if fields[at].number == NODE:
            node = list(_fields(fields[at].value))
            if needed & set(_texts(node, NODE_OUTPUT)):
                used.add(at)
                needed |= set(_texts(node, NODE_INPUT))
    return b"".join(field.whole for at, field in enumerate(fields) if at in used or _stays(field, needed, outputs))


def _stays(field: Field, needed: Collection[str], outputs: Collection[str]) -> bool:
    if field.number not in NAMES:
        return field.number != NODE
    (name,) = _texts(_fields(field.value), NAMES[field.number])
    return name in (outputs if field.number == OUTPUT else needed)


def _texts(fields: Iterator[Field] | list[Field], number: int) -> list[str]:
    return [str(field.value, "utf-8") for field in fields if field.number == number]


def _fields(message: memoryview) -> Iterator[Field]:
    at = 0
    while at < len(message):
        begin, (key, at) = at, _number(message, at)
        kind, first = key & 7, at
        if kind == MESSAGE:
            size, first = _number(message, at)
            at = first + size
        elif kind in WIDTHS:
            first = at = at + WIDTHS[kind]
        else:
            _, at = _number(message, at)
            first = at
        yield Field(key >> 3, message[first:at], message[begin:at])


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the least first, and where it ends."""
    found = shift = 0
    while True:
        byte = message[at]
        found, at = found | (byte & 127) << shift, at + 1
        if byte < 128:
            return found, at
        shift += 7


def _message(number: int, content: bytes) -> bytes:
    """A field that holds a message."""
    found = bytearray()
    for value in (number << 3 | MESSAGE, len(content)):
        while value > 127:
            found.append(value & 127 | 128)
            value >>= 7
        found.append(value)
    return bytes(found) + content
