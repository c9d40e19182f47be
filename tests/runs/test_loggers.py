"""Measures go where people keep them; a logger that fails is told of once, and the run goes on."""

import csv
import json
from pathlib import Path

import pytest

from dgpg.errors import ConfigError
from dgpg.runs import RunFolder
from dgpg.runs.loggers import Loggers, chosen
from dgpg.runs.loggers.opened import keep, kept, usual

from ..commands import TINY, ok, refused
from ..distributions import Plugins
from ..folders import line

ROW = {
    "name": "dg-pg",
    "mode": "greedy",
    "kind": "policy",
    "information": "same",
    "cost": 0.5,
    "ci95": None,
    "episodes": 4,
}
BROKEN = """
import pathlib

class Broken:
    def __init__(self, folder, config, iteration):
        self.heard = []
    def log(self, metrics):
        self.heard.append(metrics["iteration"])
        pathlib.Path("heard.txt").write_text(repr(self.heard))
        if metrics["iteration"] == 2:
            raise ConnectionError("no route to host\\nsecond line")
    def evaluation(self, rows, figures): ...
    def flush(self): ...
    def close(self): ...
"""
FAILING = """
class Failing:
    def __init__(self, folder, config, iteration): ...
    def log(self, metrics): ...
    def evaluation(self, rows, figures): ...
    def flush(self): ...
    def close(self): ...

def fail(self, *args):
    raise {error}

Failing.{where} = fail
"""
KEEPING = """
class Keeping:
    def __init__(self, folder, config, iteration):
        self.folder = folder
    def log(self, metrics): ...
    def evaluation(self, rows, figures):
        (self.folder / "heard.txt").write_text("\\n".join([str(len(rows)), *map(str, figures)]))
    def flush(self): ...
    def close(self): ...
"""


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def logged(run: RunFolder, start: int, stop: int, shift: float = 0.0) -> None:
    folder = RunFolder(run.path, run.config)
    folder.start_log(start)
    for iteration in range(start + 1, stop + 1):
        folder.log(line(iteration) | {"cost": iteration + shift})
    folder.close()


def test_a_table_is_cut_where_a_run_goes_on_and_not_by_an_evaluation(run: RunFolder) -> None:
    keep(run.path, ["csv"])
    logged(run, 0, 4)
    logged(run, 2, 3, 0.5)  # iteration 3 is done again, 4 not yet
    costs = [float(row["cost"]) for row in rows(run.path / "metrics.csv")]
    assert costs == [1.0, 2.0, 3.5] == [one["cost"] for one in run.read_log()]
    failed: list[str] = []
    others = Loggers(run.path, {}, None, failed.append)
    others.evaluation([ROW, ROW | {"ci95": (0.1, 0.2)}], [])
    others.close()
    assert failed == [] and len(rows(run.path / "metrics.csv")) == 3
    assert [row["ci95"] for row in rows(run.path / "evaluation.csv")] == ["null", "[0.1, 0.2]"]
    assert not (run.path / "events").exists()  # nobody asked for TensorBoard


def test_names_are_checked_before_the_work() -> None:
    assert chosen("csv, csv") == ["csv"] and chosen("none") == []
    with pytest.raises(ConfigError, match=r"--log cvs: unknown logger 'cvs'.*csv"):
        chosen("cvs")
    with pytest.raises(ConfigError, match=r"name loggers .*csv.* or none"):
        chosen(" ,")


def test_a_logger_that_is_not_installed_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dgpg.runs.loggers.opened.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--log wandb: it is not installed: pip install 'dgpg\[wandb\]'"):
        chosen("wandb")
    assert usual() == []


