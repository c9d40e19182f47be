"""Settings for every test of the repository, the plugins' included."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# stevedore caches entry points below XDG_CACHE_HOME and would go on offering a plugin that has been
# uninstalled. Each test process, and the commands that it starts, gets a cache of its own. This has
# to happen before stevedore is imported.
_cache = tempfile.mkdtemp(prefix="dgpg-test-cache-")
atexit.register(shutil.rmtree, _cache, ignore_errors=True)
os.environ["XDG_CACHE_HOME"] = _cache

# The tests run in parallel processes; threads below them would only compete for the same cores.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

os.environ.setdefault("MPLBACKEND", "Agg")

# Lines about long work come by the clock, so what a slow machine prints would be another than a fast one's.
os.environ["DGPG_PROGRESS"] = "none"

settings.register_profile("default", derandomize=True, max_examples=50, deadline=None)
settings.register_profile("nightly", derandomize=False, max_examples=2000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: processes take whole files, and a long one at the end leaves others idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Path of a file or folder below that of the real data; a test that needs it is skipped where it is absent."""
    folder = Path(os.environ.get("DGPG_DATA", Path(__file__).resolve().parents[1] / "shared" / "data"))

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"no real data in {path}: set DGPG_DATA to the folder that has {name}")
        return path

    return find
