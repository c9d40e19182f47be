"""From settings to a run's folder and back.

`launch` resolves settings, builds, trains and resumes; `record` is the only place that writes a run's files; `trained`
opens a run to act with it.
"""

from dgpg.runs.launch import Plan, resolve, resume, start
from dgpg.runs.record import RunFolder
from dgpg.runs.trained import Trained, open_trained

__all__ = ["Plan", "RunFolder", "Trained", "open_trained", "resolve", "resume", "start"]
