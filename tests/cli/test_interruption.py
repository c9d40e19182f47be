"""Runs that are told to stop, cannot be saved, or are not what their folder says."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dgpg.cli import ending
from dgpg.learning import Trainer
from dgpg.runs import restoring

from ..commands import TINY, checkpoint, command, dgpg, differing, metrics, ok, refused

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")
SELDOM = ["train", "cloud", *TINY, "--iterations", 3000, "--set", "train.checkpoint_every=3000"]


# --- told to stop


def test_ctrl_c_before_there_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        ending.told(stopped)
    assert ended.value.code == 130 and capsys.readouterr().err == "interrupted\n"


def training(out: str) -> subprocess.Popen[str]:
    """A long run that saves seldom, past its first iterations."""
    # Tests that run in the background inherit that these two are ignored.
    heard = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
        "signal.signal(signal.SIGINT, signal.default_int_handler)"
    )
    args = command(*SELDOM, "--out", out, before=heard)
    process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline()
    return process


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_told_to_stop_a_run_saves_the_iteration_it_is_in(name: str) -> None:
    process = training("r")
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + getattr(signal, name), err
    *_, first, last = err.strip().splitlines()  # lines of progress may come before
    assert first.startswith(f"{name}: the iteration is finished and saved first")
    told = re.fullmatch(
        r"interrupted; iteration (\d+) is saved, and `dgpg train --resume --out r` goes on from there", last
    )
    assert told, last
    reached = int(told[1])
    assert reached == len(metrics(Path("r"))) and checkpoint(Path("r"), reached)["counters"]["iteration"] == reached
    ok("train", "--resume", "--out", "r", "--stop-after", 1)
    ok(*SELDOM, "--stop-after", reached + 1, "--out", "whole")
    assert metrics(Path("r")) == metrics(Path("whole"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_twice_it_stops_at_once_and_names_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def endless(self: Trainer) -> Any:
        for _ in range(2):
            os.kill(os.getpid(), number)
        time.sleep(60)

    monkeypatch.setattr(Trainer, "iterate", endless)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = dgpg("train", "cloud", *TINY, "--out", "r")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.code == 128 + number and "interrupted; iteration 0 is saved" in result.err


def test_by_time_there_is_a_checkpoint_too() -> None:
    ok(*SELDOM, "--set", "train.checkpoint_minutes=1e-9", "--stop-after", 2, "--out", "r")
    assert {path.name for path in Path("r/checkpoints").iterdir()} == {"iteration-000001.pt", "iteration-000002.pt"}


# --- two at once, and before the first checkpoint


def test_a_second_process_is_told_who_trains() -> None:
    process = training("r")
    before = metrics(Path("r"))
    assert f"is being trained by process {process.pid}" in refused("train", "--resume", "--out", "r")
    assert "exists" in refused("train", "cloud", *TINY, "--out", "r")
    process.kill()
    process.communicate()
    assert metrics(Path("r"))[: len(before)] == before
    ok("train", "--resume", "--out", "r", "--stop-after", 1)


@pytest.mark.parametrize("there", ["config", "nothing"])
def test_stopped_before_its_first_checkpoint_a_run_goes_on(there: str) -> None:
    ok("train", "cloud", *TINY, "--out", "whole")
    ok("train", "cloud", *TINY, "--stop-after", 1, "--out", "r")
    for path in (*Path("r/checkpoints").iterdir(), Path("r/metrics.jsonl")):
        path.unlink()
    if there == "nothing":
        Path("r/config.json").unlink()
        for path in Path("r/events").iterdir():
            path.unlink()
        Path("r/events").rmdir()
        assert "in r no run has begun" in refused("train", "--resume", "--out", "r")
        ok("train", "cloud", *TINY, "--out", "r")
    else:
        ok("train", "--resume", "--out", "r")
    assert metrics(Path("r")) == metrics(Path("whole"))


def test_a_log_without_any_checkpoint_is_not_begun_anew() -> None:
    ok("train", "cloud", *TINY, "--stop-after", 1, "--out", "r")
    for path in Path("r/checkpoints").iterdir():
        path.unlink()
    before = Path("r/metrics.jsonl").read_bytes()
    assert "has no complete checkpoint" in refused("train", "--resume", "--out", "r")
    assert Path("r/metrics.jsonl").read_bytes() == before


# --- what a run says it is, it is


def edited(change: Callable[[dict[str, Any]], Any]) -> None:
    ok("train", "cloud", *TINY, "--stop-after", 2, "--out", "r")
    config = json.loads(Path("r/config.json").read_text())
    change(config)
    Path("r/config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda c: c["train"].update(actor_lr=0.5), "--set train.actor_lr is 0.01, config.json says 0.5"),
        (lambda c: c.update(seed=7), "--seed is 0, config.json says 7"),
        (lambda c: c.update(algorithm="ippo"), "--algorithm is 'dg-pg', config.json says 'ippo'"),
        (lambda c: c["settings"]["workload"].update(load=0.9), "--set workload.load is 0.5, config.json says 0.9"),
        (lambda c: c["settings"].update(num_agents=6), "--set num_agents is 4, config.json says 6"),
        (lambda c: c["train"].update(actor_hidden=8), "--set train.actor_hidden is 48, config.json says 8"),
        (lambda c: c.update(num_envs=3), "--num-envs is 2, config.json says 3"),
        (lambda c: c["coordination"].update(rounds=2), "--set coordination.rounds is 0, config.json says 2"),
        (lambda c: c.update(domain="power", settings={}), "--set domain is 'cloud', config.json says 'power'"),
        (lambda c: c["settings"].pop("num_agents"), "num_agents"),
    ],
)
def test_a_configuration_edited_by_hand_is_refused_field_by_field(change: Any, part: str) -> None:
    edited(change)
    for asked in (["train", "--resume", "--out", "r"], ["evaluate", "r", "--episodes", 1]):
        told = refused(*asked)
        assert part in told and "was changed since the run began" in told, told


@pytest.mark.parametrize("text", ["[" * 100_000, "1", "null", '"run"', "\0"])
def test_a_configuration_that_is_none(text: str) -> None:
    ok("train", "cloud", *TINY, "--stop-after", 1, "--out", "r")
    Path("r/config.json").write_text(text)
    for asked in (["train", "--resume", "--out", "r"], ["evaluate", "r"], ["compare", "r", "r"]):
        assert "r/config.json" in refused(*asked)


def test_other_versions_are_said_in_one_line() -> None:
    ok("train", "cloud", *TINY, "--stop-after", 1, "--out", "r")
    noted = json.loads(Path("r/versions.json").read_text())
    Path("r/versions.json").write_text(json.dumps(noted | {"torch": "1.0", "dgpg-plugin-cloud": "0.0.1"}))
    told = ok("train", "--resume", "--out", "r").out
    assert (
        f"note: r was made with other versions: torch 1.0 then, {noted['torch']} now; dgpg-plugin-cloud 0.0.1" in told
    )
    Path("r/versions.json").write_text(json.dumps(noted | {"platform": "another kernel"}))
    assert "other versions" not in ok("train", "--resume", "--out", "r").out


# --- checkpoints that are none


def newest() -> Path:
    ok("train", "cloud", *TINY, "--stop-after", 1, "--out", "r")
    return Path("r/checkpoints/iteration-000001.pt")


def refused_everywhere() -> list[str]:
    return [refused(*asked) for asked in (["train", "--resume", "--out", "r"], ["evaluate", "r", "--episodes", 1])]


def test_weights_that_are_no_numbers_are_refused() -> None:
    file = newest()
    state = torch.load(file)
    next(iter(state["actor"].values())).fill_(torch.nan)
    torch.save(state, file)
    for told in refused_everywhere():
        assert "iteration-000001.pt: actor." in told and "not finite" in told


@pytest.mark.parametrize("content", [{"foo": 1}, [1, 2], 7, {"counters": 3}])
def test_a_file_of_torch_that_holds_something_else(content: Any) -> None:
    file = newest()
    torch.save(content, file)
    Path("r/checkpoints/iteration-000000.pt").unlink()
    for told in refused_everywhere():
        assert "iteration-000001.pt cannot be read: it holds no state of a run" in told


@pytest.mark.parametrize(
    "change", [lambda s: s.pop("actor"), lambda s: s.update(actor=[1]), lambda s: s.update(actor={})]
)
def test_a_state_of_another_shape(change: Any) -> None:
    file = newest()
    state = torch.load(file)
    change(state)
    torch.save(state, file)
    for told in refused_everywhere():
        assert "error: " in told and "Traceback" not in told and "weights_only" not in told


@pytest.mark.parametrize("part", ["env", "streams", "critic", "shuffle", "counters", "normaliser", "shards"])
def test_a_state_that_lacks_a_part_is_not_resumed(part: str) -> None:
    file = newest()
    state = torch.load(file)
    (state if part in state else state["shards"][0])[part] = {}
    torch.save(state, file)
    assert "does not hold the state of this run" in refused("train", "--resume", "--out", "r")


def test_code_in_a_checkpoint_is_not_run_and_torchs_advice_to_run_it_is_not_repeated() -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.system, ("touch owned",)

    file = newest()
    torch.save({"actor": Evil(), "counters": {}}, file)
    Path("r/checkpoints/iteration-000000.pt").unlink()
    for told in refused_everywhere():
        assert "dgpg did not write it" in told and "weights_only" not in told and "WeightsUnpickler" not in told
    assert not Path("owned").exists()


# --- the log


@pytest.mark.parametrize(
    "line", ["1", '{"a": 1}', '{"iteration": 7}', "\0", "[]", '{"iteration": "2"}', "", "[" * 50_000]
)
def test_a_line_that_is_no_record_is_told_and_the_log_kept(line: str) -> None:
    args = ["train", "cloud", *TINY, "--set", "train.checkpoint_every=1"]
    ok(*args, "--out", "whole")
    ok(*args, "--stop-after", 2, "--out", "r")
    lines = Path("r/metrics.jsonl").read_text().splitlines()
    damaged = "\n".join([lines[0], line, lines[1]]) + "\n"
    Path("r/metrics.jsonl").write_text(damaged)
    told = ok("train", "--resume", "--out", "r").out
    assert "note: r/metrics.jsonl:2: expected the record of iteration 2" in told
    assert "is kept in r/metrics.damaged-1.jsonl" in told and "no record of iterations 2 to 2" in told
    assert Path("r/metrics.damaged-1.jsonl").read_text() == damaged
    assert [one["iteration"] for one in metrics(Path("r"))] == [1, 3]
    assert not differing(checkpoint(Path("whole"), 3), checkpoint(Path("r"), 3))


# --- a simulator that cannot be saved


def test_a_run_that_cannot_be_saved_trains_says_so_and_is_not_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    ok("train", "cloud", *TINY, "--out", "whole")
    original = restoring._through_a_file
    monkeypatch.setattr(restoring, "_through_a_file", lambda state: {})
    shown = ok("train", "cloud", *TINY, "--stop-after", 1, "--out", "r").out
    assert "note: this run cannot be resumed: the environment cannot be saved and restored" in shown
    assert metrics(Path("r")) == metrics(Path("whole"))[:1]
    monkeypatch.setattr(restoring, "_through_a_file", original)
    assert "cannot go on: the environment cannot be saved" in refused("train", "--resume", "--out", "r")
    ok("evaluate", "r", "--episodes", 1)
