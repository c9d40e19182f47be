"""What people see: tables and messages on the terminal (`report`), figures of a run (`figures`)."""

from dgpg.showing.drawing import blank, held_against, save
from dgpg.showing.style import COLOURS, colour, rule_colours

__all__ = ["COLOURS", "blank", "colour", "held_against", "rule_colours", "save"]
