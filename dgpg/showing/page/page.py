"""The page as one file: what is told, charts, pictures and plotly itself, packed so that it needs no network."""

from __future__ import annotations

import base64
import gzip
import json
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dgpg import __version__
from dgpg.errors import ConfigError
from dgpg.measuring import Difference
from dgpg.runs.atomic import write_atomic
from dgpg.showing.maps import MOVING
from dgpg.showing.page import tables
from dgpg.showing.page.charts import curves, named
from dgpg.showing.page.contents import Run, grouped, opened, together
from dgpg.showing.style import colour
from dgpg.showing.tables import against, cell

MOST = 2_900_000
"""Bytes of a page; pictures that would make it larger are left out, and said to be."""


def installed() -> None:
    """ConfigError where the extra is not."""
    missing = [name for name in ("plotly", "jinja2") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"a page needs {' and '.join(missing)}: pip install 'dgpg[report]'")


def place(paths: Sequence[Path]) -> Path:
    """Where the page of these runs lies by default: in the folder of the first."""
    return paths[0] / ("report.html" if len(paths) == 1 else "compared.html")


def write(paths: Sequence[Path], out: Path | None = None, compared: Mapping[str, Any] | None = None) -> Path:
    """Write the page of some runs and return where.

    Args:
        paths: folders of runs.
        out: the file; by default `place` of the runs.
        compared: what `dgpg compare` measured of them; by default they are held together by their last evaluations.

    Raises:
        ConfigError: a library is missing.
        RunError: a folder is no run, or the page cannot be written.
    """
    installed()
    runs = [opened(path) for path in paths]
    whole = render(runs, compared)
    target = out or place(paths)
    write_atomic(target, lambda file: file.write(whole.encode()))
    return target


def fresh(paths: Sequence[Path], refresh: int) -> str:
    """The page of some runs as they are now, which a browser loads again after `refresh` seconds.

    Raises:
        ConfigError: a library is missing.
        RunError: a folder is no run.
    """
    installed()
    return render([opened(path) for path in paths], refresh=refresh)


def render(runs: Sequence[Run], compared: Mapping[str, Any] | None = None, refresh: int = 0) -> str:
    """The page as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    groups, why_not = grouped(runs), ""
    if compared is None and len(runs) > 1:
        compared, why_not = together(runs)
    names = named(groups)
    unit = next((run.evaluation.unit for run in runs if run.evaluation), "cost an agent and step")
    charts = curves(groups, names, unit) if any(run.log for run in runs) else {}
    moves = any(path.name.endswith(MOVING) for run in runs for path in run.pictures)
    plotly = _plotly() if charts or moves else ""
    pictures, left_out = _pictures(runs, MOST - len(plotly) - len(json.dumps(charts)) - 200_000)
    environment = Environment(
        loader=PackageLoader("dgpg.showing.page", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"data": _data, "cell": cell}
    return environment.get_template("page.html.j2").render(
        version=__version__, runs=runs, groups=list(zip(groups, names, strict=True)), compared=_compared(compared),
        why_not=why_not, charts=charts, plotly=plotly, pictures=pictures, left_out=left_out, refresh=refresh,
        settings=tables.settings(runs), evaluations=[_evaluation(run) for run in runs], colour=colour,
        commands=[tables.command(run) for run in runs], style=_file("page.css"), script=_file("page.js"),
    )  # fmt: skip


def packed(text: bytes) -> str:
    """Compressed, as text; the same bytes for the same content."""
    return base64.b64encode(gzip.compress(text, 9, mtime=0)).decode()


@cache
def _plotly() -> str:
    return packed((resources.files("plotly") / "package_data" / "plotly.min.js").read_bytes())


def _file(name: str) -> str:
    return (resources.files("dgpg.showing.page") / name).read_text(encoding="utf-8")


def _data(value: Any) -> str:
    """JSON that no end of a script can be in."""
    from markupsafe import Markup

    return Markup(json.dumps(value).replace("<", "\\u003c"))


def _pictures(runs: Sequence[Run], room: int) -> tuple[list[list[tuple[str, bool, str]]], list[str]]:
    """Pictures of each run, and those for which there was no room: the name, whether it moves, and it, packed."""
    found, left_out = list[list[tuple[str, bool, str]]](), list[str]()
    for run in runs:
        found.append([])
        for path in run.pictures:
            whole = packed(path.read_bytes())
            if len(whole) > room:
                left_out.append(str(path))
                continue
            room -= len(whole)
            moves = path.name.endswith(MOVING)
            found[-1].append((path.name.removesuffix(MOVING) if moves else path.stem, moves, whole))
    return found, left_out


def _evaluation(run: Run) -> dict[str, Any] | None:
    """An evaluation as its table shows it."""
    kept = run.evaluation
    if kept is None:
        return None
    on = tables.axis([row.difference for row in kept.rows])
    measures = list(kept.rows[0].measures)
    return {
        "kept": kept, "axis": on, "measures": measures, "lines": tables.evaluated(kept.rows, measures, on),
        "episodes": kept.rows[0].episodes, "summary": tables.summary(kept.rows),
        "sets": "".join(f" --set {shlex.quote(f'{k}={v}')}" for k, v in tables.flat(kept.overrides).items()),
    }  # fmt: skip


def _compared(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A comparison as its tables show it."""
    if found is None:
        return None
    rows = [*found["runs"], *found["groups"]]
    apart = [None if row["difference"] is None else _difference(row["difference"]) for row in rows]
    on, shown = tables.axis(apart), list[dict[str, Any]]()
    for row, one in zip(rows, apart, strict=True):
        shown.append(
            {**row, "against": against(one, tables.SAME), "whisker": tables.whisker(one, colour(row["algorithm"]), on)}
        )
    count = len(found["runs"])
    return {**found, "runs": shown[:count], "groups": shown[count:], "axis": on}


def _difference(fields: Mapping[str, Any]) -> Difference:
    return Difference(**{name: fields[name] for name in Difference.__dataclass_fields__})
