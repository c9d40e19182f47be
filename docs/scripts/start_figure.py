"""Draw the picture of the start page from the tables of results: `python docs/scripts/start_figure.py`.

Costs over h, the best rule with the same information, of 50 dispatchers (docs/results/learning.md).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from dgpg.showing import blank, save
from dgpg.showing.style import ALGORITHMS

DOCS = Path(__file__).parent.parent
TABLE = DOCS / "results" / "data" / "learning-default-50.json"
PLACE = DOCS / "figures" / "start.svg"


def curves() -> dict[str, tuple[list[int], list[float]]]:
    """Iterations and costs over h by algorithm, as the table has them."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    marks = {k: int(name.split()[1]) for k, name in enumerate(table["columns"]) if re.fullmatch(r"over_h \d+", name)}
    who = table["columns"].index("algorithm")
    rows = {row[who]: [row[k] for k in marks] for row in table["rows"]}
    return {name: (list(marks.values()), costs) for name, costs in rows.items() if name in ALGORITHMS}


def draw(path: Path = PLACE) -> Path:
    """A line an algorithm, its name at the end."""
    figure, (axes,) = blank(9, 3.6)
    for name, (iterations, costs) in curves().items():
        wide = 3.0 if name == "dg-pg" else 1.8
        axes.plot(iterations, costs, "o-", color=ALGORITHMS[name], linewidth=wide, markersize=2 * wide, label=name)
    axes.axhline(1, color="#333333", linestyle="--", linewidth=1)
    axes.annotate(
        "best rule that sees as much", (0.985, 1), (0, 4), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="right",
    )  # fmt: skip
    axes.set(xlabel="iteration", ylabel="cost over that of the best rule", ylim=(0.5, None), xticks=[4, 10, 20, 40])
    axes.set_title(
        "50 dispatchers on 50 machines, the same arrivals for all, means over instances", loc="left", fontsize=11
    )
    axes.legend(frameon=False, ncols=4, loc="upper right")
    return save(figure, path)


if __name__ == "__main__":
    print(draw())
