"""Agents that speak before they act: the three files say and do what training computes for all of them together."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dgpg.deploy import Policy, agree, totals
from dgpg.domain import random
from dgpg.errors import ConfigError, DataError, DecisionError
from dgpg.export import export
from dgpg.export.speaking import Announce, known
from dgpg.runs import open_trained

from ..commands import ok

needed = [pytest.importorskip(name, reason="needs the extra export") for name in ("onnx", "onnxscript", "onnxruntime")]
SMALL = ("--set", "num_agents=5", "--set", "horizon=8", "--iterations", 2, "--num-envs", 2)
RUNS = {
    "a network": ("--set", "coordination.rounds=2"),
    "mirror descent": ("--algorithm", "mirror-descent", "--set", "coordination.rounds=3"),
}


@pytest.fixture(scope="module", params=RUNS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run and its export."""
    folder = tmp_path_factory.mktemp("speaking")
    ok("train", "cloud", *SMALL, *RUNS[request.param], "--out", folder / "run")
    told = export(folder / "run", folder / "out", decisions=300).description
    assert told["compared"]["decisions"] >= 300 and told["compared"]["largest_difference"] <= 1e-5
    return folder / "run", folder / "out"


def asked(run: Path, seed: int, moments: int) -> tuple[dict[str, Any], dict[str, Any], np.ndarray, np.ndarray]:
    """What agents that act see and know, which moment they are in, and what they do in torch."""
    trained = open_trained(run, {})
    env = trained.domain.make_env(trained.config, moments, torch.device("cpu"), random.derive(seed, "fresh"))
    decision = env.reset()
    with torch.no_grad():
        for _ in range(3):
            policy = trained.team.policy(decision)
            before, decision = decision, env.step(trained.team.kind.greedy(policy)).decision
    active = before.observation.active.flatten()
    rows = {name: x[active].numpy() for name, x in known(Announce(trained.team), trained.team, before).items()}
    seen = {name: rows.pop(name) for name in ("agent", "choices", "mask")}
    moment = torch.arange(moments).repeat_interleave(env.num_agents)[active].numpy()
    return seen, rows, moment, policy.argmax(-1).flatten()[active].numpy()


def test_together_they_do_what_training_made_them_do(both: tuple[Path, Path]) -> None:
    run, out = both
    seen, places, moment, right = asked(run, 3, 40)
    assert len(right) > 60 and len(set(right)) > 1
    assert agree(Policy.load(out), seen, places, moment).tolist() == right.tolist()


def test_one_agent_says_and_does_what_it_does_among_many(both: tuple[Path, Path]) -> None:
    run, out = both
    policy, (seen, places, moment, _) = Policy.load(out), asked(run, 4, 6)
    every = policy.announce(**seen, places=places)
    heard = totals(places["block"], every.said, policy.rounds()["blocks"], moment)
    again = policy.hear(**seen, places=places, last=every.announced, heard=heard)
    done = policy.decide(**seen, places=places, last=again.announced, heard=heard)
    for row in range(0, len(moment), 5):
        own, mine = ({name: x[row] for name, x in part.items()} for part in (seen, places))
        words = policy.announce(**own, places=mine)
        np.testing.assert_allclose(words.said, every.said[row], rtol=1e-5, atol=1e-5)
        words = policy.hear(**own, places=mine, last=words.announced, heard=heard[row])
        np.testing.assert_allclose(words.announced, again.announced[row], rtol=1e-4, atol=1e-4)
        assert policy.decide(**own, places=mine, last=words.announced, heard=heard[row]) == done[row]


def test_what_is_said_matters(both: tuple[Path, Path]) -> None:
    """Who hears that everybody comes to its first choice thinks again."""
    run, out = both
    policy, (seen, places, moment, _) = Policy.load(out), asked(run, 5, 30)
    words = policy.announce(**seen, places=places)
    heard = totals(places["block"], words.said, policy.rounds()["blocks"], moment)
    quiet = policy.decide(**seen, places=places, last=words.announced, heard=heard)
    crowd, at = heard.copy(), np.arange(len(quiet))
    crowd[at, quiet] += 20 * places["value"].max((0, 1, 2)).tolist()[0] * np.ones(crowd.shape[-1], np.float32)
    loud = policy.decide(**seen, places=places, last=words.announced, heard=crowd)
    assert (loud != quiet).mean() > 0.3


def test_totals_by_hand() -> None:
    """Agents 0 and 1 are in one moment, 2 in another; both of the first touch block 1."""
    block = np.array([[[0], [1]], [[1], [2]], [[1], [0]]])
    said = np.array([[[[1.0]], [[2.0]]], [[[10.0]], [[20.0]]], [[[5.0]], [[7.0]]]])
    heard = totals(block, said, 3, [0, 0, 1])
    assert heard[..., 0, 0].tolist() == [[1, 12], [12, 20], [5, 7]]
    with pytest.raises(DecisionError, match="block: expected numbers from 0 to 1"):
        totals(block, said, 2)


def test_mistakes_are_told(both: tuple[Path, Path], tmp_path: Path) -> None:
    run, out = both
    policy, (seen, places, _, _) = Policy.load(out), asked(run, 6, 2)
    with pytest.raises(DecisionError, match="speak before they act: call announce, hear and decide"):
        policy.act(**seen)
    with pytest.raises(DecisionError, match="places: here missing; expected block, here, value"):
        policy.announce(**seen, places={name: x for name, x in places.items() if name != "here"})
    with pytest.raises(DecisionError, match=r"value: expected \[R, 5, 1, 4\]"):
        policy.announce(**seen, places={**places, "value": places["value"][..., :2]})
    for name in ("policy.onnx", "policy.json"):
        (tmp_path / name).write_bytes((out / name).read_bytes())
    with pytest.raises(DataError, match=r"announce\.onnx: no such file"):
        Policy.load(tmp_path)
    (tmp_path / "announce.onnx").write_bytes((out / "hear.onnx").read_bytes())
    with pytest.raises(DataError, match=r"announce\.onnx: damaged, or of another export"):
        Policy.load(tmp_path)


def test_the_page_says_how_they_speak(both: tuple[Path, Path]) -> None:
    _, out = both
    page, told = (out / "README.md").read_text(), Policy.load(out).rounds()
    assert f"{told['count']} rounds" in page and "`announce.onnx`" in page and "`heard`" in page


def test_what_no_file_holds_is_refused(both: tuple[Path, Path]) -> None:
    team = open_trained(both[0], {}).team
    with pytest.raises(ConfigError, match="its model is no sum over blocks"):
        Announce(replace(team, rounds=replace(team.rounds, model=object())))  # type: ignore[type-var]
    with pytest.raises(ConfigError, match="speaks in rounds about numbers or splits"):
        Announce(replace(team, kind="numbers"))  # type: ignore[arg-type]
