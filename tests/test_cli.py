"""The command line: what scripts rely on, runs that go on bit for bit, one clear message for a mistake."""

import contextlib
import errno
import io
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from dgpg import cli, evaluate, record, report
from dgpg import train as train_module
from dgpg.train import Trainer
from dgpg_cloud.env import CloudEnv

INSTANCE = ["--set", "num_agents=4", "--set", "horizon=8"]
QUICK = ["--num-envs", "2", "--device", "cpu", "--set", "train.minibatches=2", "--set", "train.epochs=1"]
TINY = [*INSTANCE, *QUICK, "--iterations", "3"]
METRICS = {
    *("iteration", "episodes", "env_steps", "agent_steps", "updates", "wall_s", "cost", "alpha", "entropy"),
    *("kl", "clip_fraction", "explained_variance", "grad_norm"),
    *("share_rollout", "share_guidance", "share_update"),
}


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


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that tests only read."""
    run = tmp_path_factory.mktemp("shared") / "run"
    ok("train", "cloud", *TINY, "--out", run)
    return run


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# --- domains


def test_domains_lists_what_is_installed() -> None:
    shown = ok("domains").out
    assert "cloud" in shown and "cloud.capacity" in shown and "dgpg-plugin-cloud" in shown
    plugins = {p["name"]: p for p in ok("domains", "--json").json["plugins"]}
    assert plugins["cloud"]["status"] == "ok" and plugins["cloud"]["error"] is None
    assert plugins["cloud"]["distribution"] == "dgpg-plugin-cloud" and plugins["cloud"]["version"]
    assert {"cloud.capacity", "cloud.fluid"} <= set(plugins)


def test_no_command_shows_the_help_and_a_wrong_one_the_nearest() -> None:
    for name in ("domains", "train", "evaluate", "compare"):
        assert name in dgpg().out + dgpg().err
    assert "'domains'" in refused("domans")


# --- train


def test_a_run_holds_what_scripts_rely_on(shared: Path) -> None:
    assert {"config.json", "metrics.jsonl", "checkpoints", "versions.json"} <= {p.name for p in shared.iterdir()}
    lines = [json.loads(text) for text in (shared / "metrics.jsonl").read_text().splitlines()]
    assert [one["iteration"] for one in lines] == [1, 2, 3]
    for one in lines:
        i = one["iteration"]
        assert set(one) >= METRICS
        assert (one["episodes"], one["env_steps"], one["agent_steps"], one["updates"]) == (
            2 * i,
            16 * i,
            64 * i,
            2 * i,
        )
        assert sum(one[f"share_{part}"] for part in ("rollout", "guidance", "update")) == pytest.approx(1)
    assert [one["alpha"] for one in lines] == pytest.approx([0.9, 0.55, 0.2])
    assert 0 < lines[0]["wall_s"] < lines[1]["wall_s"] < lines[2]["wall_s"]
    config = json.loads((shared / "config.json").read_text())
    chosen = {key: config[key] for key in ("domain", "algorithm", "model", "iterations", "num_envs", "seed", "device")}
    assert chosen == {
        "domain": "cloud", "algorithm": "dg-pg", "model": "cloud.capacity",
        "iterations": 3, "num_envs": 2, "seed": 0, "device": "cpu",
    }  # fmt: skip
    assert config["settings"]["num_agents"] == 4 and config["train"]["minibatches"] == 2
    assert {"dgpg", "torch", "dgpg-plugin-cloud"} <= set(json.loads((shared / "versions.json").read_text()))


def test_a_pipe_gets_plain_lines() -> None:
    shown = ok("train", "cloud", *TINY, "--out", "r").out.splitlines()
    assert [line.split("  ")[0] for line in shown[-4:-1]] == ["iteration 1", "iteration 2", "iteration 3"]
    assert shown[-1] == "iteration 3 saved; next: dgpg evaluate r"
    assert not any("\x1b" in line for line in shown)


def test_runs_get_folders_of_their_own() -> None:
    for _ in range(2):
        ok("train", "cloud", *TINY, "--algorithm", "ippo", "--iterations", 1)
    assert sorted(path.name for path in Path("runs").iterdir()) == ["cloud-ippo-001", "cloud-ippo-002"]


@pytest.mark.parametrize("algorithm", ["mappo", "ippo", "ippo-local"])
def test_every_algorithm_trains(algorithm: str) -> None:
    ok("train", "cloud", *TINY, "--algorithm", algorithm, "--iterations", 2, "--out", "r")
    assert [one["alpha"] for one in metrics(Path("r"))] == [0, 0]


def test_the_seed_decides(shared: Path) -> None:
    ok("train", "cloud", *TINY, "--seed", 0, "--out", "same")
    ok("train", "cloud", *TINY, "--seed", 1, "--out", "other")
    assert not differing(checkpoint(shared, 3), checkpoint(Path("same"), 3))
    assert metrics(shared) == metrics(Path("same")) != metrics(Path("other"))
    found = differing(checkpoint(shared, 3), checkpoint(Path("other"), 3))
    for part in (
        "/actor/",
        "/critic/",
        "/actor_optimiser/",
        "/normaliser/",
        "/streams/",
        "/shuffle",
        "/env/",
    ):
        assert any(path.startswith(part) for path in found), part


def test_a_model_may_be_named_without_its_domain() -> None:
    for name in ("fluid", "cloud.fluid"):
        ok("train", "cloud", *TINY, "--model", name, "--iterations", 1, "--out", name)
        assert json.loads(Path(name, "config.json").read_text())["model"] == "cloud.fluid"


def test_the_configuration_of_a_run_repeats_it(shared: Path) -> None:
    ok("train", "--config", shared / "config.json", "--out", "again")
    assert (shared / "config.json").read_text() == Path("again/config.json").read_text()
    assert not differing(checkpoint(shared, 3), checkpoint(Path("again"), 3))
    assert metrics(shared) == metrics(Path("again"))


def test_options_win_over_the_file(shared: Path) -> None:
    Path("mine.toml").write_text(
        'domain = "cloud"\niterations = 2\nnum_envs = 2\nseed = 5\n'
        "[train]\nminibatches = 2\n[train.alpha]\nend = 0.4\n"
        "[settings]\nnum_agents = 9\nhorizon = 8\n[settings.workload]\nload = 0.4\nswing = 0.1\n"
    )
    ok(
        "train",
        "--config",
        "mine.toml",
        "--seed",
        6,
        "--set",
        "num_agents=4",
        "--set",
        "workload.load=0.45",
        "--out",
        "r",
    )
    config = json.loads(Path("r/config.json").read_text())
    assert (config["seed"], config["iterations"], config["train"]["alpha"]["end"]) == (6, 2, 0.4)
    settings = config["settings"]
    assert (settings["num_agents"], settings["horizon"]) == (4, 8)
    assert (settings["workload"]["load"], settings["workload"]["swing"]) == (0.45, 0.1)


# --- resume


@pytest.mark.parametrize("algorithm", ["dg-pg", "ippo-local"])
def test_interrupted_and_resumed_is_bit_for_bit_the_run_in_one_go(algorithm: str) -> None:
    six = ["train", "cloud", *TINY, "--algorithm", algorithm, "--iterations", 6]
    ok(*six, "--out", "whole")
    first = ok(*six, "--stop-after", 3, "--out", "parts")
    assert first.out.endswith("iteration 3 saved; next: dgpg train --resume --out parts\n")
    assert [one["iteration"] for one in metrics(Path("parts"))] == [1, 2, 3]
    ok("train", "--resume", "--out", "parts", "--stop-after", 1)
    assert [one["iteration"] for one in metrics(Path("parts"))] == [1, 2, 3, 4]
    ok("train", "--resume", "--out", "parts")
    one, two = checkpoint(Path("whole"), 6), checkpoint(Path("parts"), 6)
    assert not differing(one, two)
    assert metrics(Path("whole")) == metrics(Path("parts"))
    assert one["counters"]["iteration"] == 6 and one["actor_optimiser"]["state"]
    assert Path("whole/config.json").read_text() == Path("parts/config.json").read_text()
    assert "iteration 6 saved; next: dgpg evaluate" in ok("train", "--resume", "--out", "parts").out


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        (["--iterations", "9"], "--iterations is 3, asked for 9"),
        (["--num-envs", "4"], "--num-envs is 2, asked for 4"),
        (["--seed", "1"], "--seed is 0, asked for 1"),
        (["--algorithm", "mappo"], "--algorithm is 'dg-pg', asked for 'mappo'"),
        (["--model", "fluid"], "--model is 'cloud.capacity', asked for 'cloud.fluid'"),
        (["--set", "num_agents=5"], "--set num_agents is 4, asked for 5"),
        (["--set", "workload.load=0.6"], "--set workload.load is 0.5, asked for 0.6"),
        (["--set", "train.alpha.end=0"], "--set train.alpha.end is 0.2, asked for 0"),
        (["--set", "num_agent=5"], "unknown setting 'num_agent': did you mean 'num_agents'?"),
        (["--set", "train.clp=5"], "unknown setting 'train.clp': did you mean 'clip'?"),
    ],
)
def test_other_settings_on_resume_are_refused_by_name(shared: Path, asked: list[str], part: str) -> None:
    before = {path: path.read_bytes() for path in shared.rglob("*") if path.is_file()}
    assert part in refused("train", "--resume", "--out", shared, *asked)
    assert {path: path.read_bytes() for path in shared.rglob("*") if path.is_file()} == before


def test_another_domain_on_resume_is_refused(shared: Path) -> None:
    assert "the domain is 'cloud', asked for 'power'" in refused("train", "power", "--resume", "--out", shared)


def test_the_same_command_with_resume_goes_on() -> None:
    """Also when it says the same in other words."""
    same = ["train", "cloud", *TINY, "--model", "capacity", "--device", "auto", "--set", "workload.load=0.50"]
    ok(*same, "--stop-after", 1, "--out", "r")
    ok(*same, "--resume", "--out", "r")
    assert len(metrics(Path("r"))) == 3


def test_killed_at_any_moment_a_run_goes_on(tmp_path: Path) -> None:
    args = ["train", "cloud", *TINY, "--iterations", 500, "--set", "train.checkpoint_every=1"]
    moment = random.SystemRandom().uniform(0, 0.3)
    process = subprocess.Popen(command(*args, "--out", "killed"), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(4):
        process.stdout.readline()
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    ok("train", "--resume", "--out", "killed", "--stop-after", 2)
    lines = metrics(Path("killed"))
    reached = len(lines)
    assert 5 <= reached < 500 and [one["iteration"] for one in lines] == [*range(1, reached + 1)], moment
    ok(*args, "--stop-after", reached, "--out", "whole")
    assert lines == metrics(Path("whole")), moment
    assert not differing(checkpoint(Path("killed"), reached), checkpoint(Path("whole"), reached)), moment


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["log", "save"])
def test_stopped_between_log_and_checkpoint_a_run_misses_no_line(
    monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    args = ["train", "cloud", *TINY, "--set", "train.checkpoint_every=1"]
    ok(*args, "--out", "whole")
    original, count = getattr(record.RunFolder, step), itertools.count(1)

    def stopped(*parts: Any) -> None:
        last = next(count) == (2 if step == "log" else 3)  # iteration 2: a checkpoint comes before the first
        if when == "after" or not last:
            original(*parts)
        if last:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(record.RunFolder, step, stopped)
        assert dgpg(*args, "--out", "r").code == 130
    ok("train", "--resume", "--out", "r")
    assert metrics(Path("whole")) == metrics(Path("r"))
    assert not differing(checkpoint(Path("whole"), 3), checkpoint(Path("r"), 3))


def test_a_damaged_newest_checkpoint_is_told_and_the_one_before_used() -> None:
    args = ["train", "cloud", *TINY, "--set", "train.checkpoint_every=1"]
    ok(*args, "--out", "whole")
    ok(*args, "--stop-after", 2, "--out", "r")
    Path("r/checkpoints/iteration-000002.pt").write_bytes(b"")
    shown = ok("train", "--resume", "--out", "r").out
    assert "note: iteration-000002.pt cannot be read" in shown and "from iteration 1 to 3" in shown
    assert not differing(checkpoint(Path("whole"), 3), checkpoint(Path("r"), 3))
    assert metrics(Path("whole")) == metrics(Path("r"))


def test_control_c_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    iterate, count = Trainer.iterate, itertools.count(1)

    def interrupted(self: Trainer) -> Any:
        if next(count) == 3:
            raise KeyboardInterrupt
        return iterate(self)

    monkeypatch.setattr(Trainer, "iterate", interrupted)
    result = dgpg("train", "cloud", *TINY, "--set", "train.checkpoint_every=1", "--out", "r")
    assert result.code == 130 and "`dgpg train --resume --out r`" in result.err
    assert checkpoint_numbers(Path("r")) == [1, 2]


def checkpoint_numbers(run: Path) -> list[int]:
    return sorted(int(path.stem[-6:]) for path in (run / "checkpoints").iterdir())


# --- what goes wrong while training


def test_a_loss_that_is_not_finite_stops_with_the_iteration_and_keeps_the_last_good_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    args = ["train", "cloud", *TINY, "--set", "train.checkpoint_every=1"]
    ok(*args, "--out", "whole")
    collect, count = train_module.collect, itertools.count(1)

    def poisoned(*parts: Any) -> Any:
        trajectory, decision = collect(*parts)
        return (replace(trajectory, reward=trajectory.reward * torch.nan) if next(count) == 2 else trajectory), decision

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "collect", poisoned)
        result = dgpg(*args, "--out", "r")
    assert result.code == 1 and "error: iteration 2:" in result.err and "r/checkpoints" in result.err
    assert "is not a finite number" in result.err and "iteration 2 " not in result.out
    assert checkpoint_numbers(Path("r")) == [0, 1] and len(metrics(Path("r"))) == 1
    ok("train", "--resume", "--out", "r")
    assert not differing(checkpoint(Path("whole"), 3), checkpoint(Path("r"), 3))


def test_a_learning_rate_beyond_all_bounds_is_told_as_one_message() -> None:
    result = dgpg("train", "cloud", *TINY, "--set", "train.actor_lr=1e30", "--out", "r")
    assert result.code == 1 and "iteration 1:" in result.err and "train.actor_lr" in result.err
    assert checkpoint_numbers(Path("r")) == [0]


def test_a_full_disk_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    args = ["train", "cloud", *TINY, "--set", "train.checkpoint_every=1"]
    ok(*args, "--out", "whole")
    move = os.replace

    def full(source: Path, target: Path) -> None:
        if target.name == "iteration-000002.pt":
            raise OSError(errno.ENOSPC, "No space left on device")
        move(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(record.os, "replace", full)
        result = dgpg(*args, "--out", "r")
    assert result.code == 1
    assert "error: cannot write r/checkpoints/iteration-000002.pt: No space left on device" in result.err
    assert checkpoint_numbers(Path("r")) == [0, 1]
    ok("train", "--resume", "--out", "r")
    assert not differing(checkpoint(Path("whole"), 3), checkpoint(Path("r"), 3))
    assert metrics(Path("whole")) == metrics(Path("r"))


def test_a_limit_on_files_is_one_message() -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))"
    ended = subprocess.run(command("train", "cloud", *TINY, "--out", "r", before=limit), capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error: cannot write r/checkpoints/iteration-000000.pt: File too large")
    assert "Traceback" not in ended.stderr and checkpoint_numbers(Path("r")) == []
    assert "no complete checkpoint; start it again" in refused("train", "--resume", "--out", "r")


def test_memory_that_is_not_there_is_one_message() -> None:
    assert "not enough memory" in refused("train", "cloud", *TINY, "--set", "horizon=100000000000000", "--out", "r")


# --- mistakes


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        ([], ["which domain? Installed: cloud"]),
        (["clod"], ["unknown domain 'clod': did you mean 'cloud'?"]),
        (["cloud", "--algorithm", "mapo"], ["unknown algorithm 'mapo': did you mean 'mappo'?", "ippo-local"]),
        (["cloud", "--model", "fluied"], ["'cloud.fluied'", "did you mean 'cloud.fluid'?"]),
        (
            ["cloud", "--model", "power.dcopf"],
            ["--model power.dcopf is for another domain", "cloud.capacity"],
        ),
        (["cloud", "--set", "num_agent=4"], ["unknown setting 'num_agent': did you mean 'num_agents'?"]),
        (["cloud", "--set", "workload.lod=1"], ["unknown setting 'workload.lod': did you mean 'load'?"]),
        (["cloud", "--set", "train.clp=1"], ["unknown setting 'train.clp': did you mean 'clip'?"]),
        (["cloud", "--set", "train.estimator=al_action"], ["train.estimator", "did you mean 'all_action'?"]),
        (["cloud", "--set", "preset=wating"], ["preset = 'wating'", "'waiting'"]),
        (["cloud", "--set", "iterations=3"], ["--set iterations", "--iterations"]),
        (["cloud", "--set", "num_agents"], ["--set num_agents: expected path.to.field=value"]),
        (["cloud", "--set", "num_agents=-1"], ["num_agents = -1", "greater than or equal to 1"]),
        (["cloud", "--set", "num_agents=four"], ["num_agents = 'four'", "integer"]),
        (["cloud", "--set", "num_agents=" + "9" * 5000], ["num_agents"]),
        (["cloud", "--set", "workload.load=1.5"], ["workload.load = 1.5", "less than 1"]),
        (["cloud", "--set", "workload.load=NaN"], ["workload.load = nan", "finite"]),
        (["cloud", "--set", "workload=5"], ["workload = 5"]),
        (["cloud", "--set", "train=5"], ["train = 5"]),
        (["cloud", "--set", "train="], ["train = ''"]),
        (["cloud", "--set", "train.clip=0"], ["train.clip = 0", "greater than 0"]),
        (["cloud", "--iterations", "0"], ["iterations = 0", "greater than or equal to 1"]),
        (["cloud", "--num-envs", "0"], ["num_envs = 0", "greater than or equal to 1"]),
        (["cloud", "--seed", "-1"], ["seed = -1"]),
        (["cloud", "--seed", str(2**60)], ["seed = "]),
        (["cloud", "--stop-after", "0"], ["--stop-after"]),
        (["cloud", "--iterations", "three"], ["--iterations", "integer"]),
        (["cloud", "--device", "tpu"], ["--device tpu: expected auto, cpu or cuda"]),
        (["cloud", "--itertions", "3"], ["--itertions", "--iterations"]),
        (["cloud", "extra"], ["extra"]),
        (["cloud", "--resume"], ["--resume needs --out RUN"]),
        (["--resume", "--out", "nowhere"], ["nowhere: no such run folder"]),
        (["cloud", "--config", "nowhere.json"], ["--config nowhere.json: cannot be read"]),
        (["cloud", "--set", "workload.trace=nowhere.swf"], ["nowhere.swf: no such file"]),
        (["cloud", "--set", "machines.file=nowhere.csv"], ["nowhere.csv: no such file"]),
    ],
)
def test_a_mistake_gets_one_message_and_makes_no_run(args: list[str], parts: list[str]) -> None:
    message = refused("train", *args)
    for part in parts:
        assert part in message
    assert list(Path().iterdir()) == []


def test_cuda_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = refused("train", "cloud", *TINY, "--device", "cuda", "--out", "r")
    assert "--device cuda: this torch sees no GPU; use --device cpu or auto" in message
    assert not Path("r").exists()
    ok("train", "cloud", *TINY, "--device", "auto", "--iterations", 1, "--out", "r")


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.json", "{", ["not valid .json"]),
        ("a.toml", "= 3", ["not valid .toml"]),
        ("a.json", "[1]", ["expected a table"]),
        ("a.json", '{"iteration": 3}', ["unknown field 'iteration': did you mean 'iterations'?"]),
        ("a.json", '{"num_envs": "many"}', ["num_envs = 'many'"]),
        ("a.json", '{"settings": 5}', ["settings = 5"]),
        ("a.json", '{"train": [1]}', ["train = [1]"]),
        ("a.json", '{"model": 5}', ["model = 5"]),
        ("a.json", '{"algorithm": 5}', ["algorithm = 5"]),
        ("a.json", '{"domain": 5}', ["domain = 5"]),
        ("a.json", '{"domain": "cloud", "device": ["cuda"]}', ["['cuda']", "expected auto, cpu or cuda"]),
        ("a.json", '{"domain": "cloud", "settings": {"num_agent": 3}}', ["did you mean 'num_agents'?"]),
        (
            "a.toml",
            'domain = "cloud"\n[train.alpha]\nstrat = 1',
            ["'train.alpha.strat'", "did you mean 'start'?"],
        ),
    ],
)
def test_a_configuration_file_with_a_mistake(name: str, content: str, parts: list[str]) -> None:
    Path(name).write_text(content)
    domain = [] if "domain" in content else ["cloud"]
    message = refused("train", *domain, "--config", name, "--out", "r")
    for part in parts:
        assert part in message
    assert not Path("r").exists()


def test_a_run_is_never_overwritten(shared: Path) -> None:
    before = {path: path.read_bytes() for path in shared.rglob("*") if path.is_file()}
    assert "exists: add --resume" in refused("train", "cloud", *TINY, "--seed", 3, "--out", shared)
    assert {path: path.read_bytes() for path in shared.rglob("*") if path.is_file()} == before


def test_a_place_that_cannot_be_written() -> None:
    Path("file").write_text("mine")
    assert "cannot write file/r: Not a directory" in refused("train", "cloud", *TINY, "--out", "file/r")
    assert "file exists: choose another --out" in refused("train", "cloud", *TINY, "--out", "file")
    assert Path("file").read_text() == "mine"


SWF = "{job} {submit} 5 {run} {processors} -1 -1 {processors} 100 -1 1 1 1 -1 -1 -1 -1 -1\n"


def log(**third: object) -> str:
    jobs = [{"job": i, "submit": 10 * i, "run": 60, "processors": 2} for i in range(1, 6)]
    jobs[2].update(third)  # type: ignore[arg-type]
    return "; a log\n" + "".join(SWF.format(**job) for job in jobs)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["empty"]),
        ("; a log\n", ["log.swf"]),
        (log()[:-20], ["line 6", "18 fields"]),
        (log(run="nan"), ["line 4", "'nan'"]),
        (log(run=-60), ["line 4", "'-60'"]),
        (log(processors=0), ["line 4", "'0'"]),
        (log(submit="inf"), ["line 4", "'inf'"]),
        (log(processors=100_000), ["1 of 5 jobs", "line 4", "100000 vCPU"]),
    ],
)
def test_a_trace_with_a_mistake_names_file_and_line(content: str, parts: list[str]) -> None:
    Path("log.swf").write_text(content)
    message = refused("train", "cloud", *TINY, "--set", "workload.trace=log.swf", "--out", "r")
    for part in ("log.swf", *parts):
        assert part in message
    assert not Path("r").exists()


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ("a,nan,1024,0,", ["line 3", "'nan'"]),
        ("a,0,1024,0,", ["line 3", "'0'"]),
        ("a,1000,-5,0,", ["line 3", "'-5'"]),
        ("a,1000", ["line 3"]),
    ],
)
def test_a_machine_table_with_a_mistake_names_file_and_line(row: str, parts: list[str]) -> None:
    Path("nodes.csv").write_text(f"sn,cpu_milli,memory_mib,gpu,model\nb,64000,262144,0,\n{row}\n")
    message = refused("train", "cloud", *TINY, "--set", "machines.file=nodes.csv", "--out", "r")
    for part in ("nodes.csv", *parts):
        assert part in message


def test_a_trace_of_ones_own_trains_and_goes_on() -> None:
    Path("log.swf").write_text(log())
    ok("train", "cloud", *TINY, "--set", "workload.trace=log.swf", "--stop-after", 1, "--out", "r")
    ok("train", "--resume", "--out", "r")
    assert len(metrics(Path("r"))) == 3


# --- evaluate


def test_evaluate_says_what_scripts_rely_on(shared: Path) -> None:
    found = ok("evaluate", shared, "--episodes", 3, "--json").json
    assert set(found) == {"cost_unit", "results", "figures"} and "per agent and step" in found["cost_unit"]
    for row in found["results"]:
        assert set(row) == {"name", "kind", "information", "mode", "cost", "ci95", "episodes"}
        assert row["kind"] in ("policy", "baseline", "oracle", "untrained") and row["episodes"] == 3
        assert row["information"] in ("same", "more") and row["mode"] in ("stochastic", "greedy", None)
        low, high = row["ci95"]
        assert 0 < low <= row["cost"] <= high
    networks = [(row["name"], row["kind"], row["mode"]) for row in found["results"] if row["mode"]]
    assert networks == [
        ("dg-pg", "policy", "stochastic"), ("dg-pg", "policy", "greedy"),
        ("untrained", "untrained", "stochastic"), ("untrained", "untrained", "greedy"),
    ]  # fmt: skip
    names = {row["name"] for row in found["results"]}
    assert {"random", "power-of-two", "join-shortest-queue", "greedy-potential", "global-best-fit"} <= names
    assert len(names) == len(found["results"]) - 2


def test_evaluate_shows_a_table_and_a_figure(shared: Path) -> None:
    shown = ok("evaluate", shared, "--episodes", 2).out
    for part in (
        "policy",
        "untrained",
        "baseline",
        "greedy-potential",
        "cost =",
        "2 episodes, the same arrivals",
    ):
        assert part in shown
    assert f"figure: {shared / 'evaluation.svg'}" in shown
    assert (shared / "evaluation.svg").read_text().lstrip().startswith("<?xml")


def test_no_number_is_cut_on_a_narrow_terminal(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "console", Console(width=80))
    found = ok("evaluate", shared, "--episodes", 2, "--json").json["results"]
    shown = ok("evaluate", shared, "--episodes", 2).out
    compared = ok("compare", shared, "--episodes", 2).out
    for row in found:
        assert f"{row['cost']:.4f}" in shown and f"{row['ci95'][0]:.4f} - {row['ci95'][1]:.4f}" in shown
    assert f"{found[0]['cost']:.4g}" in compared
    for text in (shown, compared):
        assert "…" not in text and max(map(len, text.splitlines()[:-1])) <= 80


def test_json_is_one_object_on_stdout_and_nothing_else(shared: Path) -> None:
    ended = subprocess.run(command("evaluate", shared, "--episodes", 1, "--json"), capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert set(json.loads(ended.stdout)) == {"cost_unit", "results", "figures"}


def rows(run: Path, *args: object) -> dict[tuple[str, str], tuple[float, float, float]]:
    found = ok("evaluate", run, "--json", *args).json["results"]
    return {(row["name"], row["mode"]): (row["cost"], *row["ci95"]) for row in found}


def test_evaluation_is_repeatable_and_the_seed_counts(shared: Path) -> None:
    one = rows(shared, "--episodes", 3)
    assert one == rows(shared, "--episodes", 3, "--seed", 1)
    other = rows(shared, "--episodes", 3, "--seed", 2)
    assert all(one[key] != other[key] for key in one)


def test_an_evaluation_does_not_depend_on_how_many_episodes_run_together(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = rows(shared, "--episodes", 5)
    monkeypatch.setattr(evaluate, "BATCH", 2)
    assert one == rows(shared, "--episodes", 5)


def test_every_row_meets_the_same_arrivals(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[list[bytes]] = []
    reset, play = CloudEnv.reset, evaluate.play

    def watched_reset(self: CloudEnv) -> Any:
        decision = reset(self)
        if met:
            met[-1].append(b"".join(getattr(self.tape, name).numpy().tobytes() for name in ("demand", "arrived")))
        return decision

    def watched_play(*args: Any) -> Any:
        met.append([])
        return play(*args)

    monkeypatch.setattr(CloudEnv, "reset", watched_reset)
    monkeypatch.setattr(evaluate, "play", watched_play)
    count = len(rows(shared, "--episodes", 3))
    assert len(met) == count > 10 and all(len(one) > 0 for one in met)
    assert len({tuple(one[:1]) for one in met}) == 1


def test_evaluate_in_another_setting(shared: Path) -> None:
    usual = rows(shared, "--episodes", 4)
    heavy = rows(shared, "--episodes", 4, "--set", "workload.load=0.9")
    assert usual.keys() == heavy.keys()
    assert heavy["random", None] > usual["random", None]
    larger = rows(shared, "--episodes", 2, "--set", "num_agents=7")
    assert larger["dg-pg", "stochastic"] != usual["dg-pg", "stochastic"]
    assert json.loads((shared / "config.json").read_text())["settings"]["workload"]["load"] == 0.5


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["nowhere"], ["nowhere: no such run folder"]),
        (["."], ["not a run: it has no config.json"]),
        ([], ["Missing argument"]),
        (["RUN", "--episodes", "0"], ["--episodes"]),
        (["RUN", "--seed", "-1"], ["--seed"]),
        (["RUN", "--set", "num_agent=3"], ["did you mean 'num_agents'?"]),
        (["RUN", "--set", "train.clip=0.3"], ["an evaluation does not train"]),
        (["RUN", "--set", "load"], ["--set load: expected path.to.field=value"]),
        (["RUN", "--iterations", "3"], ["--iterations"]),
    ],
)
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_mistake_in_an_evaluation(shared: Path, args: list[str], parts: list[str], as_json: list[str]) -> None:
    message = refused("evaluate", *(str(shared) if arg == "RUN" else arg for arg in args), *as_json)
    for part in parts:
        assert part in message


def test_a_policy_for_other_features_is_refused(shared: Path) -> None:
    """A trace with GPUs has a resource more than the synthetic jobs the policy was trained on."""
    header = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,pod_phase,creation_time,deletion_time"
    pods = "".join(f"p{i},500,1024,1,500,,Succeeded,{i},{i + 50},{i + 1}\n" for i in range(1, 6))
    Path("pods.csv").write_text(f"{header},scheduled_time\n{pods}")
    Path("nodes.csv").write_text("sn,cpu_milli,memory_mib,gpu,model\nb,64000,262144,2,T4\n")
    files = ("--set", "workload.trace=pods.csv", "--set", "machines.file=nodes.csv")
    assert "does not fit these settings" in refused("evaluate", shared, *files, "--episodes", 1)


# --- compare


def test_compare_measures_runs_and_averages_seeds(shared: Path) -> None:
    ok("train", "cloud", *TINY, "--seed", 1, "--out", "other")
    ok("train", "cloud", *TINY, "--algorithm", "mappo", "--stop-after", 1, "--out", "mappo")
    found = ok("compare", shared, "other", "mappo", "--episodes", 3, "--json").json
    assert set(found) == {"cost_unit", "runs", "groups"}
    one, two, three = found["runs"]
    assert [run["run"] for run in (one, two, three)] == [str(shared), "other", "mappo"]
    assert [(run["algorithm"], run["seed"], run["iteration"]) for run in (one, two, three)] == [
        ("dg-pg", 0, 3), ("dg-pg", 1, 3), ("mappo", 0, 1),
    ]  # fmt: skip
    assert one["cost"] == rows(shared, "--episodes", 3)["dg-pg", "stochastic"][0]
    guided, plain = found["groups"]
    assert (guided["algorithm"], guided["seeds"], plain["seeds"]) == ("dg-pg", 2, 1)
    assert guided["cost"] == pytest.approx((one["cost"] + two["cost"]) / 2)
    shown = ok("compare", shared, "other", "--episodes", 2).out
    assert "dg-pg" in shown and "means over seeds" in shown


def test_compare_counts_the_effort_of_the_checkpoint_not_of_lost_work(shared: Path) -> None:
    ok("train", "cloud", *TINY, "--seed", 1, "--out", "r")
    Path("r/checkpoints/iteration-000003.pt").unlink()  # as if killed before it
    run, _ = ok("compare", "r", shared, "--episodes", 1, "--json").json["runs"]
    assert (run["iteration"], run["env_steps"]) == (0, 0)


def test_runs_of_different_settings_are_not_compared(shared: Path) -> None:
    ok("train", "cloud", *TINY, "--set", "weights.waiting=3", "--iterations", 1, "--out", "other")
    message = refused("compare", shared, "other")
    assert "other has" in message and "weights.waiting is 0.2, there 3.0" in message
    assert "nowhere: no such run folder" in refused("compare", shared, "nowhere")
    assert "Missing argument" in refused("compare")
