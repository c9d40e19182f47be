"""Where else the measures of a run go: loggers that people already use, by name, each in a file of its own.

Others are added by entry points `dgpg.loggers`. `dgpg.runs.loggers.opened` opens them; none can stop a run.
"""

from dgpg.runs.loggers.contract import Logger
from dgpg.runs.loggers.opened import Loggers, chosen, usual

__all__ = ["Logger", "Loggers", "chosen", "usual"]
