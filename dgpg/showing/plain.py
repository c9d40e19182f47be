"""A console that shows words as they are: in a path, `[red]` is no colour and `:x:` no picture."""

from __future__ import annotations

from typing import Any

from rich.console import Console


def plain(**options: Any) -> Console:
    """A console that looks for no markup, emoji codes or highlights, in tables too; options are rich's."""
    return Console(markup=False, emoji=False, highlight=False, **options)
