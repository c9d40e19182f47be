"""Which units are on: the mixed-integer program and the schedules it gives."""
