"""A check is of a domain by its name, or of a run by its folder."""

from pathlib import Path

import pytest

from dgpg.cli.asked import checked
from dgpg.errors import ConfigError
from dgpg.runs import RunFolder


def test_a_check_of_a_run_takes_its_settings_and_model(shared: Path) -> None:
    run = RunFolder.open(shared)[1]
    of = checked(str(shared), [], None)
    assert (of.domain, of.settings, of.model, of.folder) == ("cloud", run.settings, run.model, shared)
    assert of.settings["num_agents"] == 4 and of.model == "cloud.headroom"
    with pytest.raises(
        ConfigError, match="is a run, with settings and a model of its own: leave --set and --model out"
    ):
        checked(str(shared), ["horizon=4"], None)


def test_a_check_of_a_domain_takes_what_is_asked_for() -> None:
    of = checked("cloud", ["horizon=4"], "cloud.fluid")
    assert (of.domain, of.settings, of.model, of.folder) == ("cloud", {"horizon": 4}, "cloud.fluid", None)
