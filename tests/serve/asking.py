"""A client of a service, and what policies are asked."""

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fastapi.testclient import TestClient

from dgpg.deploy import Policy
from dgpg.serve import Log, Service, Settings, create


class Asking:
    """A client of a service, and what the service logged."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.out = io.StringIO()
        self.service = Service(folder, Settings(**settings), Log(self.out))
        self.client = TestClient(create(self.service))

    def decide(self, content: Any, status: int = 200, **options: Any) -> dict[str, Any]:
        answer = self.client.post("/decide", json=content, **options)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.out.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]

    def metric(self, name: str) -> float:
        """The value of one line of /metrics."""
        (found,) = [x for x in self.client.get("/metrics").text.splitlines() if x.rpartition(" ")[0] == name]
        return float(found.rpartition(" ")[2])


@contextmanager
def asking(folder: Path, **settings: Any) -> Iterator[Asking]:
    made = Asking(folder, **settings)
    with made.client:
        yield made


def seen(policy: Policy, rows: int, choices: int, seed: int = 0) -> dict[str, Any]:
    """Within the range of the training."""
    rng, found = np.random.default_rng(seed), {}
    for name, shape in (("agent", (rows,)), ("choices", (rows, choices))):
        low, high = (np.array([f[end] for f in policy.description["inputs"][name]]) for end in ("low", "high"))
        found[name] = (low + (high - low) * rng.random((*shape, len(low)))).tolist()
    return found


def put(export: Path, folder: Path) -> None:
    """Put an export where another was, as `dgpg export` does: each file whole, the policy last."""
    for name in ("README.md", "policy.json", "policy.onnx"):
        partial = folder / f".{name}.partial"
        shutil.copy(export / name, partial)
        partial.replace(folder / name)
