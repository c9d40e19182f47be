"""The command line: dgpg new | domains | check | train | evaluate | compare | calibrate."""

from dgpg.cli.commands import app
from dgpg.cli.ending import told

__all__ = ["app", "main"]


def main() -> None:
    """Entry point."""
    told(app)
