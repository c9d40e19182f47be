"""Commands in this process or in one of their own, and what they leave behind."""

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from dgpg import cli

INSTANCE = ["--set", "num_agents=4", "--set", "horizon=8"]
QUICK = ["--num-envs", "2", "--device", "cpu", "--set", "train.minibatches=2", "--set", "train.epochs=1"]
TINY = [*INSTANCE, *QUICK, "--iterations", "3"]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def dgpg(*args: object) -> Result:
    """One command in this process; an exception that would be a traceback for the user fails the test."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["dgpg", *map(str, args)]
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            cli.main()
    finally:
        sys.argv = before
    code = ended.value.code
    assert "Traceback" not in err.getvalue()
    return Result(code if isinstance(code, int) else int(code is not None), out.getvalue(), err.getvalue())


def ok(*args: object) -> Result:
    result = dgpg(*args)
    assert result.code == 0, result.err
    return result


def refused(*args: object) -> str:
    """The message of a command that is refused, on stderr, with nothing but it on stdout."""
    result = dgpg(*args)
    assert result.code != 0 and result.out == "" and result.err, result
    return " ".join(result.err.replace("│", " ").split())


def command(*args: object, before: str = "pass") -> list[str]:
    """The same in a process of its own."""
    start = f"import sys; sys.argv = {['dgpg', *map(str, args)]!r}; {before}; from dgpg.cli import main; main()"
    return [sys.executable, "-c", start]


def checkpoint(run: Path, iteration: int) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run / "checkpoints" / f"iteration-{iteration:06d}.pt")
    return state


def metrics(run: Path) -> list[dict[str, float]]:
    """Lines of the log without the times."""
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in one.items() if k != "wall_s" and not k.startswith("share_")} for one in lines]


def differing(one: Any, two: Any, where: str = "") -> list[str]:
    """Paths at which two checkpoints differ; times aside."""
    if isinstance(one, torch.Tensor):
        return [] if one.dtype == two.dtype and torch.equal(one, two) else [where]
    if isinstance(one, dict):
        assert one.keys() == two.keys(), where
        return [path for key in one if key != "wall_s" for path in differing(one[key], two[key], f"{where}/{key}")]
    if isinstance(one, list | tuple):
        assert len(one) == len(two), where
        return [path for i in range(len(one)) for path in differing(one[i], two[i], f"{where}/{i}")]
    return [] if one == two and type(one) is type(two) else [where]
