"""`dgpg serve DIR --kubernetes` as a process, from a kubeconfig to an answer."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

for _name in ("kubernetes", "msgspec", "onnx", "onnxscript", "onnxruntime", "fastapi", "uvicorn", "yaml"):
    pytest.importorskip(_name, reason="needs the extras export, serve and kubernetes")

from dgpg.cli.serving import protocols  # noqa: E402
from dgpg.errors import ConfigError  # noqa: E402

from .api_server import ApiServer  # noqa: E402
from .objects import node, pod  # noqa: E402

if not entry_points(group="dgpg.serve", name="kubernetes"):
    pytest.skip("the installed plugin is older: install plugins/cloud again", allow_module_level=True)


def kubeconfig(path: Path, port: int) -> Path:
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                "users": [{"name": "test", "user": {}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            }
        )
    )
    return path


def answer(port: int, path: str, content: Any = None) -> Any:
    data = None if content is None else json.dumps(content).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=20) as found:
        return json.load(found)


def test_it_serves_from_a_kubeconfig_and_ends_well(folder: Path, tmp_path: Path) -> None:
    with ApiServer() as server:
        for name in ("a", "b"):
            server.put("nodes", node(name))
        command = [sys.executable, "-m", "dgpg", "serve", folder, "--kubernetes", "--port", "0"]
        more = ["--set", "kubernetes.scheduler=dgpg", "--set", "kubernetes.stale_s=60", "--far", "1e9"]
        process = subprocess.Popen(
            [*map(str, command), *more],
            env={**os.environ, "KUBECONFIG": str(kubeconfig(tmp_path / "config", server.port))},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        lines: list[dict[str, Any]] = []
        while not lines or lines[-1]["event"] != "listening":
            lines.append(json.loads(process.stderr.readline()))
        port = lines[-1]["port"]
        told = answer(port, "/prioritize", {"Pod": pod("p"), "Nodes": None, "NodeNames": ["a", "b"]})
        assert sorted(one["Score"] for one in told) == [9, 10]
        health = answer(port, "/healthz")
        assert health["status"] == "ok" and health["kubernetes"]["nodes"] == 2
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert process.returncode in (0, -signal.SIGTERM)
    assert {one for one in server.asked} == {(verb, kind) for verb in ("list", "watch") for kind in ("nodes", "pods")}


def test_without_torch_a_mistake_is_one_line_too(tmp_path: Path) -> None:
    code = """
import sys
for name in ("torch", "gymnasium", "scipy", "stevedore"):
    sys.modules[name] = None
from dgpg.cli import main
sys.argv = ["dgpg", "serve", "nowhere", "--kubernetes"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "no such file; expected the folder that `dgpg export" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_of_a_protocol_that_is_not_served_are_one_message() -> None:
    assert protocols(("kubernetes",), ["kubernetes.stale_s=5"]) == {"kubernetes": {"stale_s": "5"}}
    with pytest.raises(ConfigError, match=r"--set kubernetes.stale_s=5: expected a setting of .*with --kubernetes"):
        protocols((), ["kubernetes.stale_s=5"])
    for wrong in ("kubernetes.stale_s", "kubernetes=5", "other.stale_s=5"):
        with pytest.raises(ConfigError, match=r"kubernetes.NAME=VALUE"):
            protocols(("kubernetes",), [wrong])
