"""The page of mistakes: what `dgpg check` says of each plugin with a planted one in tests/.

python docs/scripts/mistakes.py
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "mistakes.md"
HEAD = """# Mistakes and messages

What the conformance kit says of plugins with one mistake each, as planted in the tests (`tests/broken*.py`). A message
has five parts: what was looked at, expected, got, the likely cause, and the fix; here are the last two. The tests see
that this page, made by `python docs/scripts/mistakes.py`, is current.

| mistake | check | likely cause | fix |
|---|---|---|---|
"""


def render() -> str:
    """The page."""
    sys.path.insert(0, str(ROOT))
    from dataclasses import replace

    from dgpg import checks
    from tests import broken

    functions = {check.name: check.function for check in checks.CHECKS}
    rows = []
    for name, cases in broken.BROKEN.items():
        for case in cases:
            subject = replace(checks.subject(case.domain, case.settings), name=case.name)
            try:
                functions[name](subject)
            except checks.CheckFailed as failed:
                _, _, told = str(failed).partition("Likely cause: ")
                cause, _, fix = told.partition(" Fix: ")
                cells = (case.label, f"`{name}`", cause.rstrip(". "), fix.rstrip(". "))
                rows.append("| " + " | ".join(" ".join(cell.replace("|", "/").split()) for cell in cells) + " |")
    return HEAD + "\n".join(rows) + f"\n\n{len(rows)} mistakes.\n"


if __name__ == "__main__":
    PAGE.write_text(render())
