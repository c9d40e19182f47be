"""Whether an export decides at all, before anybody relies on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dgpg.deploy import Policy
from dgpg.errors import DataError


def tried(policy: Policy, folder: Path) -> None:
    """Ask it once, in the middle of what it saw in training.

    Raises:
        DataError: it fails, or its answer is no number.
    """
    try:
        rows: dict[str, Any] = {name: np.array(x) for name, x in middle(policy.description).items()}
        chooses = policy.description["action"]["kind"] == "choice"
        found = policy.log_probability(**rows) if chooses else policy.act(**rows)
        if not np.isnan(found).any():
            return
        error = f"in the middle of its own range it answers {found.tolist()}"
    except Exception as broken:  # whatever the runtime raises
        error = str(broken).splitlines()[0]
    raise DataError(f"{folder}: an export that opens and does not decide ({error}); export the run again")


def middle(told: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `Policy.act` for one agent: middles of ranges, of two choices where there may be any number."""
    found: dict[str, Any] = {
        name: [round((one["low"] + one["high"]) / 2, 3) for one in of] for name, of in told["inputs"].items()
    }
    if "choices" in found:
        count = told["arrays"]["choices"][2]
        found["choices"] = [found["choices"]] * (2 if count == "K" else count)
    return found | ({"index": 0} if "index" in told["arrays"] else {})
