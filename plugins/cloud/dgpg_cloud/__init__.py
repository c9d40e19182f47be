"""Cloud scheduling for dgpg: dispatchers place jobs on machines, guided by a capacity model."""
