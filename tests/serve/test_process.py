"""`dgpg serve` as a process: it listens, swaps under load, ends when told to, and never imports torch."""

import contextlib
import http.client
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dgpg.deploy import Policy
from dgpg.errors import ConfigError

from ..commands import refused

for _name in ("onnx", "onnxscript", "onnxruntime", "fastapi", "uvicorn", "prometheus_client", "httpx2"):
    pytest.importorskip(_name, reason="needs the extras export and serve")
client = pytest.importorskip("tests.serve.asking")


@contextmanager
def serving(folder: Path, log: Path, *options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process and its port."""
    command = [sys.executable, "-m", "dgpg", "serve", str(folder), "--port", "0", *options]
    with (
        log.open("w") as out,
        subprocess.Popen(command, stderr=out, text=True, env=os.environ | environment) as process,
    ):
        try:
            end = time.monotonic() + 60
            while not (found := events(log, "listening")):
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.05)
            yield process, found[0]["port"]
        finally:
            process.kill()


def events(log: Path, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return [line for line in lines if line["event"] == name]


def swapped(served: Path, log: Path, exports: Sequence[Path]) -> None:
    """Put one after the other where the service looks, and wait until it has taken it."""
    for count, export in enumerate(exports, start=1):
        client.put(export, served)
        end = time.monotonic() + 30
        while len(events(log, "swapped")) < count:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)


def test_no_answer_is_lost_or_wrong_while_exports_are_swapped(folder: Path, other: Path, tmp_path: Path) -> None:
    served, log = Path(shutil.copytree(folder, tmp_path / "served")), tmp_path / "log"
    policies = {one.digest[:12]: one for one in (Policy.load(folder), Policy.load(other))}
    content = client.seen(Policy.load(folder), 20, 6)
    expected = {name: one.act(**content).tolist() for name, one in policies.items()}
    answers: list[dict[str, Any]] = []
    stop = threading.Event()

    def ask(port: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            while not stop.is_set():
                connection.request("POST", "/decide", json.dumps(content))
                answers.append(json.loads(connection.getresponse().read()))

    with serving(served, log) as (process, port):
        threads = [threading.Thread(target=ask, args=(port,)) for _ in range(3)]
        try:
            for thread in threads:
                thread.start()
            swapped(served, log, (other, folder, other))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        if Path("/proc/self/maps").exists():
            assert "torch" not in Path(f"/proc/{process.pid}/maps").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert len(answers) > 50 and {one["export"] for one in answers} == set(policies)
    assert all(one["action"] == expected[one["export"]] for one in answers)
    assert events(log, "stopped") and not events(log, "server")


def test_what_was_asked_is_answered_before_it_ends(folder: Path, tmp_path: Path) -> None:
    """A request whose body is still on its way when the process is told to end."""
    policy = Policy.load(folder)
    body = json.dumps(client.seen(policy, 3, 4)).encode()
    with (
        serving(folder, tmp_path / "log", DGPG_TOKEN="secret") as (process, port),
        closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection,
    ):
        connection.putrequest("POST", "/decide")
        connection.putheader("Content-Length", str(len(body)))
        connection.putheader("Authorization", "Bearer secret")
        connection.endheaders(body[:10])
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        connection.send(body[10:])
        assert json.loads(connection.getresponse().read())["action"] == policy.act(**json.loads(body)).tolist()
        assert process.wait(20) == 0


def test_who_asks_on_and_on_loses_nothing_when_it_ends(folder: Path, tmp_path: Path) -> None:
    """Each connection is told that its last answer is the last, so that nobody asks into one that is closed."""
    body = json.dumps(client.seen(Policy.load(folder), 1, 4)).encode()
    last: list[str | None] = []

    def asks(port: int) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            said = None
            with contextlib.suppress(OSError, http.client.HTTPException):
                while said != "close":
                    connection.request("POST", "/decide", body, {"Authorization": "Bearer secret"})
                    answer = connection.getresponse()
                    answer.read()
                    said = answer.headers["Connection"]
            last.append(said)

    with serving(folder, tmp_path / "log", DGPG_TOKEN="secret") as (process, port):
        threads = [threading.Thread(target=asks, args=(port,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert process.wait(20) == 0
    assert last == ["close"] * 8


def test_numbers_that_overflow_are_told_to_who_asked_and_leave_the_log_as_it_is(folder: Path, tmp_path: Path) -> None:
    job, node = {"vcpu": 0, "memory_gib": 4, "steps": 6}, {"memory_gib": 64, "price": 1, "used": {"vcpu": 1e30}}
    content = {"plain": {"job": job, "nodes": [{**node, "vcpu": 1e-30}], "load": 0.3}}
    with serving(folder, tmp_path / "log") as (process, port):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
            connection.request("POST", "/decide", json.dumps(content))
            answer = connection.getresponse()
            assert answer.status == 422 and b"'free vCPU' of row 0 is -inf" in answer.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()][-1] == "stopped"


def test_what_cannot_be_served_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    assert "no such file; expected the folder that `dgpg export RUN --out DIR` wrote" in refused("serve", tmp_path)
    assert "--host 203.0.113.1 --port 1: nothing can listen there" in refused(
        "serve", folder, "--host", "203.0.113.1", "--port", 1
    )
    assert "it is empty; write a token into it" in refused("serve", folder, "--token-file", tmp_path / "empty")
    assert "unknown rule 'bst-fit': did you mean 'best-fit'" in refused("serve", folder, "--rule", "bst-fit")


def test_a_missing_package_or_protocol_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = pytest.importorskip("dgpg.serve.process")
    with pytest.raises(ConfigError, match="no installed plugin speaks 'gopher'; install the one that does"):
        process.router("gopher", None, {})
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else found(name))
    assert "serve needs uvicorn: pip install 'dgpg[serve]'" in refused("serve", folder)
