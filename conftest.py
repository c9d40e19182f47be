"""Settings for every test of the repository, the plugins' included."""

import atexit
import os
import shutil
import tempfile

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

settings.register_profile("default", derandomize=True, max_examples=50, deadline=None)
settings.register_profile("nightly", derandomize=False, max_examples=2000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
