"""The command line: dgpg new | domains | check | train | evaluate | compare | report | export | serve | calibrate."""

import faulthandler
import sys

from dgpg.cli import commands, looking  # noqa: F401 - they register themselves
from dgpg.cli.ending import told
from dgpg.cli.program import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point."""
    if sys.__stderr__ is not None and not faulthandler.is_enabled():
        faulthandler.enable(sys.__stderr__)  # C code of a plugin that crashes is named
    told(app)
