"""Figures of an evaluation: drawn where they can be, the same bytes each time, never worth the table."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgpg import cli
from dgpg.domain import Policy
from dgpg.errors import ConfigError
from dgpg.measuring import Difference, Row
from dgpg.showing import figures, style
from dgpg_cloud.domain import CloudDomain

RUN = ["train", "cloud", "--set", "num_agents=4", "--set", "horizon=8", "--num-envs", 2, "--iterations", 2]


def dgpg(*args: object) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["dgpg", *map(str, args)])
        cli.main()
    assert not ended.value.code


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("figures") / "r"
    dgpg(*RUN, "--device", "cpu", "--out", folder)
    yield folder


def row(name: str, kind: Any, cost: float) -> Row:
    return Row(name, kind, "same", None, cost, (0.98 * cost, 1.02 * cost), 4)


POLICY, RULE, ORACLE = row("dg-pg", "policy", 1.1), row("rule", "baseline", 1.3), row("best", "oracle", 1.0)
LOG = [{"iteration": float(t), "cost": 1.0 + 2.0 / t} for t in range(1, 61)]


def words(path: Path) -> set[str]:
    """Text of a figure, which matplotlib writes into comments beside the outlines of its letters."""
    found = [node.text.strip() for node in _comments(path) if node.text]
    return set(found)


def _comments(path: Path) -> list[Any]:
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    return [node for node in ET.parse(path, parser).iter() if node.tag is ET.Comment]


def test_the_same_figure_is_the_same_bytes_and_valid_svg(tmp_path: Path) -> None:
    one, two = (figures.evaluation(tmp_path / name, LOG, "$", [POLICY, RULE, ORACLE]) for name in ("a.svg", "b.svg"))
    assert one.read_bytes() == two.read_bytes()
    assert ET.parse(one).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_an_oracle_turns_the_curve_into_a_gap_that_says_what_it_compares(tmp_path: Path) -> None:
    with_oracle = words(figures.evaluation(tmp_path / "a.svg", LOG, "$", [POLICY, RULE, ORACLE]))
    without = words(figures.evaluation(tmp_path / "b.svg", LOG, "$", [POLICY, RULE]))
    title = "gap (training meets other arrivals than the evaluation)"
    assert title in with_oracle and "+10.0%" in with_oracle and "while training" not in with_oracle
    assert title not in without and "+10.0%" not in without and "while training" in without


@pytest.mark.parametrize("oracle", [row("best", "oracle", 0.0), row("best", "oracle", 99.0)])
def test_a_gap_that_a_log_axis_cannot_show_stays_a_cost(tmp_path: Path, oracle: Row) -> None:
    assert "while training" in words(figures.evaluation(tmp_path / "a.svg", LOG, "$", [POLICY, oracle]))


def test_no_baseline_stands_beside_a_curve_of_other_settings(tmp_path: Path) -> None:
    """Its line would be of the evaluation's arrivals, the curve of the training's."""
    usual = words(figures.evaluation(tmp_path / "a.svg", LOG, "$", [POLICY, RULE]))
    other = words(figures.evaluation(tmp_path / "b.svg", LOG, "$", [POLICY, RULE, ORACLE], ["load is 1, here 2"]))
    assert "cost, on other arrivals" in usual and "cost, in other settings than the evaluation" in other
    assert not any("best baseline" in word or "gap" in word for word in usual | other)


def test_rows_that_may_cost_the_same_as_the_policy_are_hollow(tmp_path: Path) -> None:
    def against(sure: bool) -> set[str]:
        apart = Difference("dg-pg", 0.1, (-0.1, 0.3), 10.0, (-10.0, 30.0), sure)
        path = figures.evaluation(tmp_path / f"{sure}.svg", LOG, "$", [POLICY, replace(RULE, difference=apart)])
        return set(path.read_text().split('"'))

    grey = f"stroke: {figures.UNSURE}"
    assert any(grey in part for part in against(False)) and not any(grey in part for part in against(True))


def test_a_curve_has_the_colour_of_its_algorithm(tmp_path: Path) -> None:
    drawn = figures.evaluation(tmp_path / "a.svg", LOG, "$", [replace(POLICY, name="mappo"), RULE]).read_text()
    assert style.ALGORITHMS["mappo"] in drawn and style.ALGORITHMS["dg-pg"] not in drawn


def test_an_empty_log_is_drawn(tmp_path: Path) -> None:
    assert "evaluation, same arrivals" in words(figures.evaluation(tmp_path / "a.svg", [], "$", [POLICY, ORACLE]))


def test_the_moving_mean_looks_back_only() -> None:
    values = np.arange(60.0)
    assert figures.smooth(values) == pytest.approx([0.0, 0.5, *(t - 1.0 for t in range(2, 60))])
    assert figures.smooth(values[:5]) == pytest.approx(values[:5])


class Drawing:
    """What the cloud domain would draw."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], int]] = []

    def figures(self, config: Any, policies: Mapping[str, Policy], folder: Path, seed: int) -> Sequence[Path]:
        self.calls.append((list(policies), seed))
        figure, _ = figures.blank(1, 1)
        return [figures.save(figure, folder / "own.svg")]


