"""What docs/traffic.md says of measures is what the plugin has."""

import re
from pathlib import Path

import pytest

from .made import environment, randomly

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = DOCS / "traffic.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason=f"no {PAGE.name}: the plugin is installed without its docs")


def test_every_measure_has_its_line() -> None:
    env = environment(1)
    env.reset()
    measures = randomly(env, 1)[0].measures
    said = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", PAGE.read_text(), re.MULTILINE)
    assert set(measures) <= set(said)
