"""Costs and limits fitted to a log of operation: `calibrate` is the way in, `fit` the least squares."""