def test_somebody_elses_logger_that_fails_is_told_of_once(
    plugin: Plugins, run: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    plugin(BROKEN, "dgpg.loggers", noisy="Broken")
    assert chosen("noisy,csv") == ["noisy", "csv"]
    keep(run.path, ["noisy", "csv"])
    told: list[str] = []
    run.start_log(0)
    run.listen(told.append)
    for iteration in range(1, 6):
        run.log(line(iteration))
    run.close()
    assert told == [
        "note: logger noisy is left out from here on (ConnectionError: no route to host); the run itself is not touched"
    ]
    assert (tmp_path / "heard.txt").read_text() == "[1, 2]"
    assert len(rows(run.path / "metrics.csv")) == len(run.read_log()) == 5


@pytest.mark.parametrize("error", ["ConnectionError('no')", "SystemExit(3)"])
@pytest.mark.parametrize("where", ["__init__", "log", "evaluation", "flush", "close"])
def test_wherever_a_logger_fails_others_hear_all_and_nothing_stops(
    where: str, error: str, plugin: Plugins, run: RunFolder
) -> None:
    """Libraries end the process where they find no account, which is SystemExit."""
    plugin(FAILING.format(where=where, error=error), "dgpg.loggers", noisy="Failing")
    keep(run.path, ["noisy", "csv"])
    told: list[str] = []
    loggers = Loggers(run.path, {}, 0, told.append)
    loggers.log({"iteration": 1.0})
    loggers.flush()
    loggers.evaluation([ROW], [])
    loggers.close()
    assert len(told) == 1 and told[0].startswith("note: logger noisy is left out")
    assert len(rows(run.path / "metrics.csv")) == len(rows(run.path / "evaluation.csv")) == 1


def test_a_training_logs_where_it_was_told_to_and_an_evaluation_follows(plugin: Plugins, tmp_path: Path) -> None:
    run = tmp_path / "run"
    plugin(KEEPING, "dgpg.loggers", keeping="Keeping")
    ok("train", "cloud", *TINY, "--out", run, "--log", "csv,keeping", "--stop-after", 2)
    assert kept(run) == ["csv", "keeping"] and not (run / "events").exists()
    ok("train", "--resume", "--out", run)
    assert [row["iteration"] for row in rows(run / "metrics.csv")] == ["1", "2", "3"]
    found = ok("evaluate", run, "--episodes", 2, "--json").json["results"]
    table = rows(run / "evaluation.csv")
    assert [float(row["cost"]) for row in table] == [row["cost"] for row in found]
    count, *figures = (run / "heard.txt").read_text().splitlines()
    assert int(count) == len(found)
    assert [Path(one).name for one in figures] == [
        "evaluation.svg", "use.svg", "waiting.svg", "types.svg", "machines.svg",
    ]  # fmt: skip
    assert all(Path(one).is_file() for one in figures)
    assert "unknown logger" in refused("train", "cloud", *TINY, "--out", tmp_path / "x", "--log", "abc")
    assert not (tmp_path / "x").exists()


def test_wandb_without_a_network(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is an extra that development leaves out: pip install 'dgpg[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    keep(run.path, ["wandb"])
    told: list[str] = []
    run.listen(told.append)
    logged(run, 0, 2)
    name = (run.path / ".wandb-id").read_text()
    logged(run, 1, 3)
    others = Loggers(run.path, {}, None, told.append)
    others.evaluation([ROW], [run.path / "config.json"])
    others.close()
    assert told == [] and (run.path / ".wandb-id").read_text() == name
    assert len(list((run.path / "wandb").glob(f"offline-run-*-{name}"))) == 3


def test_mlflow_has_the_numbers_of_the_log(run: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tracking = pytest.importorskip(
        "mlflow.tracking", reason="mlflow is an extra that development leaves out: pip install 'dgpg[mlflow]'"
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "ml").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    keep(run.path, ["mlflow"])
    logged(run, 0, 3)
    told: list[str] = []
    others = Loggers(run.path, {}, None, told.append)
    others.evaluation([ROW], [run.path / "config.json"])
    others.close()
    assert told == []
    client = tracking.MlflowClient()
    name = (run.path / ".mlflow-id").read_text()
    assert [one.value for one in client.get_metric_history(name, "cost")] == [1.0, 2.0, 3.0]
    assert {one.path for one in client.list_artifacts(name)} == {"config.json", "evaluation.json"}
    assert client.get_run(name).info.status == "FINISHED"
    assert json.loads((run.path / "loggers.json").read_text()) == ["mlflow"]
