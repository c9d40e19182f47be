"""What docs/traffic.md says of settings and measures is what the plugin has."""

import re
import runpy
from pathlib import Path

import pytest
import torch

from dgpg_traffic.config import Config
from dgpg_traffic.env import TrafficEnv
from dgpg_traffic.instance import build

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = DOCS / "traffic.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason=f"no {PAGE.name}: the plugin is installed without its docs")


def test_the_table_of_settings_is_that_of_the_configuration() -> None:
    script = runpy.run_path(str(DOCS / "scripts" / "settings.py"))
    page, rows = PAGE.read_text(encoding="utf-8"), script["rows"]("traffic")
    assert script["render"]("traffic", page) == page, "run: python docs/scripts/settings.py"
    named = [row.split("`")[1] for row in rows]
    assert {"network", "demand.scale", "queues", "residual.threshold"} <= set(named) and len(named) == len(set(named))
    assert set(script["LEFT_OUT"]) == set(Config.model_fields) - {name.split(".")[0] for name in named}
    assert set(script["UNIT"]["traffic"]) <= set(named), "a unit of a setting that is no more"


def test_every_measure_has_its_line() -> None:
    env = TrafficEnv(build(Config(network="braess")), 1, torch.device("cpu"), 0)
    step = env.step(torch.as_tensor(env.action_space.start).softmax(-1).unsqueeze(0)) if env.reset() else None
    assert step is not None
    said = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", PAGE.read_text(), re.MULTILINE)
    assert set(step.measures) <= set(said)
