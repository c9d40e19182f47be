"""Plugins written for api_version 1 keep working: tests/frozen is what authors had then, and is never edited."""

import hashlib
import json
from pathlib import Path

import pytest

from .fresh import ROOT, Fresh, wheels

FROZEN = ROOT / "tests" / "frozen"
DIGEST = "a35fc117d03eaad3cf2c69c6629be96cabf8e42aa79434159b6e8e4b753700e5"


def digest() -> str:
    found = hashlib.sha256()
    for path in sorted(p for p in FROZEN.rglob("*") if p.suffix in (".py", ".toml")):
        found.update(str(path.relative_to(FROZEN)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def test_nobody_edited_them() -> None:
    assert digest() == DIGEST, "mend the core instead, see docs/compatibility.md"


@pytest.mark.slow
def test_they_are_listed_checked_trained_and_measured(tmp_path: Path) -> None:
    fresh = Fresh.make(tmp_path)
    built = wheels(tmp_path / "dist", ROOT, FROZEN)
    fresh.pip("install", "--no-index", "--no-deps", *built.glob("*.whl"))
    listed = fresh.domains()
    assert set(listed.values()) == {"ok"} and len(listed) == 5, listed
    for name, model in (("kept-discrete", "even"), ("kept-continuous", "pumping")):
        assert " 0 failed" in fresh.run("dgpg", "check", name).stdout
        assert " 0 failed" in fresh.run("dgpg", "check", name, "--model", model).stdout
        for algorithm in ("dg-pg", "mappo", "ippo"):
            run = f"{name}-{algorithm}"
            fresh.run(
                "dgpg", "train", name, "--algorithm", algorithm, "--iterations", 2, "--device", "cpu", "--out", run
            )
        rows = json.loads(fresh.run("dgpg", "evaluate", f"{name}-dg-pg", "--json", "--episodes", 2).stdout)["results"]
        assert {"policy", "untrained", "baseline"} <= {row["kind"] for row in rows}
    judged = json.loads(fresh.run("dgpg", "evaluate", "kept-discrete-dg-pg", "--judge", "--json").stdout)
    assert judged["judge"] and any(row["kind"] == "oracle" for row in judged["results"])
    assert (tmp_path / "kept-discrete-dg-pg" / "kept.svg").exists()
    assert "fitted" in fresh.run("dgpg", "calibrate", "kept-discrete", "--data", "none.csv", "--json").stdout
