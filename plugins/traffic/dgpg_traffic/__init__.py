"""Road networks for dgpg: demand between pairs of zones, routes, user equilibrium and system optimum."""
