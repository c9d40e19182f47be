"""From settings to a run's folder and back.

`launch` resolves settings and builds; `training` starts, resumes and iterates; `record` is a run's folder, with its log
(`log`), checkpoints (`checkpoints`) and lock (`lock`) in files of their own; `trained` opens a run to act with it.
"""

from dgpg.runs.launch import Plan, resolve
from dgpg.runs.record import RunFolder
from dgpg.runs.trained import Trained, open_trained
from dgpg.runs.training import resume, start

__all__ = ["Plan", "RunFolder", "Trained", "open_trained", "resolve", "resume", "start"]