def test_a_domain_draws_its_policies_with_the_trained_one_first(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawing = Drawing()
    monkeypatch.setattr(CloudDomain, "figures", lambda self, *args: drawing.figures(*args))
    dgpg("evaluate", run, "--episodes", 2, "--seed", 7)
    shown = capsys.readouterr().out
    dgpg("evaluate", run, "--episodes", 2, "--seed", 7, "--json")
    paths = [str(run / "evaluation.svg"), str(run / "own.svg")]
    assert all(f"figure: {path}" in shown for path in paths)
    assert json.loads(capsys.readouterr().out)["figures"] == paths
    (names, seed), again = drawing.calls
    assert (names, seed) == again and seed == 7
    assert names[0] == "dg-pg" and names[-1] == "untrained" and {"random", "join-shortest-queue"} <= set(names)
    rows = json.loads((run / "evaluation.json").read_text())["rows"]
    cost = {row["name"]: row["cost"] for row in rows if row["kind"] == "baseline" and row["information"] == "same"}
    told = [cost[name] for name in names if name in cost]
    assert len(told) > 3 and told == sorted(told)  # the cheapest first, so that no domain has to look for it


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConfigError("no such thing"), "cloud: no such thing"),
        (ZeroDivisionError("oh"), "cloud: ZeroDivisionError('oh')"),
    ],
)
def test_a_figure_that_fails_loses_no_table(
    run: Path, error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> Sequence[Path]:
        raise error

    monkeypatch.setattr(CloudDomain, "figures", fail, raising=False)
    dgpg("evaluate", run, "--episodes", 2)
    shown = capsys.readouterr().out
    assert f"no figures of domain {said}" in shown and "greedy-potential" in shown
    dgpg("evaluate", run, "--episodes", 2, "--json")
    written = capsys.readouterr()
    found = json.loads(written.out)
    assert found["results"] and found["figures"] == [str(run / "evaluation.svg")]
    assert f"no figures of domain {said}\n" == written.err


def test_without_matplotlib_one_line_says_what_to_install(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # what makes an import fail
    (run / "evaluation.svg").unlink(missing_ok=True)
    dgpg("evaluate", run, "--episodes", 2)
    assert "no figure: pip install 'dgpg[figures]'\n" in capsys.readouterr().out
    dgpg("evaluate", run, "--episodes", 2, "--json")
    written = capsys.readouterr()
    assert json.loads(written.out)["figures"] == [] and written.err == "no figure: pip install 'dgpg[figures]'\n"
    assert not (run / "evaluation.svg").exists()


def test_nothing_imports_matplotlib_before_a_figure_is_drawn() -> None:
    code = "import sys, dgpg.cli, dgpg_power.figures; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_folder_that_cannot_be_written_loses_no_table(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "evaluation.svg").unlink(missing_ok=True)
    (run / "evaluation.svg").mkdir()
    dgpg("evaluate", run, "--episodes", 2)
    (run / "evaluation.svg").rmdir()
    shown = capsys.readouterr().out
    assert "greedy-potential" in shown and f"no figure: cannot write {run / 'evaluation.svg'}" in shown
