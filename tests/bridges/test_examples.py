"""The scripts of docs/examples/bridges: short, and each trains, where its library is installed."""

from __future__ import annotations

import importlib.util
import runpy
import sys
import warnings
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "examples" / "bridges"
SCRIPTS = {
    "sb3_ppo": ("stable_baselines3", "512"),
    "sb3_maskable_ppo": ("sb3_contrib", "512"),
    "benchmarl_mappo": ("benchmarl", "1"),
    "rllib_ppo": ("ray", "1"),
    "skrl_ippo": ("skrl", "520"),
}
"""What each needs, and how little it may do: one iteration."""


def test_none_is_left_out_and_none_is_long() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(SCRIPTS)
    assert all(len(path.read_text().splitlines()) <= 30 for path in FOLDER.glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_trains(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    library, amount = SCRIPTS[name]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed (its own pins: docs/bridges.md)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", amount])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    told = "".join(capfd.readouterr())
    assert {"sb3": "ep_rew_mean", "ben": "mean return", "rll": "0 -", "skr": "520/520"}[name[:3]] in told
