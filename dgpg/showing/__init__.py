"""What people see: tables and messages on the terminal (`report`), figures of a run (`figures`)."""

from dgpg.showing.figures import COLOURS, blank, held_against, save

__all__ = ["COLOURS", "blank", "held_against", "save"]
