"""A run written to a folder, and the folder used without the environment it was trained in."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dgpg.deploy import Policy
from dgpg.domain import random
from dgpg.errors import RunError
from dgpg.export import export, verify, write
from dgpg.export.graph import Decide
from dgpg.runs import open_trained

from ..commands import ok, refused

needed = [pytest.importorskip(name, reason="needs the extra export") for name in ("onnx", "onnxscript", "onnxruntime")]
SMALL = {
    "cloud": ("--set", "num_agents=5", "--set", "horizon=8"),
    "power": ("--set", "network=case9", "--set", "horizon=6"),
    "traffic": ("--set", "network=braess", "--set", "agents_per_pair=3", "--set", "horizon=4"),
}
RUNS = {
    "choices": ("cloud", ()),
    "choices, networks of their own": ("cloud", ("--set", "train.parameters=independent")),
    "numbers": ("power", ()),
    "numbers that are drawn": ("power", ("--algorithm", "mappo", "--set", "train.distribution=gaussian")),
    "numbers, one network": ("power", ("--set", "train.parameters=shared")),
    "numbers drawn by beta": ("power", ("--algorithm", "mappo")),
    "splits": ("traffic", ()),
    "splits that are drawn": ("traffic", ("--algorithm", "ippo")),
}


@pytest.fixture(scope="module", params=RUNS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run and its export."""
    domain, options = RUNS[request.param]
    folder = tmp_path_factory.mktemp("export")
    ok("train", domain, *SMALL[domain], "--iterations", 2, "--num-envs", 2, *options, "--out", folder / "run")
    export(folder / "run", folder / "out", decisions=500)
    return folder / "run", folder / "out"


def test_agents_decide_as_they_did(both: tuple[Path, Path]) -> None:
    """Fresh episodes: all agents at once in torch, one by one and in any order from the file."""
    run, out = both
    trained, policy = open_trained(run, {}), Policy.load(out)
    graph = Decide(trained.team)
    env = trained.domain.make_env(trained.config, 3, torch.device("cpu"), random.derive(9, "fresh"))
    decision = env.reset()
    for _ in range(3):
        parameters = trained.team.policy(decision)
        actions = trained.team.kind.to_env(trained.team.kind.greedy(parameters))
        active = decision.observation.active.flatten()
        rows = {k: x[active].numpy() for k, x in graph.inputs(decision).items() if k != "noise"}
        right = actions.flatten(0, 1)[active].detach().numpy()
        np.testing.assert_allclose(policy.act(**rows), right, rtol=1e-5, atol=1e-5)
        order = np.random.default_rng(0).permutation(len(right))
        np.testing.assert_allclose(
            policy.act(**{k: x[order] for k, x in rows.items()}), right[order], rtol=1e-5, atol=1e-5
        )
        for row in range(0, len(right), 4):
            alone = policy.act(**{k: x[row] for k, x in rows.items()})
            np.testing.assert_allclose(alone, right[row], rtol=1e-5, atol=1e-5)
        decision = env.step(actions).decision


def test_a_draw_has_the_policy_s_distribution(both: tuple[Path, Path]) -> None:
    run, out = both
    trained, policy = open_trained(run, {}), Policy.load(out)
    graph = Decide(trained.team)
    env = trained.domain.make_env(trained.config, 1, torch.device("cpu"), 5)
    decision = env.reset()
    first = int(decision.observation.active.flatten().nonzero()[0])
    row = {k: x[first].numpy() for k, x in graph.inputs(decision).items() if k != "noise"}
    many = {k: np.repeat(x[None], 4000, 0) for k, x in row.items()}
    if graph.chance == "elsewhere":
        with pytest.raises(ValueError, match="leave rng out for its mean"):
            policy.act(**many, rng=np.random.default_rng(0))
        return
    drawn = policy.act(**many, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, policy.act(**many, rng=np.random.default_rng(0)))
    noise = torch.rand(
        4000, *(trained.domain.make_env(trained.config, 1, torch.device("cpu"), 5).action_space.shape or ())[1:]
    )
    parameters = trained.team.policy(decision)[0, first].expand(4000, *trained.team.policy(decision).shape[2:])
    if graph.kind == "choice":
        expected = parameters[0].exp().detach().numpy()
        found = np.bincount(drawn, minlength=len(expected)) / 4000
        assert np.abs(found - expected).max() < 0.04
        np.testing.assert_allclose(policy.log_probability(**row), parameters[0].detach(), rtol=1e-5, atol=1e-5)
    else:
        sampled = trained.team.kind.sample(parameters, noise).detach()
        which = torch.full((4000,), first)
        right = graph._units(sampled, which).numpy()
        np.testing.assert_allclose(drawn.mean(0), right.mean(0), atol=0.05 * (np.ptp(right) + 1e-6))
        np.testing.assert_allclose(drawn.std(0), right.std(0), atol=0.05 * (np.ptp(right) + 1e-6))


