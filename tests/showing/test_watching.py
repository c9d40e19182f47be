"""A run is watched by its folder alone; the rule beside it meets the arrivals that the training meets."""

import json
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from rich.console import Console

from dgpg.learning import RunConfig
from dgpg.measuring.alongside import Alongside, cheapest
from dgpg.measuring.evaluate import rules
from dgpg.runs import RunFolder, resolve
from dgpg.showing import watching

from ..commands import QUICK, metrics, ok, refused

CONFIG = RunConfig(domain="gone", algorithm="mappo", iterations=20)


def line(iteration: int, cost: float = 1.0) -> dict[str, float]:
    return {"iteration": iteration, "cost": cost, "wall_s": 2.0 * iteration, "entropy": 1.0 / iteration}


def test_sparks_by_hand() -> None:
    assert watching.spark([0.0, 1.0, 2.0, 7.0], 10) == "▁▂▃█"
    assert watching.spark([0.0, 2.0, 6.0, 8.0], 2) == "▁█" and watching.spark([3.0, 3.0], 9) == "▁▁"
    assert watching.spark([], 9) == "" and watching.spark([1.0, 0.0], 5, watching.ASCII) == "#_"
    assert len(watching.spark([float(k) for k in range(1000)], 60)) == 60


def test_time_left_is_that_of_the_last_iterations() -> None:
    slow = [line(k) for k in range(1, 4)] + [{**line(k), "wall_s": 6.0 + 10 * (k - 3)} for k in range(4, 14)]
    assert watching.seconds_left(slow, 20) == 70.0 and watching.seconds_left(slow[:2], 20) == 36.0
    assert watching.seconds_left([], 20) is None
    assert [watching.clock(x) for x in (3.2, 61.0, 7325.0)] == ["3 s", "1 min 1 s", "2 h 2 min"]


def test_what_is_said_of_a_run() -> None:
    assert watching.told(CONFIG, [], None, 5.0) == "no iteration yet; silent for 5 s"
    lines = [line(k, 1.1) for k in range(1, 5)]
    assert watching.told(CONFIG, lines, None, 5.0) == "iteration 4 of 20, cost 1.1000, 32 s left"
    assert watching.told(CONFIG, lines, None, 500.0).endswith("32 s left; silent for 8 min 20 s")
    assert watching.told(CONFIG.model_copy(update={"iterations": 4}), lines, None, 500.0).endswith("done")
    rule = Alongside.__new__(Alongside)
    rule.name, rule.costs = "best-fit", [1.0, 1.0, 1.0]
    assert "+10.0 % against best-fit on the same arrivals, iterations 1 to 3" in watching.told(CONFIG, lines, rule, 0.0)
    narrow = Console(width=60, force_terminal=True)
    with narrow.capture() as shown:
        narrow.print(watching.picture(CONFIG, lines, rule, 0.0, narrow))
    assert "entropy" in shown.get() and "best-fit" in shown.get() and "kl" not in shown.get()


def test_a_rule_meets_the_arrivals_of_the_training(tmp_path: Path) -> None:
    """With one candidate each nobody has a choice, so whoever decides has the training's costs, to its last digit."""
    run, one = tmp_path / "run", ["--set", "candidates=1", "--set", "num_agents=4", "--set", "horizon=8"]
    ok("train", "cloud", *one, *QUICK, "--iterations", 3, "--out", run)
    config = RunFolder.open(run)[1]
    plan = resolve("cloud", config.model_dump(mode="json"))
    among = rules(plan.domain, plan.config, plan.task.model, plan.task.env.device, 0)
    rule = Alongside(plan, next(one for one in among if one.information == "same"))
    costs = [rule.iterate() for _ in range(3)]
    assert costs == pytest.approx([one["cost"] for one in metrics(run)], rel=1e-6)
    other = cheapest(plan)
    assert other is not None and other.costs == pytest.approx(costs[:1], rel=1e-6)
    found = ok("watch", run, "--every", 0.1).out
    assert "iteration 3 of 3" in found and "+0.0 % against" in found and found.splitlines()[-1].endswith("done")


def test_the_page_is_served_as_the_run_is_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder.create(tmp_path / "run", CONFIG.model_copy(update={"iterations": 2}))
    folder.metrics.write_text(json.dumps(line(1)) + "\n")
    watched = threading.Thread(target=watching.watch, args=(folder.path, 0.1, False, 0), daemon=True)
    watched.start()
    told = ""
    while "http" not in told:
        told += capsys.readouterr().out
        time.sleep(0.05)
    address = told.split("page: ")[1].split()[0]
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(address) as answer:
        whole = answer.read().decode()
    assert "iteration 1 of 2" in whole and f'http-equiv="refresh" content="{watching.REFRESH}"' in whole
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(address + "config.json")
    with folder.metrics.open("a") as file:
        file.write(json.dumps(line(2)) + "\n")
    watched.join(20)
    assert not watched.is_alive() and "iteration 2 of 2" in capsys.readouterr().out
    folder.close()


def test_a_folder_without_a_run_is_one_message(tmp_path: Path) -> None:
    assert "no such run folder" in refused("watch", tmp_path / "nothing")
