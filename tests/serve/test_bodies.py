"""Large bodies come whole, one after the other and at once, over the service's own protocol of HTTP."""

import asyncio
import http.client
import json
import socket
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dgpg.deploy import Policy

for _name in ("onnx", "onnxscript", "onnxruntime", "fastapi", "uvicorn", "prometheus_client", "httpx2"):
    pytest.importorskip(_name, reason="needs the extras export and serve")
client = pytest.importorskip("tests.serve.asking")
bodies = pytest.importorskip("dgpg.serve.bodies")

from .test_process import serving  # noqa: E402


def ask(port: int, content: bytes, count: int) -> list[dict[str, Any]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as line:
        found = []
        for _ in range(count):
            line.request("POST", "/decide", content)
            found.append(json.loads(line.getresponse().read()))
    return found


def test_large_and_small_bodies_in_turn_and_at_once(folder: Path, tmp_path: Path) -> None:
    policy = Policy.load(folder)
    contents = [client.seen(policy, rows, 6, seed) for seed, rows in enumerate((300, 1, 350, 250))]
    sent = [json.dumps(one).encode() for one in contents]
    assert [len(one) > 1 << 18 for one in sent] == [True, False, True, True]
    found: dict[int, list[dict[str, Any]]] = {}
    with serving(folder, tmp_path / "log", "--max-bytes", str(max(map(len, sent)))) as (_, port):
        threads = [
            threading.Thread(target=lambda n=n: found.update({n: ask(port, sent[n], 4)})) for n in range(len(sent))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with closing(socket.create_connection(("127.0.0.1", port))) as line:  # goes away in the middle
            line.sendall(b"POST /decide HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(sent[0]))
            line.sendall(sent[0][: len(sent[0]) // 2])
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as line:
            line.request("POST", "/decide", b" " * (max(map(len, sent)) + 1))
            assert line.getresponse().status == 413
        again = ask(port, sent[2], 1)
    for n, content in enumerate(contents):
        assert all(one["action"] == policy.act(**content).tolist() for one in found[n]) and len(found[n]) == 4
    assert again == found[2][:1]


def test_a_body_of_which_a_part_is_missing_is_nobodys_question() -> None:
    told = [{"type": "http.request", "body": b'{"plain": 1}', "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return told.pop(0)

    with pytest.raises(bodies.Gone):
        asyncio.run(bodies.whole({}, receive, 100))


def test_a_place_is_taken_over_where_it_is_large_enough() -> None:
    bodies._spare.clear()
    first = bodies.Place(6)
    for part in (b"abc", b"def"):
        first.write(part)
    assert bytes(first.view()) == b"abcdef"
    first.leave()
    second = bodies.Place(2)
    second.write(b"xy")
    assert bytes(second.view()) == b"xy" and second._memory is first._memory
    third = bodies.Place(9)
    assert len(third._memory) == 9
    bodies._spare.clear()
