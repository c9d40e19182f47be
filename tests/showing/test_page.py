"""The page of runs: what it says is what the folders hold, and nothing of theirs is taken for markup."""

import json
import math
import re
import resource
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dgpg.cli.asked import gathered
from dgpg.errors import RunError
from dgpg.learning import RunConfig
from dgpg.measuring import Difference, Row
from dgpg.measuring.kept import Kept, keep, kept
from dgpg.measuring.statistics import difference
from dgpg.runs import RunFolder, launch
from dgpg.showing import page
from dgpg.showing.page import charts, contents, tables
from dgpg.showing.page.page import render

from ..commands import TINY, ok, refused

COSTS = {0: (1.0, 2.0, 3.0, 4.0), 1: (1.5, 2.5, 3.5, 4.5), 2: (2.0, 2.0, 2.0, 2.0)}
NASTY = 'greedy "<img src=x onerror=alert(1)>" </script>'


def measured(seed: int, costs: tuple[float, ...]) -> Kept:
    against = difference(np.array(costs) + 1, np.array(costs), "mappo (stochastic)")
    rows = [
        Row("mappo", "policy", "same", "stochastic", float(np.mean(costs)), (1.0, 4.0), 4, {"waits": 0.5}, None, costs),
        Row(NASTY, "baseline", "same", None, float(np.mean(costs)) + 1, None, 4, {"waits": math.nan}, against, costs),
    ]
    return Kept("USD", 5, seed, 1, {"settings": {"n": 4}}, [], {}, rows, ["a note with <b>"])


def made(place: Path, seed: int, algorithm: str = "mappo", length: int = 5) -> Path:
    """The folder of a run of a domain that is not installed, with a log of costs seed + 1/iteration."""
    folder = RunFolder.create(place, RunConfig(domain="gone", algorithm=algorithm, seed=seed, iterations=5))
    lines = [
        {"iteration": k, "cost": seed + 1 / k, "agent_steps": 100 * k, "wall_s": 2.0 * k, "entropy": 1.0 - k / 10}
        for k in range(1, length + 1)
    ]
    folder.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    folder.close()
    return place


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Two seeds of one training, and another algorithm."""
    folders = [made(tmp_path / "a", 0), made(tmp_path / "b", 1), made(tmp_path / "c", 0, "ippo", 4)]
    for place, folder in enumerate(folders):
        keep(folder, measured(1, COSTS[place]))
    return folders


def test_an_evaluation_is_read_as_it_was_kept(tmp_path: Path) -> None:
    found = measured(1, COSTS[0])
    keep(tmp_path, found)
    again = kept(tmp_path)
    assert again is not None and math.isnan(again.rows[1].measures["waits"])
    assert again.rows[0] == found.rows[0] and again.rows[1].difference == found.rows[1].difference
    assert replace(again, rows=[]) == replace(found, rows=[])
    (tmp_path / "evaluation.json").write_text('{"unit": 3')
    with pytest.raises(RunError, match=r"is no evaluation .*make it anew: dgpg evaluate"):
        kept(tmp_path)


def test_runs_are_held_against_each_other_where_they_met_the_same_arrivals(three: list[Path]) -> None:
    runs = [contents.opened(path) for path in three]
    found, why_not = contents.together(runs)
    assert found is not None and why_not == ""
    apart = [row["difference"] and row["difference"]["cost"] for row in found["runs"]]
    assert apart == [None, pytest.approx(0.5), pytest.approx(-0.5)]  # means 2.5, 3 and 2
    assert [group["seeds"] for group in found["groups"]] == [2, 1]
    assert found["groups"][1]["difference"]["cost"] == pytest.approx(2.0 - 2.75)
    keep(three[1], measured(2, COSTS[1]))
    found, why_not = contents.together([contents.opened(path) for path in three])
    assert found is None and "met other arrivals" in why_not and f"dgpg compare {three[0]}" in why_not
    (three[1] / "evaluation.json").unlink()
    assert "not every run was evaluated" in contents.together([contents.opened(path) for path in three])[1]


def test_bands_reach_from_the_lowest_to_the_highest_seed(three: list[Path]) -> None:
    groups = contents.grouped([contents.opened(path) for path in three])
    drawn = charts.curves(groups, charts.named(groups), "USD")
    low, high, mean, other = drawn["cost"]["data"]
    assert low["y"] == pytest.approx([1 / k for k in range(1, 6)], rel=1e-6)
    assert high["y"] == pytest.approx([1 + 1 / k for k in range(1, 6)], rel=1e-6)
    assert mean["y"] == pytest.approx([0.5 + 1 / k for k in range(1, 6)], rel=1e-6) and len(other["y"]) == 4
    assert high["fill"] == "tonexty" and {low["legendgroup"], high["legendgroup"]} == {mean["legendgroup"]}
    assert (mean["name"], other["name"]) == ("mappo, 2 seeds", "ippo") and mean["line"] != other["line"]
    seconds = drawn["cost"]["layout"]["updatemenus"][0]["buttons"][2]
    assert seconds["label"] == "seconds" and seconds["args"][0]["x"][3] == [2, 4, 6, 8]
    assert set(drawn) == {"cost", "entropy"}  # what logs do not have has no chart


def test_a_long_curve_is_thinned_and_keeps_its_ends(tmp_path: Path) -> None:
    groups = [[contents.opened(made(tmp_path / "long", 0, length=5000))]]
    (line,) = charts.curves(groups, ["x"], "USD")["entropy"]["data"]
    assert len(line["x"]) == charts.POINTS and (line["x"][0], line["x"][-1]) == (1, 5000)


def test_nothing_of_a_folder_is_markup_and_nothing_is_loaded(three: list[Path]) -> None:
    whole = page.write(three).read_text()
    assert (three[0] / "compared.html").stat().st_size < 3_000_000
    script = re.sub(r'<script type="text/plain" id="plotly">.*?</script>', "", whole, flags=re.S)
    assert NASTY not in script and "greedy &#34;&lt;img" in script and "<b>a note" not in script
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//""", script) and "@import" not in script
    assert script.count("</script>") == script.count("<script") == 3  # two charts and ours


