"""Write the table of settings in docs/power.md from `Config`: `python docs/scripts/power_settings.py`.

A field has a default and a description but no unit: those stand here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dgpg.config import Settings
from dgpg_power.config import Config

PAGE = Path(__file__).parent.parent / "power.md"
FIRST, LAST = "| setting | unit | default | what |\n|---|---|---|---|\n", "\n\n"
UNIT = {
    **dict.fromkeys(("horizon", "mismatch.outage_steps"), "h"),
    **dict.fromkeys(("prices.overload", "prices.imbalance", "prices.curtailment", "models.premium"), "$/MWh"),
    **dict.fromkeys(("limit_scale", "load.scale", "load.low", "load.high", "load.noise", "load.memory"), "1"),
    **{"mismatch.forecast_error": "1", "mismatch.outages": "1/h", "ramp": "1/h"},
}

LEFT_OUT = ("trained",)
"""What an evaluation sets and no user types: every setting once more."""


def rows(config: Settings, prefix: str = "") -> Iterator[str]:
    """A row of the table for each setting, nested ones by their path."""
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if name in LEFT_OUT:
            continue
        if isinstance(value, Settings):
            yield from rows(value, f"{prefix}{name}.")
        else:
            unit = UNIT.get(prefix + name, "")
            yield f"| `{prefix}{name}` | {unit} | {_shown(value)} | {field.description} |"


def _shown(value: Any) -> str:
    """A value as `--set` takes it; months, which are many, by their first and last."""
    if value is None:
        return ""
    if isinstance(value, tuple) and len(value) > 2:
        return f"`[{value[0]}, ..., {value[-1]}]`"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def render(page: str) -> str:
    """The page with the table as `Config` has it."""
    before, rest = page.split(FIRST)
    return before + FIRST + "\n".join(rows(Config())) + LAST + rest.split(LAST, 1)[1]


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
