"""A new export is taken while the service runs: whole or not at all, and by nobody's loss."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dgpg.deploy import Policy
from dgpg.errors import DataError

from ..commands import ok

for _name in ("onnx", "onnxscript", "onnxruntime", "fastapi", "uvicorn", "prometheus_client", "httpx2"):
    pytest.importorskip(_name, reason="needs the extras export and serve")
client = pytest.importorskip("tests.serve.asking")
onnx = pytest.importorskip("onnx")


def until(done: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def served(folder: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(folder, tmp_path / "served"))


def test_a_new_export_is_taken(served: Path, other: Path) -> None:
    with client.asking(served, watch_s=0.02) as ask:
        new = Policy.load(other)
        content = client.seen(new, 30, 5)
        before = ask.decide(content)
        client.put(other, served)
        until(lambda: ask.client.get("/healthz").json()["export"] == new.digest[:12])
        after = ask.decide(content)
        assert after["export"] == new.digest[:12] != before["export"]
        assert after["action"] == new.act(**content).tolist() != before["action"]
        assert ask.metric('dgpg_swaps_total{outcome="done"}') == 1
        assert [one["export"] for one in ask.events("swapped")] == [new.digest[:12]]


def test_one_that_comes_while_it_starts_is_taken(served: Path, other: Path) -> None:
    ask = client.Asking(served, watch_s=0.02)
    client.put(other, served)
    with ask.client:
        until(lambda: ask.service.current.policy.digest == Policy.load(other).digest)


@pytest.mark.parametrize("damage", ["missing", "cut off", "of another export", "no ONNX"])
def test_what_is_no_export_is_refused_and_the_old_one_stays(served: Path, other: Path, damage: str) -> None:
    with client.asking(served, watch_s=0.02) as ask:
        old = ask.service.current.export
        file = served / "policy.onnx"
        if damage == "missing":
            file.unlink()
        elif damage == "cut off":
            file.write_bytes((other / "policy.onnx").read_bytes()[:1000])
        elif damage == "of another export":
            shutil.copy(other / "policy.json", served / "policy.json")
        else:
            (served / "policy.json").unlink()
            file.write_bytes(b"no")
        until(lambda: bool(ask.events("swap refused")))
        assert ask.decide(client.seen(ask.service.current.policy, 1, 2))["export"] == old
        client.put(other, served)
        until(lambda: ask.service.current.export != old)


def test_a_copy_that_is_not_done_is_taken_when_it_is(served: Path, other: Path) -> None:
    """As `cp` does: the policy before its description."""
    with client.asking(served, watch_s=0.02) as ask:
        shutil.copy(other / "policy.onnx", served / "policy.onnx")
        until(lambda: bool(ask.events("swap refused")))
        shutil.copy(other / "policy.json", served / "policy.json")
        until(lambda: bool(ask.events("swapped")))
        assert ask.service.current.policy.digest == json.loads((other / "policy.json").read_text())["sha256"]


@pytest.mark.parametrize("name", ["everyone.onnx", "policy.json", "policy.onnx"])
def test_whichever_file_comes_last_it_is_looked_at_again(served: Path, name: str) -> None:
    service = client.Asking(served).service
    assert not service.changed
    (served / name).write_bytes(b"the last part of a copy")
    assert service.changed and not service.swap() and not service.changed


def test_a_policy_of_other_inputs_is_refused(served: Path, tmp_path: Path) -> None:
    ok("train", "power", "--set", "network=case9", "--iterations", 1, "--num-envs", 2, "--out", tmp_path / "run")
    ok("export", tmp_path / "run", "--out", tmp_path / "out", "--decisions", 100)
    with client.asking(served, watch_s=0.02) as ask:
        client.put(tmp_path / "out", served)
        until(lambda: bool(ask.events("swap refused")))
        assert "the new export has another domain, power" in ask.events("swap refused")[0]["error"]
        assert ask.client.get("/healthz").json()["export"] == ask.service.current.export


def test_a_request_ends_with_the_export_that_it_began_with(served: Path, other: Path) -> None:
    with client.asking(served) as ask:
        old, content = ask.service.current, client.seen(ask.service.current.policy, 20, 5)
        client.put(other, served)
        assert ask.service.swap() and not ask.service.swap()
        rows, _ = old.policy.rows(**content)
        assert ask.service.decide(old, rows).action.tolist() == old.policy.act(**content).tolist()


def spoilt(export: Path, to: Path, weight: float) -> None:
    """The export with this number for all weights of a layer, as a file that agrees with itself."""
    model = onnx.load(export / "policy.onnx")
    for tensor in model.graph.initializer:
        if tensor.name.endswith("agent_in.weight"):
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(tensor.dims, weight, np.float32), tensor.name))
    (to / "policy.json").unlink()
    onnx.save(model, to / "policy.onnx")


def test_one_that_opens_and_does_not_decide_is_refused(served: Path, other: Path) -> None:
    with client.asking(served) as ask:
        old = ask.service.current.export
        spoilt(other, served, float("nan"))
        assert not ask.service.swap() and ask.service.current.export == old
        assert "opens and does not decide" in ask.events("swap refused")[0]["error"]
    with pytest.raises(DataError, match="opens and does not decide"):
        client.Asking(served)
    spoilt(other, Path(shutil.copytree(other, served / "good")), 0.5)
    assert client.Asking(served / "good").service.current.export


def test_who_looks_for_exports_goes_on_looking(served: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with client.asking(served, watch_s=0.02) as ask:
        with monkeypatch.context() as patch:
            patch.setattr(ask.service, "swap", lambda: 1 / 0)
            client.put(other, served)
            until(lambda: bool(ask.events("swap refused")))
        until(lambda: ask.service.current.policy.digest == Policy.load(other).digest)
