"""What an exported policy is given by an operator who is wrong, or knows names alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgpg.deploy import Policy
from dgpg.errors import DataError, DecisionError

from ..commands import ok

for _name in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(_name, reason="needs the extra export")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of the cloud domain."""
    made = tmp_path_factory.mktemp("policy")
    sets = ("--set", "num_agents=5", "--set", "horizon=8")
    ok("train", "cloud", *sets, "--iterations", 1, "--num-envs", 2, "--out", made / "run")
    ok("export", made / "run", "--out", made / "out", "--decisions", 200)
    return made / "out"


@pytest.fixture(scope="module")
def policy(folder: Path) -> Policy:
    return Policy.load(folder)


def given(policy: Policy, rows: int = 3, choices: int = 4) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    width = {name: len(features) for name, features in policy.features.items()}
    return {"agent": rng.random((rows, width["agent"])), "choices": rng.random((rows, choices, width["choices"]))}


def test_by_name_is_by_place(policy: Policy) -> None:
    rows = given(policy)
    named = {
        part: {name: x[..., n] for n, name in reversed(list(enumerate(policy.features[part])))}
        for part, x in rows.items()
    }
    assert policy.act(**named).tolist() == policy.act(**rows).tolist()
    one = {name: float(x[0]) for name, x in named["agent"].items()}
    choices = {name: x[0] for name, x in named["choices"].items()}
    assert policy.act(one, choices) == policy.act(**rows)[0]


def test_any_number_of_choices_and_what_is_allowed(policy: Policy) -> None:
    for choices in (1, 2, 9, 300):
        rows = given(policy, 2, choices)
        assert (policy.act(**rows) < choices).all()
        mask = np.zeros((2, choices), bool)
        mask[:, choices - 1] = True
        assert (policy.act(**rows, mask=mask) == choices - 1).all()
        told = policy.log_probability(**rows, mask=mask)
        assert (told[:, -1] == 0).all() and (told[:, :-1] == -np.inf).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"agent": [1.0, 2.0]}, r"agent: expected \[R, 5\]"),
        ({"agent": "much"}, "agent: not an array of numbers"),
        ({"agent": 3.0}, r"agent: expected \[R, 5\].*, got one number"),
        ({"agent": {"job vCPU": 1.0}}, "agent: job memory, job steps, backlog, load missing"),
        ({"choices": None}, "choices: nothing is given"),
        ({"choices": np.ones((2, 4, 18))}, "choices: expected"),
        ({"choices": np.full((3, 4, 18), np.nan)}, "choices: 'free vCPU' of row 0 is nan, expected a finite number"),
        ({"mask": np.ones((3, 5), bool)}, "mask: expected"),
        ({"mask": np.zeros((3, 4), bool)}, "mask: nothing is allowed in row 0"),
        ({"mask": np.full((3, 4), 0.5)}, "mask: expected true or false"),
        ({"index": [0, 1, 2]}, "index: given, but all agents share one network"),
        ({"agent": None}, "agent: not an array of numbers"),
        ({"agent": np.ones((3, 5), complex)}, "agent: not an array of numbers"),
        ({"choices": np.ones((3, 0, 18))}, "choices: there are none"),
        ({"mask": [[True], [True, False], [True]]}, "mask: expected true or false"),
        ({"rng": 0}, "rng: expected a numpy Generator"),
    ],
)
def test_a_mistake_is_one_message(policy: Policy, change: dict[str, Any], said: str) -> None:
    with pytest.raises(DecisionError, match=said):
        policy.act(**{**given(policy), **change})


def test_a_value_of_an_agent_is_not_taken_for_one_of_its_choices(policy: Policy) -> None:
    """Three agents with three choices each: a price a choice must have a row an agent."""
    rows = given(policy, 3, 3)
    named = {name: rows["choices"][..., n] for n, name in enumerate(policy.features["choices"])}
    with pytest.raises(DecisionError, match=r"features of several shapes.*'price' \[3\]"):
        policy.act(rows["agent"], named | {"price": np.ones(3)})
    with pytest.raises(DecisionError, match="choices: 'price': not an array of numbers"):
        policy.act(rows["agent"], named | {"price": "much"})
    assert policy.act(rows["agent"], named | {"price": 1.0}).shape == (3,)


def test_what_no_episode_showed_is_told(policy: Policy) -> None:
    inputs = policy.description["inputs"]
    inside = {part: np.array([f["low"] for f in of], np.float32) for part, of in inputs.items()}
    far = inside["agent"].copy()
    far[1] = 1e6
    choices = inside["choices"][None]
    assert not policy.outside(inside["agent"], choices)["agent"].any()
    assert policy.outside(far, choices)["agent"].tolist() == [False, True, False, False, False]


def test_files_that_are_no_export(tmp_path: Path, folder: Path) -> None:
    import onnx

    with pytest.raises(DataError, match="no such file"):
        Policy.load(tmp_path)
    (tmp_path / "policy.onnx").write_bytes(b"not onnx")
    with pytest.raises(DataError, match="not a readable ONNX file"):
        Policy.load(tmp_path)
    model = onnx.load(folder / "policy.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "policy.onnx")
    with pytest.raises(DataError, match="none that `dgpg export` wrote"):
        Policy.load(tmp_path)
    assert json.loads((folder / "policy.json").read_text())["format"] == 1
    (tmp_path / "policy.json").write_text((folder / "policy.json").read_text())
    with pytest.raises(DataError, match=r"not the file that .*policy\.json is about"):
        Policy.load(tmp_path)
    (tmp_path / "policy.json").unlink()
    for text, said in (("[]", "none that"), ("not json", "none that"), ('{"format": 9}', "none that")):
        model.metadata_props.add(key="dgpg", value=text)
        onnx.save(model, tmp_path / "policy.onnx")
        with pytest.raises(DataError, match=said):
            Policy.load(tmp_path)
        del model.metadata_props[:]
    told = Policy.load(folder).description
    model.metadata_props.add(key="dgpg", value=json.dumps({**told, "format": 99}))
    onnx.save(model, tmp_path / "policy.onnx")
    with pytest.raises(DataError, match="format 99, this dgpg reads 1"):
        Policy.load(tmp_path)
    with pytest.raises(DataError, match="threads: expected a whole number"):
        Policy.load(folder, threads="2")  # type: ignore[arg-type]
