"""Intent rounds: what agents say to each other before they act, and what a team makes of it."""

from dgpg.learning.rounds.coordination import Channel, Rounds, Team
from dgpg.learning.rounds.descent import MirrorDescent

__all__ = ["Channel", "MirrorDescent", "Rounds", "Team"]
