"""Costs and limits fitted to a log of operation."""

from dgpg_power.calibration.calibrate import calibrate

__all__ = ["calibrate"]
