"""Evaluations and comparisons: what is shown, what scripts rely on, and that it can be repeated."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dgpg.errors import RunError
from dgpg.measuring import Difference, evaluate
from dgpg.showing import report
from dgpg.showing.tables import against
from dgpg_cloud.env import CloudEnv

from ..commands import TINY, command, dgpg, ok, refused

pytestmark = pytest.mark.usefixtures("in_a_folder_of_its_own")


# --- evaluate


def test_evaluate_says_what_scripts_rely_on(shared: Path) -> None:
    found = ok("evaluate", shared, "--episodes", 3, "--json").json
    assert (
        set(found) == {"cost_unit", "results", "notes", "figures", "page"}
        and "per agent and step" in found["cost_unit"]
    )
    policy, *others = found["results"]
    assert policy["difference"] is None
    for row in others:
        apart = row["difference"]
        assert apart["to"] == "dg-pg (stochastic)" and isinstance(apart["distinguishable"], bool)
        assert apart["cost"] == pytest.approx(row["cost"] - policy["cost"])
        assert apart["percent"] == pytest.approx(100 * apart["cost"] / policy["cost"])
    assert any("3 episodes" in note and "rough" in note for note in found["notes"])
    for row in found["results"]:
        assert {"name", "kind", "information", "mode", "cost", "ci95", "episodes", "difference"} < set(row)
        assert {"wait_mean_steps", "use_vcpu", "usd_per_hour"} < set(row)  # measures of the domain
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
        apart = row["difference"] and Difference(**row["difference"])
        assert against(apart, "≈") in shown
    assert f"{found[0]['cost']:.4g}" in compared
    for text in (shown, compared):
        assert (
            "…" not in text
            and max(map(len, (x for x in text.splitlines() if not x.startswith(("figure: ", "page: "))))) <= 80
        )


def test_json_is_one_object_on_stdout_and_nothing_else(shared: Path) -> None:
    ended = subprocess.run(command("evaluate", shared, "--episodes", 1, "--json"), capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert set(json.loads(ended.stdout)) == {"cost_unit", "results", "notes", "figures", "page"}


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


def test_one_episode_says_nothing_of_its_spread(shared: Path) -> None:
    said = ok("evaluate", shared, "--episodes", 1).out
    (line,) = [line for line in said.splitlines() if line.startswith("random")]
    assert re.search(r"random +baseline +same +\d+\.\d{4} - +[+-]\d+\.\d+ % +[\d.]+ *$", line)
    found = ok("evaluate", shared, "--episodes", 1, "--json").json["results"]
    assert all(row["ci95"] is None and (row["difference"] or {}).get("ci95") is None for row in found)


@pytest.mark.parametrize(("algorithm", "more"), [("dg-pg", True), ("ippo", False)])
def test_a_rule_that_beats_the_policy_is_pointed_out(algorithm: str, more: bool) -> None:
    """One iteration with no step to speak of beats no rule; an algorithm without guidance is told nothing of it."""
    still = ("--set", "train.actor_lr=1e-9", "--set", "num_agents=20", "--set", "horizon=32")
    ok("train", "cloud", *TINY, *still, "--algorithm", algorithm, "--out", "still")
    said = " ".join(ok("evaluate", "still", "--episodes", 16).out.split())
    assert "sees no more and costs less: train longer" in said and ("What lasts" in said) == more


def test_a_policy_for_other_features_is_refused(shared: Path) -> None:
    """A trace with GPUs has a resource more than the synthetic jobs the policy was trained on."""
    header = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,pod_phase,creation_time,deletion_time"
    pods = "".join(f"p{i},500,1024,1,500,,Succeeded,{i},{i + 50},{i + 1}\n" for i in range(1, 2000))
    Path("pods.csv").write_text(f"{header},scheduled_time\n{pods}")
    Path("nodes.csv").write_text("sn,cpu_milli,memory_mib,gpu,model\nb,64000,262144,2,T4\n")
    files = ("--set", "workload.trace=pods.csv", "--set", "machines.file=nodes.csv", "--set", "workload.load=0.1")
    message = refused("evaluate", shared, *files, "--episodes", 1)
    assert re.search(
        r"does not fit these settings: it was trained with \d+ features an agent \(now \d+\), \d+ features a choice "
        r"\(now \d+\); leave out what changes that, or train with it", message
    )  # fmt: skip


def test_a_recording_has_so_many_episodes_and_an_evaluation_says_what_it_plays() -> None:
    rows = "".join(f"{20 * i},{300 + i % 7},1,1\n" for i in range(400))
    Path("jobs.csv").write_text(f"submit,duration,cpu,memory_gib\n{rows}")
    ok("train", "cloud", *TINY, "--set", "workload.trace=jobs.csv", "--set", "workload.end=0.7", "--out", "recorded")
    rest = ("--set", "workload.start=0.7", "--set", "workload.end=1")
    found = ok("evaluate", "recorded", *rest, "--episodes", 40, "--json").json
    episodes = {row["episodes"] for row in found["results"]}
    assert len(episodes) == 1 and 5 < min(episodes) < 40
    notes = "\n".join(found["notes"])
    where = [note for note in found["notes"] if "other settings than the policy was trained in" in note]
    expected = "--set workload.start is 0.0, here 0.7; --set workload.end is 0.7, here 1.0"
    assert len(where) == 1 and where[0].endswith(f": {expected}")  # and not what the evaluation kept of the training
    for part in (
        f"{min(episodes)} episodes instead of 40",
        "120 jobs, from 0.7 to 1 of the trace",
        "one step is",
        "load if no job waited",
        "kept from the training: the seconds of a step, the pace, the machines",
    ):
        assert part in notes
    compared = ok("compare", "recorded", "--episodes", 1000, "--json").json
    assert any("episodes instead of 1000" in note for note in compared["notes"])


def test_an_interrupted_evaluation_shows_what_it_has(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play, calls = evaluate.play, []

    def stopped(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return play(*args)

    monkeypatch.setattr(evaluate, "play", stopped)
    for as_json in ([], ["--json"]):
        calls.clear()
        ended = dgpg("evaluate", shared, "--episodes", 2, *as_json)
        assert ended.code == 130 and len(ended.err.splitlines()) == 1
        assert "interrupted: 3 of" in ended.err and "untrained" in ended.out and "greedy-potential" not in ended.out
    assert len(ended.json["results"]) == 3 and "interrupted" in ended.json["notes"][-1]


@pytest.mark.parametrize("args", [["evaluate"], ["compare"], ["check", "cloud"], ["calibrate", "power", "--data", "x"]])
def test_ctrl_c_is_one_line(shared: Path, args: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dgpg.showing.evaluations.open_trained", stop)
    monkeypatch.setattr("dgpg.showing.evaluations.compare_runs", stop)
    monkeypatch.setattr("dgpg.domain.registry.load_domain", stop)
    monkeypatch.setattr("dgpg.checks.subject", stop)
    ended = dgpg(*args, *([shared] if args[0] in ("evaluate", "compare") else []))
    assert (ended.code, ended.out, ended.err) == (130, "", "interrupted\n")


def test_figures_that_cannot_be_written_are_told_before_the_work(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RunError("cannot write there: No space left on device")

    monkeypatch.setattr("dgpg.showing.figures.write_atomic", full)
    ended = ok("evaluate", shared, "--episodes", 2)
    assert ended.err.startswith("note: there will be no figures (cannot write there: No space left")
    assert "greedy-potential" in ended.out


# --- compare


def test_compare_measures_runs_and_averages_seeds(shared: Path) -> None:
    ok("train", "cloud", *TINY, "--seed", 1, "--out", "other")
    ok("train", "cloud", *TINY, "--algorithm", "mappo", "--stop-after", 1, "--out", "mappo")
    found = ok("compare", shared, "other", "mappo", "--episodes", 3, "--json").json
    assert set(found) == {"cost_unit", "episodes", "runs", "groups", "notes", "page"}
    one, two, three = found["runs"]
    assert [run["run"] for run in (one, two, three)] == [str(shared), "other", "mappo"]
    assert [(run["algorithm"], run["seed"], run["iteration"]) for run in (one, two, three)] == [
        ("dg-pg", 0, 3), ("dg-pg", 1, 3), ("mappo", 0, 1),
    ]  # fmt: skip
    assert one["cost"] == rows(shared, "--episodes", 3)["dg-pg", "stochastic"][0]
    guided, plain = found["groups"]
    assert (guided["algorithm"], guided["seeds"], plain["seeds"]) == ("dg-pg", 2, 1)
    assert guided["cost"] == pytest.approx((one["cost"] + two["cost"]) / 2)
    assert (guided["difference"], guided["ci95_over"], plain["ci95"]) == (None, "seeds", None)
    assert plain["difference"]["cost"] == pytest.approx(plain["cost"] - guided["cost"])
    assert plain["difference"]["ci95_over"] == "episodes" and plain["difference"]["ci95"] is not None
    assert one["difference"] is None and two["difference"]["to"] == str(shared)
    shown = ok("compare", shared, "other", "--episodes", 2).out
    assert "dg-pg" in shown and "means over seeds" in shown


def test_one_training_is_not_two_seeds(shared: Path) -> None:
    """Given twice, copied, or trained again with the same seed: an interval over such runs would have no width."""
    shutil.copytree(shared, "copy")
    ok("train", "cloud", *TINY, "--out", "again")
    for other in (shared, Path("copy"), Path("again")):
        message = refused("compare", shared, other, "--episodes", 1)
        assert f"{shared} and {other} are the same run" in message and "another --seed" in message


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


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("iterations=3", "--set iterations=...: not a setting of the domain; training has an option --iterations"),
        ("alpha.end=0", "--set alpha...: not a setting of the domain; training has --set train.alpha"),
        ("detached=true", "training has --set coordination.detached"),
    ],
)
def test_what_belongs_to_training_is_said_to(shared: Path, setting: str, words: str) -> None:
    assert words in refused("evaluate", shared, "--set", setting)
