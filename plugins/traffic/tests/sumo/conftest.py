"""A town of two ways: from o to z by a, then above by c or below by d, then by b."""

from collections.abc import Callable
from pathlib import Path

import pytest

for _module in ("sumo", "sumolib"):
    pytest.importorskip(_module, reason="needs the extra sumo of the traffic plugin")

NODES = {"o": (0, 0), "a": (100, 0), "c": (200, 60), "d": (200, -90), "b": (300, 0), "z": (400, 0)}
EDGES = ("oa", "ac", "cb", "ad", "db", "bz")
UPPER, LOWER = ["oa", "ac", "cb", "bz"], ["oa", "ad", "db", "bz"]


def write_town(folder: Path, drivers: int = 12) -> Path:
    """Plain files of the town, and drivers that depart 5 s after each other."""
    nodes = "".join(f'<node id="{n}" x="{x}" y="{y}"/>' for n, (x, y) in NODES.items())
    edges = "".join(f'<edge id="{e}" from="{e[0]}" to="{e[1]}" numLanes="1" speed="10"/>' for e in EDGES)
    (folder / "town.nod.xml").write_text(f"<nodes>{nodes}</nodes>")
    (folder / "town.edg.xml").write_text(f"<edges>{edges}</edges>")
    rows = "".join(f"{i},oa,bz,{5 * i},Human\n" for i in range(drivers))
    (folder / "agents.csv").write_text("id,origin,destination,start_time,kind\n" + rows)
    return folder


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the town."""
    return write_town(tmp_path_factory.mktemp("town"))


@pytest.fixture(scope="session")
def settings(town: Path) -> dict[str, object]:
    """Settings of the domain in that town."""
    return {"network": str(town), "routes": {"most": 3}, "fleet": {"share": 0.5}, "humans": {"days": 3},
            "workers": {"count": 0}}  # fmt: skip


@pytest.fixture
def new_town(tmp_path: Path) -> Callable[..., Path]:
    """A town of one's own."""
    return lambda drivers=12: write_town(tmp_path, drivers)
