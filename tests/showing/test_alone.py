"""`--json`: one object on standard output, whatever a plugin prints, when, and by which way."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ..commands import TINY, command, dgpg, ok, refused
from ..distributions import DOMAIN, Plugins

NOISE = """
import atexit, ctypes, os, sys, threading, time
from dgpg_cloud.domain import domain as cloud

def noise():
    print("Python")
    os.write(1, b"fd 1\\n")
    ctypes.CDLL(None).puts(b"C")
    print("kept", file=sys.__stdout__)

def go_on():
    while True:
        noise()
        time.sleep(0.01)

noise()
atexit.register(noise)
threading.Thread(target=go_on, daemon=True).start()

class Loud:
    Config = cloud.Config
    api_version = 1

    def make_env(self, config, num_envs, device, seed):
        noise()
        return cloud.make_env(config, num_envs, device, seed)

    def analytical_model(self, config):
        return cloud.analytical_model(config)

    def agent_mapping(self, config):
        return cloud.agent_mapping(config)

    def calibrate(self, config, data, out, iterations):
        noise()
        return [{"parameter": "a", "unit": "1", "start": 0.0, "fitted": float("nan"), "note": ""}]

domain = Loud()
"""
WAYS = {"Python", "fd 1", "C", "kept"}


def result(*args: object) -> tuple[object, set[str]]:
    """The object on standard output, and the lines on standard error."""
    start = f"sys.path[:0] = {[path for path in sys.path if 'dgpg_test_plugin' in path]!r}"
    done = subprocess.run(command(*args, "--json", before=start), capture_output=True, text=True)
    assert done.stdout, done.stderr
    return json.loads(done.stdout, parse_constant=pytest.fail), set(done.stderr.splitlines())


@pytest.mark.slow
def test_one_object_whatever_a_plugin_prints(plugin: Plugins, tmp_path: Path) -> None:
    plugin(NOISE, loud="domain")
    run = tmp_path / "run"
    train = subprocess.run(
        command("train", "loud", *TINY, "--out", run, before=f"sys.path[:0] = {sys.path[:1]!r}"), capture_output=True
    )
    assert train.returncode == 0, train.stderr
    small = ["--set", "num_agents=4", "--set", "horizon=8"]
    log = run / "metrics.jsonl"
    for args in (["evaluate", run], ["compare", run], ["check", "loud", *small], ["calibrate", "loud", "--data", log]):
        found, beside = result(*args)
        assert isinstance(found, dict) and beside >= WAYS, (args, beside)


def test_without_json_a_plugin_may_print(plugin: Plugins, capfd: pytest.CaptureFixture[str]) -> None:
    plugin(f"{NOISE}\nsys.stdout.flush()", loud="domain")
    args = command("calibrate", "loud", "--data", "x", before=f"sys.path[:0] = {sys.path[:1]!r}")
    done = subprocess.run(args, capture_output=True, text=True)
    assert set(done.stdout.splitlines()) >= WAYS and "fitted" in done.stdout


def test_a_result_that_cannot_be_written_is_told() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(command("domains", "--json"), stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "No space left" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("code", ["", "0", "'good bye'"])
def test_a_plugin_that_exits_while_it_is_used(plugin: Plugins, tmp_path: Path, code: str) -> None:
    source = DOMAIN.replace("num_envs, device, seed): ...", f"num_envs, device, seed): raise SystemExit({code})")
    module = plugin(source, shop="domain")
    message = refused("train", "shop", "--out", tmp_path / "run")
    assert f"{module}.py" in message and "SystemExit(" in message and "raise an exception" in message


def test_an_error_beside_json_leaves_standard_output_empty() -> None:
    assert "no such run folder" in refused("evaluate", "nowhere", "--json")
    assert dgpg("domains", "--jsn").code == 2
    assert ok("domains").out
