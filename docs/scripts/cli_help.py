"""Write docs/cli.md from the command line's own help: `python docs/scripts/cli_help.py`."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.update(COLUMNS="100", NO_COLOR="1", TERM="dumb")

from typer.main import get_command
from typer.testing import CliRunner

from dgpg.cli import app

PAGE = Path(__file__).parent.parent / "cli.md"
INTRODUCTION = """# Command line

Written by `python docs/scripts/cli_help.py` from the program's own help.
"""


def render() -> str:
    """The page: help of the program and of each command."""
    runner = CliRunner()
    parts = [INTRODUCTION]
    group = get_command(app)
    for command in ("", *group.list_commands(None)):  # type: ignore[attr-defined]
        text = runner.invoke(app, [*command.split(), "--help"], prog_name="dgpg").output
        body = "\n".join(line.rstrip() for line in text.strip("\n").splitlines())
        parts.append(f"## dgpg {command}".rstrip() + f"\n\n```text\n{body}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
