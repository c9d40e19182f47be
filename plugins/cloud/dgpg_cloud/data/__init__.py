"""Real machine tables and job traces: `load_machines`, `load_jobs` and an embedded set of EC2 types."""

from .columns import JobUnits, Units
from .jobs import load_jobs
from .machines import EC2_DEFAULT, load_machines
from .screen import BadRows
from .tables import JobTable, MachineTable

__all__ = ["EC2_DEFAULT", "BadRows", "JobTable", "JobUnits", "MachineTable", "Units", "load_jobs", "load_machines"]
