"""Write the tables of settings in the domains' pages from `Config`: `python docs/scripts/settings.py`.

A field has a default and a description but no unit: those stand here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dgpg_power.config
import dgpg_traffic.config
import dgpg_traffic.sumo.config
from dgpg.domain import Settings

DOCS = Path(__file__).parent.parent
FIRST, LAST = "| setting | unit | default | what |\n|---|---|---|---|\n", "\n\n"
CONFIG: Mapping[str, type[Settings]] = {
    "power": dgpg_power.config.Config,
    "traffic": dgpg_traffic.config.Config,
    "sumo": dgpg_traffic.sumo.config.Config,
}
"""By the name of the page."""
UNIT: Mapping[str, Mapping[str, str]] = {
    "power": {
        **dict.fromkeys(("horizon", "mismatch.outage_steps"), "h"),
        **dict.fromkeys(("prices.overload", "prices.imbalance", "prices.curtailment", "models.premium"), "$/MWh"),
        **dict.fromkeys(("limit_scale", "load.scale", "load.low", "load.high", "load.noise", "load.memory"), "1"),
        **{"mismatch.forecast_error": "1", "mismatch.outages": "1/h", "ramp": "1/h"},
    },
    "traffic": {
        **dict.fromkeys(("horizon", "incidents.periods"), "periods"),
        **dict.fromkeys(("demand.scale", "demand.noise", "demand.memory"), "1"),
        "standard_b": "1",
        **{"incidents.probability": "1/period", "incidents.capacity": "1", "time_unit": "s"},
    },
    "sumo": {
        **dict.fromkeys(("day.stuck_s", "day.wait_s", "day.limit_s", "fit.window_s", "workers.timeout"), "s"),
        **dict.fromkeys(("scale", "routes.spread", "routes.longest", "fleet.share", "humans.share"), "1"),
        **dict.fromkeys(("humans.memory", "fit.decay", "fit.own"), "1"),
        **{"humans.days": "days", "day.penalty_min": "min", "fit.ridge": "cars"},
    },
}
LEFT_OUT = ("trained",)
"""What an evaluation sets and no user types: every setting once more."""


def rows(name: str) -> list[str]:
    """Rows of the table of a page."""
    return list(_rows(CONFIG[name](), UNIT[name]))


def _rows(config: Settings, units: Mapping[str, str], prefix: str = "") -> Iterator[str]:
    """A row of the table for each setting, nested ones by their path."""
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if name in LEFT_OUT:
            continue
        if isinstance(value, Settings):
            yield from _rows(value, units, f"{prefix}{name}.")
        else:
            unit = units.get(prefix + name, "")
            yield f"| `{prefix}{name}` | {unit} | {_shown(value)} | {field.description} |"


def _shown(value: Any) -> str:
    """A value as `--set` takes it; months, which are many, by their first and last."""
    if value is None:
        return ""
    if isinstance(value, tuple) and len(value) > 2:
        return f"`[{value[0]}, ..., {value[-1]}]`"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def render(name: str, page: str) -> str:
    """The page with the table as `Config` has it."""
    before, rest = page.split(FIRST)
    return before + FIRST + "\n".join(rows(name)) + LAST + rest.split(LAST, 1)[1]


if __name__ == "__main__":
    for name in CONFIG:
        page = DOCS / f"{name}.md"
        page.write_text(render(name, page.read_text(encoding="utf-8")), encoding="utf-8")
