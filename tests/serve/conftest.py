"""Exports that the tests of this folder serve."""

from pathlib import Path

import pytest

from ..commands import ok


def exported(place: Path, seed: int) -> Path:
    """A policy of the cloud domain, hardly trained; different seeds see the same and do different things."""
    sets = ("--set", "num_agents=5", "--set", "horizon=8")
    ok("train", "cloud", *sets, "--iterations", 1, "--num-envs", 2, "--seed", seed, "--out", place / "run")
    ok("export", place / "run", "--out", place / "out", "--decisions", 200)
    return place / "out"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("policy"), 0)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("other"), 1)
