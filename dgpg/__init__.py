"""Policy gradients for many cooperating agents, guided by an analytical model of their domain.

| room | what it is for |
|---|---|
| `domain` | what a plugin author touches: the contract, its records, bases, the registry |
| `files` | for authors of loaders: tables that name what is wrong, results kept |
| `convex` | convex programs as differentiable functions |
| `learning` | the algorithm, a file a step: rollout, guidance, advantage, update, train |
| `runs` | from settings to a run's folder and back |
| `measuring` | costs on the same arrivals, comparisons, alignment of a model |
| `checks`, `testing` | the conformance kit, alone and for pytest |
| `showing` | tables and figures |
| `scaffold` | `dgpg new` |
| `export`, `deploy`, `serve` | a policy as a file, that file in use, and as a service |
| `bridges` | doors to other libraries |
| `cli`, `errors` | the command line; errors a user can act on |
"""

from typing import Any


def __getattr__(name: str) -> Any:
    """`__version__`, looked up when somebody asks: `dgpg --help` should not wait for it."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("dgpg")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