def test_the_file_says_what_it_is(both: tuple[Path, Path]) -> None:
    run, out = both
    told, trained = json.loads((out / "policy.json").read_text()), open_trained(run, {})
    assert told.pop("sha256") and told == Policy.load(out).description
    assert told["domain"] == trained.run.domain and told["iteration"] == 2 and told["compared"]["decisions"] >= 500
    assert all(one["name"] and one["low"] <= one["high"] for of in told["inputs"].values() for one in of)
    page = (out / "README.md").read_text()
    assert all(f"`{name}`" in page for name in told["arrays"])
    assert all(one["name"] in page for of in told["inputs"].values() for one in of)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the cloud domain."""
    folder = tmp_path_factory.mktemp("cloud") / "run"
    ok("train", "cloud", *SMALL["cloud"], "--iterations", 1, "--num-envs", 2, "--out", folder)
    return folder


def test_it_opens_where_torch_and_dgpg_are_not(cloud: Path, tmp_path: Path) -> None:
    export(cloud, tmp_path / "out", decisions=200)
    said = """
import sys
for name in ("torch", "dgpg", "gymnasium", "scipy"):
    sys.modules[name] = None
import json, numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
told = json.loads(session.get_modelmeta().custom_metadata_map["dgpg"])
size = {"R": 3, "K": 6}
rows = {name: np.ones([size.get(s, s) for s in of[1:]], of[0]) for name, of in told["arrays"].items()}
print(session.run(["greedy"], rows)[0].tolist(), sorted(told["inputs"]))
"""
    ran = subprocess.run([sys.executable, "-c", said, tmp_path / "out" / "policy.onnx"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[0, 0, 0] ['agent', 'choices']"  # what looks alike is worth the same: the first


def test_deploy_needs_neither_torch_nor_the_plugin(cloud: Path, tmp_path: Path) -> None:
    export(cloud, tmp_path / "out", decisions=200)
    said = (
        "import sys; from dgpg.deploy import Policy; policy = Policy.load(sys.argv[1]); "
        "print(sorted(m for m in ('torch', 'dgpg_cloud', 'gymnasium', 'pydantic', 'scipy') if m in sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", said, tmp_path / "out"], capture_output=True, text=True)
    assert ran.returncode == 0 and ran.stdout.strip() == "[]", ran.stderr


def test_a_policy_that_differs_is_not_written(cloud: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = write._session

    class Off:
        """A runtime that takes features for their squares."""

        def __init__(self, model: bytes) -> None:
            self.right = session(model)

        def run(self, names: list[str], rows: dict[str, Any]) -> Any:
            return self.right.run(names, rows | {"choices": np.square(rows["choices"])})

    monkeypatch.setattr(write, "_session", Off)
    with pytest.raises(RunError, match="differs from torch: log_probability in recorded decision 0 is"):
        export(cloud, tmp_path / "out", decisions=200)
    assert not (tmp_path / "out").exists()


def test_differences_by_hand() -> None:
    right = np.array([[1.0, 100.0], [0.0, -np.inf], [0.0, np.inf]])
    got = np.array([[1.1, 100.0], [0.001, -np.inf], [0.0, 1.0]])
    np.testing.assert_allclose(verify.difference(right, got, np.array([10.0, 1.0, 1.0])), [0.01, 0.001, np.inf])


def test_sizes_are_the_largest_logit_that_counts(cloud: Path) -> None:
    graph = Decide(open_trained(cloud, {}).team)
    rows = {"agent": torch.rand(3, 5), "choices": torch.rand(3, 4, 18), "mask": torch.ones(3, 4, dtype=torch.bool)}
    rows["mask"][1, 1:] = False
    raw = torch.tensor([[-7.0, 2, 3, 4], [0.5, 9, 9, 9], [0, 0, 0, 2]])
    graph.raw = lambda *_: raw  # type: ignore[method-assign]
    assert verify.size(graph, rows).tolist() == [7.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("apart", "choice", "good"),
    [(0.0, 1, True), (1e-5, 1, True), (1e-4, 1, False), (0.0, 2, False), (0.0, 3, False), (0.0, -1, False)],
)
def test_of_two_that_are_worth_the_same_either_may_be_chosen(apart: float, choice: int, good: bool) -> None:
    """Choices 0 and 1 are `apart`; 2 is not allowed, 3 is none."""
    logs = np.log(np.array([[0.5, 0.5, 1.0]])) - [[0.0, apart, np.inf]]
    assert verify.as_good(logs, np.array([choice]), 1e-5, None).tolist() == [good]


@pytest.mark.parametrize(
    ("noise", "choice", "good"),
    [
        (0.3, 1, True),
        (0.3 - 1e-6, 1, True),
        (0.3 - 1e-3, 1, False),
        (0.3 + 1e-6, 0, True),
        (0.9, 1, True),
        (0.9, 2, False),
    ],
)
def test_a_draw_at_the_edge_may_fall_to_either_side(noise: float, choice: int, good: bool) -> None:
    logs = np.log(np.array([[0.3, 0.7, 1e-300]]))
    logs[0, 2] = -np.inf
    assert verify.as_good(logs, np.array([choice]), 1e-5, np.array([noise])).tolist() == [good]


def test_a_sharp_policy_is_exported(cloud: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits a thousand times as far apart have a rounding a thousand times as large."""
    opened = write.open_trained

    def sharpened(run: Path, overrides: Any) -> Any:
        trained = opened(run, overrides)
        with torch.no_grad():
            list(trained.team.actor.parameters())[-2].mul_(3e4)
        return trained

    monkeypatch.setattr(write, "open_trained", sharpened)
    told = export(cloud, tmp_path / "out", decisions=1000).description["compared"]
    assert told["largest_difference"] <= 1e-5
    policy = Policy.load(tmp_path / "out")
    rng = np.random.default_rng(0)
    logs = policy.log_probability(rng.random((50, 5)), rng.random((50, 4, 18)))
    assert logs.min() < -100


def test_wrong_folders_are_told(cloud: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for out, said in (("file", "a file of that name exists"), ("full", "holds other things than an export")):
        assert said in refused("export", cloud, "--out", tmp_path / out)
    assert "expected onnx or pt2" in refused("export", cloud, "--out", tmp_path / "new", "--format", "onxx")
    assert "nothing" in refused("export", tmp_path / "nothing", "--out", tmp_path / "new")
    ok("export", cloud, "--out", tmp_path / "out", "--decisions", 100, "--format", "pt2")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"policy.onnx", "policy.json", "README.md", "policy.pt2"}
    ok("export", cloud, "--out", tmp_path / "out", "--decisions", 100)  # an export may be written anew
    assert not (tmp_path / "out" / "policy.pt2").exists()  # it was of the earlier one
    (tmp_path / "out" / "README.md").write_text("mine")
    assert "a README.md of its own" in refused("export", cloud, "--out", tmp_path / "out")
    assert (tmp_path / "out" / "README.md").read_text() == "mine"
