"""Planted mistakes in what a simulator measures."""

from __future__ import annotations

from dataclasses import replace

from .planted import broken, returning

broken("measured_state", "a block is left out", "counted otherwise", "shape [16, 2, 1]",
       env=returning(lambda env, s: replace(s, measured=s.state[:, 1:])))  # fmt: skip
broken("measured_state", "not a number", "nan or infinity",
       env=returning(lambda env, s: replace(s, measured=s.state * float("nan"))))  # fmt: skip
