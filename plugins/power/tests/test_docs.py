"""What docs/power.md says of logs and measures is what the plugin has."""

import re
from pathlib import Path

import pytest
import torch

from dgpg_power.data import load_network
from dgpg_power.data.moments import LOOSE, read_moments

from .made import environment, random_actions

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = DOCS / "power.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason=f"no {PAGE.name}: the plugin is installed without its docs")


def test_the_sample_log_can_be_read(tmp_path: Path) -> None:
    sample = re.search(r"^    load_5,.*\n(    .*\n){3}", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sample is not None
    (tmp_path / "log.csv").write_text(re.sub("^ +", "", sample.group(), flags=re.MULTILINE))
    moments = read_moments(tmp_path / "log.csv", load_network("case9"))
    assert len(moments.load) == 3 and moments.price is not None


def test_tolerances_of_a_log_are_those_that_are_checked() -> None:
    said = re.search(r"add up to the loads but for (\d+) %.* by more than (\d+) % of its", PAGE.read_text(), re.DOTALL)
    assert said is not None
    assert [int(share) for share in said.groups()] == [round(1000 * LOOSE), round(100 * LOOSE)]


def test_every_measure_has_its_line() -> None:
    env = environment(2)
    env.reset()
    measures = env.step(random_actions(env, torch.Generator().manual_seed(0))).measures
    said = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", PAGE.read_text(), re.MULTILINE)
    assert set(measures) <= set(said)
