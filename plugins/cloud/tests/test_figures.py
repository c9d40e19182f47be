"""Figures of a policy beside rules: of the episodes of an evaluation, and the same each time."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from dgpg.domain import Policy, SupportsFigures
from dgpg.errors import ConfigError
from dgpg.measuring import play
from dgpg_cloud import figures
from dgpg_cloud.baselines import baselines
from dgpg_cloud.config import Config
from dgpg_cloud.domain import domain
from dgpg_cloud.figures import _most
from dgpg_cloud.recording import record

from .made import CPU

SMALL = {"num_agents": 5, "horizon": 10}


def config(folder: Path | None) -> Config:
    if folder is None:
        return Config.model_validate(SMALL)
    rows = "".join(f"{20 * i},{100 + 40 * (i % 9)},{1 + i % 3},2\n" for i in range(400))
    (folder / "jobs.csv").write_text(f"submit,duration,cpu,memory_gib\n{rows}")
    return Config.model_validate({**SMALL, "workload": {"trace": folder / "jobs.csv"}})


def rules(config: Config) -> dict[str, Policy]:
    return {rule.name: rule for rule in baselines(config) if rule.information == "same"}


@pytest.mark.parametrize("trace", [False, True])
def test_a_recording_is_of_the_episodes_of_an_evaluation(tmp_path: Path, trace: bool) -> None:
    settings = config(tmp_path if trace else None)
    rule = rules(settings)["best-fit"]
    shown, found = record(settings, rule, 4, 3), play(domain, settings, rule, 4, 3, CPU)
    order = np.argsort([start or 0 for start in shown.starts], kind="stable")  # as a trace has them
    assert shown.cost.mean(0)[order] / 5 == pytest.approx(found.cost)
    assert shown.use.shape == (10, 4, 3)
    for r, name in enumerate(("use_vcpu", "use_memory", "use_slots")):
        assert shown.use[..., r].mean(0)[order] == pytest.approx(found.measures[name])
    assert shown.buffers.mean(0)[order] == pytest.approx(found.measures["waiting_buffers"])
    assert shown.queues.mean(0)[order] == pytest.approx(found.measures["waiting_queues"])
    assert shown.on.sum() == pytest.approx(found.measures["machines_on"].mean())
    assert (shown.starts == [None] * 4) != trace
    # Each run holds its vCPUs from its start to its finish: added up, what is in use in the first episode.
    held = np.zeros(10)
    for _, start, finish, vcpu in shown.runs:
        held[start : min(finish, 10)] += vcpu
    capacity = domain.make_env(settings, 1, CPU, 0).instance.capacity[:, 0].sum()
    assert held / capacity == pytest.approx(shown.use[:, 0, 0])
    assert 0 < shown.placed.sum() <= len(shown.wait)


@pytest.mark.parametrize("trace", [False, True])
def test_the_domain_draws_valid_svg_the_same_bytes_each_time(tmp_path: Path, trace: bool) -> None:
    pytest.importorskip("matplotlib", reason="figures need the extra figures")
    assert isinstance(domain, SupportsFigures)
    settings, made = config(tmp_path if trace else None), []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(domain.figures(settings, rules(settings), tmp_path / name, 1))
    names = ["use.svg", "waiting.svg", "types.svg", "machines.svg", *(["durations.svg"] if trace else [])]
    assert [path.name for path in made[0]] == names
    for one, two in zip(*made, strict=True):
        assert one.read_bytes() == two.read_bytes() and len(one.read_bytes()) < 2**18
        assert ET.fromstring(one.read_text()).tag.endswith("svg")


@pytest.mark.parametrize("trace", [False, True])
def test_the_best_rule_and_the_untrained_policy_stand_beside_it(
    tmp_path: Path, trace: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The untrained policy is no rule: it is shown, and never as the best one."""
    pytest.importorskip("matplotlib", reason="figures need the extra figures")
    settings, shown = config(tmp_path if trace else None), list[list[str]]()
    known = rules(settings)
    monkeypatch.setattr(figures, "use", lambda path, instance, played: shown.append(list(played)) or path)
    best = next(iter(known))
    among = {"dg-pg": known["random"], **known, figures.UNTRAINED: known[best]}
    domain.figures(settings, among, tmp_path, 1)
    assert shown == [["dg-pg", best, "untrained"]]


def test_a_policy_alone_has_nothing_beside_it(tmp_path: Path) -> None:
    settings = config(None)
    with pytest.raises(ConfigError, match=r"policies = \['random'\]: expected rules beside it"):
        domain.figures(settings, {"random": rules(settings)["random"]}, tmp_path, 1)


def test_what_is_not_shown_of_many_types_is_added_up() -> None:
    assert _most(np.arange(14.0)).tolist() == list(range(14))
    assert _most(np.arange(17.0)).tolist() == [*range(14), 14 + 15 + 16]
