"""Power dispatch for dgpg: the units of a grid choose their output, guided by DC optimal power flow."""
