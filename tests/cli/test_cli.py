"""The command line: what is installed, and what scripts rely on in a run."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dgpg.cli import ending

from ..commands import TINY, checkpoint, dgpg, differing, metrics, ok, refused

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")

METRICS = {
    *("iteration", "episodes", "env_steps", "agent_steps", "updates", "wall_s", "cost", "alpha", "entropy"),
    *("kl", "clip_fraction", "explained_variance", "grad_norm"),
    *("share_rollout", "share_guidance", "share_update"),
}


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
    assert [one["alpha"] for one in lines] == pytest.approx([0.9, 0.9, 0.9])
    assert 0 < lines[0]["wall_s"] < lines[1]["wall_s"] < lines[2]["wall_s"]
    config = json.loads((shared / "config.json").read_text())
    chosen = {key: config[key] for key in ("domain", "algorithm", "model", "iterations", "num_envs", "seed", "device")}
    assert chosen == {
        "domain": "cloud", "algorithm": "dg-pg", "model": "cloud.headroom",
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
        "/shards/0/streams/",
        "/shards/0/shuffle",
        "/shards/0/env/",
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


def test_the_version_is_told() -> None:
    import dgpg

    assert ok("--version").out.strip() == f"dgpg {dgpg.__version__}"


@pytest.mark.parametrize("asked", [["--help"], ["evaluate", "--help"], ["--version"]])
def test_help_waits_for_nothing_that_takes_long(asked: list[str]) -> None:
    """Under 0.3 s: torch alone takes two seconds."""
    code = (
        f"import sys; sys.argv = ['dgpg', *{asked}]\nfrom dgpg.cli import main\ntry: main()\n"
        "except SystemExit: pass\n"
        "print('heavy:', *({'torch', 'numpy', 'scipy', 'matplotlib'} & {*sys.modules}))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "heavy:"


def test_what_takes_long_to_import_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the import, not after: with --json too."""
    said = list[str]()

    @contextmanager
    def waiting(what: str) -> Iterator[None]:
        said.append(what)
        yield

    monkeypatch.setattr("dgpg.showing.waiting.waiting", waiting)
    monkeypatch.setattr(ending, "import_module", lambda name: said.append(name))
    ending.starting(ending.one_object(lambda as_json: said.append("done")))(as_json=True)
    assert said == ["starting", "dgpg.measuring", "done"]