def test_a_page_of_three_runs_is_written_in_five_seconds(three: list[Path]) -> None:
    """From the command on; by a clock of work, as a test machine may be busy."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "dgpg", "report", *map(str, three)], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5


def test_a_verdict_on_the_model_is_on_the_page(three: list[Path]) -> None:
    assert f"was not measured: <code>dgpg check {three[0]}</code>" in page.write(three[:1]).read_text()
    (three[0] / "alignment.json").write_text('{"verdict": "may be trusted <here>", "advice": ""}')
    whole = page.write(three[:1]).read_text()
    assert "The model: may be trusted &lt;here&gt;" in whole and "was not measured" not in whole


def test_an_axis_of_differences_by_hand() -> None:
    def apart(percent: float, ends: tuple[float, float] | None, sure: bool) -> Difference:
        return Difference("p", 1.0, None, percent, ends, sure)

    on = tables.axis([None, apart(-20.0, None, True), apart(100.0, None, True)])
    assert (on.least, on.most) == (-26.0, 130.0) and (on.place(-26), on.place(130)) == (0, 100)
    zero = 100 * math.asinh(5.2) / (math.asinh(5.2) + math.asinh(26))
    assert on.place(0) == pytest.approx(zero) and [text for _, text in on.marks] == ["-10", "0", "+10", "+100"]
    mark = tables.whisker(apart(0.0, (-500.0, 500.0), False), "#0072b2", on)
    assert mark is not None and (mark.low, mark.high) == (0, 100) and mark.colour == tables.UNSURE
    assert tables.whisker(Difference("p", 1.0, None, None, None, None), "#0072b2", on) is None


def test_the_command_of_a_page_is_the_training(shared: Path, tmp_path: Path) -> None:
    run = contents.opened(shared)
    words = shlex.split(tables.command(run))
    assert words[:3] == ["dgpg", "train", "cloud"] and "--iterations" in words and "num_agents=4" in words
    options = dict(zip(words[3::2], words[4::2], strict=True))
    named = {key.removeprefix("--").replace("-", "_"): v for key, v in options.items() if key not in ("--set", "--out")}
    sets = [words[k + 1] for k, word in enumerate(words) if word == "--set"]
    asked, said = gathered("cloud", {**named, "device": "cpu"}, None, sets)
    again = launch.resolve(asked.pop("domain"), asked, said).run
    assert again == run.config
    shown = {one.name for one in tables.settings([run]) if one.said}
    assert shown == {"--iterations", "--num-envs", "num_agents", "horizon", "train.minibatches", "train.epochs"}


def test_an_evaluation_says_where_its_page_is(tmp_path: Path) -> None:
    run = tmp_path / "run"
    ok("train", "cloud", *TINY, "--out", run)
    found = ok("evaluate", run, "--episodes", 2)
    assert f"page: {run}/report.html" in found.out
    whole = render([contents.opened(run)])
    assert "least-requested" in whole and "dgpg evaluate" in whole and "picture-0-0" in whole
    again = ok("report", run, "--out", tmp_path / "page.html")
    assert again.out.strip() == str(tmp_path / "page.html") and (tmp_path / "page.html").exists()
    assert "no such run folder" in refused("report", tmp_path / "nothing")
    assert "there is no folder" in refused("report", run, "--out", tmp_path / "x" / "page.html")
