"""The settings of a configuration one by one: path, type and bounds, tables inside tables included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

LARGE = 10_000
"""Whole numbers above this are not tried: the instance would be huge."""
NEAR = 1e-6
"""How far inside an open or closed bound a float is tried."""


@dataclass(frozen=True)
class Leaf:
    """One setting."""

    path: tuple[str, ...]
    field: FieldInfo

    @property
    def name(self) -> str:
        """As on the command line, `a.b`."""
        return ".".join(self.path)

    @property
    def types(self) -> tuple[Any, ...]:
        """What the annotation allows, without Optional and Annotated."""
        return _alternatives(self.field.annotation)

    @property
    def number(self) -> type | None:
        """Int or float for a numeric setting, else None."""
        found = [t for t in self.types if t in (int, float)]
        return found[-1] if found and bool not in self.types else None

    @property
    def choices(self) -> tuple[Any, ...]:
        """Values of a Literal or bool setting, else none."""
        if bool in self.types:
            return (False, True)
        return tuple(value for t in self.types if get_origin(t) is Literal for value in get_args(t))

    def bound(self, *names: str) -> Any:
        """The first of the constraints gt, ge, lt, le that the setting declares, or None."""
        found = [getattr(mark, name, None) for mark in self.field.metadata for name in names]
        return next((value for value in found if value is not None), None)


def leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> list[Leaf]:
    """Every setting that is no table, in the order of declaration."""
    found = []
    for name, field in model.model_fields.items():
        table = table_of(field)
        found += leaves(table, (*path, name)) if table else [Leaf((*path, name), field)]
    return found


def tables(model: type[BaseModel], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Paths of every table, the whole configuration first."""
    inner = [(name, table_of(field)) for name, field in model.model_fields.items()]
    return [path, *(p for name, table in inner if table for p in tables(table, (*path, name)))]


def table_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a setting that is a table of settings; None for others and for optional tables."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def nest(path: Sequence[str], value: Any) -> dict[str, Any]:
    """`("a", "b"), 1` to `{"a": {"b": 1}}`."""
    return {path[0]: nest(path[1:], value) if len(path) > 1 else value}


def edges(leaf: Leaf) -> list[Any]:
    """Values at and just inside the bounds of a numeric setting, 0 and -1."""
    low, high = leaf.bound("ge", "gt"), leaf.bound("le", "lt")
    bounds = [value for value in (low, high) if value is not None]
    step = 1 if leaf.number is int else NEAR
    inside = ([low + step] if low is not None else []) + ([high - step] if high is not None else [])
    values = [leaf.number(v) for v in (-1, 0, *bounds, *inside)] if leaf.number else []
    return [value for i, value in enumerate(values) if value not in values[:i] and value <= LARGE]


def wrong_value(leaf: Leaf) -> Any:
    """A value of a type that the setting cannot take; None if it takes anything."""
    if Any in leaf.types or not leaf.types:
        return None
    if leaf.number or leaf.choices:
        return "wrong"
    texts = any(isinstance(t, type) and issubclass(t, str | bytes) for t in leaf.types)
    containers = any(_holds(get_origin(t)) for t in leaf.types)
    return [["wrong"]] if texts or not containers else 3


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """Members of a union, inside Annotated too."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin is None or origin is Literal or _holds(origin):
        return () if annotation is None or annotation is type(None) else (annotation,)
    return tuple(t for inner in get_args(annotation) for t in _alternatives(inner))


def _holds(origin: Any) -> bool:
    """Is it a list, a tuple or a dictionary?"""
    return isinstance(origin, type) and issubclass(origin, Sequence | Mapping)
