"""The convex program of optimal power flow (`program`), its solution in batches (`opf`), and ways from an optimum."""
