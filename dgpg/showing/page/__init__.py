"""A page of runs: one HTML file that needs no network, to look at instead of reading."""

from dgpg.showing.page.page import fresh, installed, write

__all__ = ["fresh", "installed", "write"]
