"""Calls and answers in the JSON of `k8s.io/kube-scheduler/extender/v1`, and eleven levels."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dgpg.errors import DecisionError

pytest.importorskip("msgspec", reason="the extra `kubernetes` is not installed")

from dgpg_cloud.kubernetes.levels import levels
from dgpg_cloud.kubernetes.protocol import Call

from .objects import node, pod


def body(nodes: list[Any] | None = None, names: list[str] | None = None) -> bytes:
    """As Go writes `ExtenderArgs`: both fields stand there, one is null."""
    listed = None if nodes is None else {"metadata": {}, "items": nodes}
    return json.dumps({"Pod": pod("p"), "Nodes": listed, "NodeNames": names}).encode()


def test_names_come_from_either_field() -> None:
    assert Call(body(names=["a", "b"])).names == ["a", "b"]
    call = Call(body([node("a"), node("b")]))
    assert call.names == ["a", "b"]
    assert call.pod["metadata"]["name"] == "p"
    empty = Call(b'{"Pod": {}, "Nodes": {"metadata": {}, "items": null}, "NodeNames": null}')
    assert empty.names == [] and Call(body(names=[])).names == []


def test_a_filter_by_name_answers_by_name() -> None:
    found = json.loads(Call(body(names=["a", "b"])).filtered({"b": "too small"}))
    assert found == {
        "Nodes": None,
        "NodeNames": ["a"],
        "FailedNodes": {},
        "FailedAndUnresolvableNodes": {"b": "too small"},
        "Error": "",
    }


@pytest.mark.parametrize("impossible", [{}, {"b": "too small"}])
def test_a_filter_of_whole_nodes_gives_them_back_as_they_came(impossible: dict[str, str]) -> None:
    nodes = [node("a", labels={"x": "ü"}), node("b"), node("c")]
    found = json.loads(Call(body(nodes)).filtered(impossible))
    assert found["NodeNames"] is None and found["FailedAndUnresolvableNodes"] == impossible
    assert found["Nodes"] == {"metadata": {}, "items": [x for x in nodes if x["metadata"]["name"] not in impossible]}


def test_priorities_are_hosts_with_scores() -> None:
    found = Call(body(names=["a", "b"])).prioritised(np.array([10, 0]))
    assert json.loads(found) == [{"Host": "a", "Score": 10}, {"Host": "b", "Score": 0}]


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"[]",
        b"{",
        b'{"Pod": {"a": ' + b"[" * 200_000,
        b'{"pod": {}}',
        b'{"Pod": 1}',
        b'{"Pod": {}, "NodeNames": [1]}',
        b'{"Pod": {}, "Nodes": 1}',
    ],
)
def test_what_kube_scheduler_does_not_send_is_refused_in_one_message(sent: bytes) -> None:
    with pytest.raises(DecisionError, match=r"^ExtenderArgs: .*expected the JSON that kube-scheduler sends"):
        Call(sent)


def test_levels_by_hand() -> None:
    preference = np.array([0.0, -1.0, 5.0, 4.0, 3.0, 2.0, 1.0, -np.inf])
    #              ranks:  5     6    0    1    2    3    4
    assert levels(preference).tolist() == [7, 7, 10, 9, 8, 8, 7, 0]
    assert levels(np.array([])).tolist() == []
    assert levels(np.full(2, -np.inf)).tolist() == [0, 0]
    assert np.bincount(levels(np.arange(1200.0))).tolist() == [688, 256, 128, 64, 32, 16, 8, 4, 2, 1, 1]


@given(arrays(np.float32, st.integers(1, 300), elements=st.floats(-50, 0, width=32)))
def test_the_best_node_alone_has_ten_and_order_is_kept(preference: np.ndarray) -> None:
    found = levels(preference)
    assert found.argmax() == preference.argmax() and (found == 10).sum() == 1
    worse = preference[:, None] < preference[None]
    assert not (worse & (found[:, None] > found[None])).any()
    assert found.min() >= 0
