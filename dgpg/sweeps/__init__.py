"""Many runs of one kind: settings by a grid or by a search, each with several seeds, side by side."""

from dgpg.sweeps.file import Asked, Range, Sweep, read
from dgpg.sweeps.folder import SweepFolder
from dgpg.sweeps.grid import Grid
from dgpg.sweeps.jobs import Candidate, Job
from dgpg.sweeps.outcome import Outcome, outcomes
from dgpg.sweeps.processes import Engine, Local, Ray
from dgpg.sweeps.running import Candidates, run
from dgpg.sweeps.search import Search

__all__ = [
    "Asked", "Candidate", "Candidates", "Engine", "Grid", "Job", "Local", "Outcome", "Range", "Ray", "Search", "Sweep",
    "SweepFolder", "outcomes", "read", "run",
]  # fmt: skip
