"""The command line on this domain: the rows of `dgpg evaluate`."""

import contextlib
import io
import json
import sys
from pathlib import Path

import pytest

from dgpg import cli


def dgpg(*args: object) -> str:
    """What a command that succeeds writes to stdout."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        patch.setattr(sys, "argv", ["dgpg", *map(str, args)])
        cli.main()
    assert not ended.value.code, err.getvalue()
    return out.getvalue()


def test_a_run_is_held_against_the_oracle_with_overloads_in_every_row(tmp_path: Path) -> None:
    run = tmp_path / "r"
    quick = ["--num-envs", 2, "--device", "cpu", "--iterations", 2]
    dgpg("train", "power", "--set", "network=case9", "--set", "horizon=6", *quick, "--out", run)
    rows = json.loads(dgpg("evaluate", run, "--episodes", 2, "--json"))["results"]
    assert [row["name"] for row in rows if row["kind"] == "oracle"] == ["bound"]
    assert {row["kind"] for row in rows} == {"policy", "untrained", "baseline", "oracle"}
    assert all(0 <= row["overload_share"] <= 1 and row["imbalance_mw"] >= 0 for row in rows)
    oracle = next(row["cost"] for row in rows if row["kind"] == "oracle")
    assert oracle == min(row["cost"] for row in rows)


def test_runs_that_differ_in_what_units_see_compare(tmp_path: Path) -> None:
    """What information is worth is the first question about levels A to P; demand is the same."""
    runs = [tmp_path / level for level in "AP"]
    quick = ["--num-envs", 2, "--device", "cpu", "--iterations", 1]
    for run in runs:
        seen = ("--set", "network=case9", "--set", "horizon=4", "--set", f"observation={run.name}")
        dgpg("train", "power", *seen, *quick, "--out", run)
    found = json.loads(dgpg("compare", *runs, "--episodes", 2, "--json"))
    assert [Path(run["run"]).name for run in found["runs"]] == ["A", "P"] and len(found["groups"]) == 2
