"""Formulas of the pages as MathML, which browsers draw by themselves: no script, no letters from elsewhere.

Pages write $`x`$ within a line and a block ```math, as code hosts draw them too. A hook of mkdocs.
"""

from __future__ import annotations

import re
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r"^( *)```math\n(.*?)\n *```$|\$`([^`\n]+)`\$", re.MULTILINE | re.DOTALL)


def typeset(markdown: str) -> str:
    """The page with each formula in the place of its source."""
    return FORMULA.sub(_drawn, markdown)


def _drawn(found: re.Match[str]) -> str:
    indent, block, inline = found.groups()
    if inline is not None:
        return _one_line(convert(inline))
    return f'{indent}<div class="formula">{_one_line(convert(" ".join(block.split()), display="block"))}</div>'


def _one_line(math: str) -> str:
    return math.replace("\n", " ").replace("_", "&#95;").replace("*", "&#42;")  # Markdown would read them


def on_page_markdown(markdown: str, **options: Any) -> str:
    """Called by mkdocs with each page before it is rendered."""
    return typeset(markdown)
