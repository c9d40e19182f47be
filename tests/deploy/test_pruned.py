"""A file without some outputs answers the rest to the last bit, and asks for no more than they need."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgpg.deploy.pruned import keeping

for _name in ("onnx", "onnxruntime"):
    pytest.importorskip(_name, reason="needs the extra export")


def model() -> bytes:
    """y = relu(x) + w and z = x * noise, with fields of every wire type and a name of more than 127 bytes."""
    from onnx import TensorProto, helper, numpy_helper

    long = "w" * 300
    value = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "noise", "y", "z")}
    nodes = [
        helper.make_node("LeakyRelu", ["x"], ["positive"], alpha=0.25),
        helper.make_node("Add", ["positive", long], ["y"]),
        helper.make_node("Mul", ["x", "noise"], ["product"]),
        helper.make_node("Mul", ["product", "scale"], ["z"]),
    ]
    weights = [numpy_helper.from_array(np.array([x], np.float32), name) for name, x in ((long, 3.0), ("scale", 2.0))]
    graph = helper.make_graph(nodes, "g", [value["x"], value["noise"]], [value["y"], value["z"]], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    entry = made.metadata_props.add()
    entry.key, entry.value = "dgpg", "told"
    found: bytes = made.SerializeToString()
    return found


def session(content: bytes) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("kept", "inputs", "weights"), [(["y"], ["x"], 1), (["z"], ["x", "noise"], 1), (["y", "z"], ["x", "noise"], 2)]
)
def test_what_is_kept_is_what_outputs_need(kept: list[str], inputs: list[str], weights: int) -> None:
    import onnx

    whole, content = model(), keeping(model(), kept)
    found = onnx.load_model_from_string(content)
    onnx.checker.check_model(found)
    assert [one.name for one in found.graph.input] == inputs
    assert [one.name for one in found.graph.output] == kept
    assert (len(found.graph.node), len(found.graph.initializer)) == (2 * len(kept), weights)
    told = {"x": np.array([-1.0, 2.0], np.float32), "noise": np.array([3.0, 4.0], np.float32)}
    right = session(whole).run(kept, told)
    got = session(content).run(None, {name: told[name] for name in inputs})
    assert [x.tolist() for x in got] == [x.tolist() for x in right]
    assert session(content).get_modelmeta().custom_metadata_map == {"dgpg": "told"}


def test_a_file_with_all_its_outputs_stays_as_it_is() -> None:
    assert keeping(model(), ["y", "z"]) == model()


def test_a_policy_decides_the_same_with_and_without_what_a_draw_needs(tmp_path: Path) -> None:
    """Greedy choices of all of them, of the file as other programs open it."""
    from dgpg.deploy import Policy

    from ..commands import ok

    ok("train", "cloud", "--set", "num_agents=5", "--set", "horizon=8", "--iterations", 1, "--out", tmp_path / "run")
    ok("export", tmp_path / "run", "--out", tmp_path / "out", "--decisions", 200)
    policy, file = Policy.load(tmp_path / "out"), session((tmp_path / "out" / "policy.onnx").read_bytes())
    rng = np.random.default_rng(0)
    width = {name: len(features) for name, features in policy.features.items()}
    for choices in (1, 7, 2000):  # in buffers, and too many for them
        agent = rng.standard_normal((9, width["agent"]), np.float32)
        of = rng.standard_normal((9, choices, width["choices"]), np.float32)
        told = {"agent": agent, "choices": of, "mask": np.ones((9, choices), bool), "noise": np.zeros(9, np.float32)}
        greedy, logs = file.run(["greedy", "log_probability"], told)
        for _ in range(2):
            assert policy.act(agent, of).tolist() == greedy.tolist()
            assert np.array_equal(policy.log_probability(agent, of), logs)
