"""Networks as pictures: where nodes lie, what moves, and one colour for one algorithm."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dgpg.learning.algorithms import ALGORITHMS
from dgpg.showing import maps, style

graph_objects = pytest.importorskip("plotly.graph_objects")
TAIL, HEAD = np.array([0, 1, 2, 3, 0]), np.array([1, 3, 0, 2, 3])
"""A diamond with one of its diagonals."""
NOWHERE = np.full((4, 2), np.nan)


def test_nodes_without_coordinates_lie_as_far_apart_as_links_lead() -> None:
    place, note = maps.placed(NOWHERE, TAIL, HEAD)
    far, near = (np.linalg.norm(place[a] - place[b]) for a, b in ((1, 2), (0, 1)))
    assert far > 1.2 * near and "no coordinates" in note and np.isfinite(place).all()
    assert np.ptp(place[:, 0]) == 1 >= np.ptp(place[:, 1])  # the longer side lies flat


def test_a_node_that_nothing_joins_is_placed_too() -> None:
    place, _ = maps.placed(np.full((5, 2), np.nan), TAIL, HEAD)
    assert np.isfinite(place).all()
    alone, _ = maps.placed(np.full((1, 2), np.nan), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert alone.tolist() == [[0, 0]]


def test_coordinates_of_the_source_keep_their_proportions() -> None:
    known = np.array([[2.0, 10.0], [4.0, 10.0], [2.0, 14.0], [3.0, 11.0]])
    place, note = maps.placed(known, TAIL, HEAD)
    assert note == "" and place == pytest.approx((known - [2, 10]) / 4)


@pytest.fixture
def whole(tmp_path: Path) -> dict:
    lines = np.array([[[0, 0], [4, 0]], [[4, 0], [4, 1]], [[0, 0], [0, 1]]], float)
    load = np.array([[0.05, 0.5, 1.7], [1.0, 0.1, 0.0]])
    path = maps.moving(tmp_path / f"x{maps.MOVING}", lines, load, ["one", "two"], "flow over capacity", "title")
    found: dict = json.loads(path.read_text())
    return found


def test_links_move_through_their_classes(whole: dict) -> None:
    first, second = (
        [one["x"] if one["x"] != [None] else [] for one in frame["data"]] for frame in whole["frames"]
    )  # fmt: skip
    middle, wide, last = [2000, 2000, None], [0, 2000, None], [0, 0, None]
    assert first == [[], [], middle, [], [], last]  # 0.05 is less than the first class: the street alone
    assert second == [middle, [], [], [], [], wide]
    assert [trace["x"] if trace["x"] != [None] else [] for trace in whole["data"][2:]] == first
    assert whole["data"][0]["x"] == [*wide, *middle, *last]  # all streets, which do not move
    assert [frame["name"] for frame in whole["frames"]] == ["one", "two"]
    assert [step["args"][0] for step in whole["layout"]["sliders"][0]["steps"]] == [["one"], ["two"]]


def test_plotly_knows_all_that_a_moving_picture_says(whole: dict) -> None:
    figure = graph_objects.Figure(**whole)  # a wrong name or value raises
    assert len(figure.frames) == 2 and len(figure.data) == 2 + len(style.LOADS)
    colours = [trace.line.color for trace in figure.data[2:]]
    assert colours == [shade for _, shade, _ in style.LOADS]
    scale = figure.data[1].marker.colorscale
    assert [shade for _, shade in scale] == [shade for shade in colours for _ in "ab"]
    assert all(a <= b for (a, _), (b, _) in pairwise(scale)) and (scale[0][0], scale[-1][0]) == (0, 1)
    assert scale[-2][0] * style.LOAD == pytest.approx(1.0)


def test_of_many_links_the_fullest_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "LINKS", 2)
    lines = np.arange(12.0).reshape(3, 2, 2)
    load = np.array([[0.9, 0.2, 0.5]])
    found = json.loads(maps.moving(tmp_path / "x", lines, load, ["now"], "", "").read_text())
    assert sum(len(one["x"]) // 3 for one in found["frames"][0]["data"]) == 2
    assert len(found["data"][0]["x"]) == 9


def test_every_algorithm_has_a_colour_of_its_own() -> None:
    assert set(style.ALGORITHMS) == set(ALGORITHMS)
    assert len(set(style.ALGORITHMS.values())) == len(ALGORITHMS)
    assert not set(style.ALGORITHMS.values()) & {style.COLOURS[kind] for kind in ("baseline", "oracle", "untrained")}


def test_colours_are_told_apart_in_grey_where_they_mean_an_order() -> None:
    shades = [shade for _, shade, _ in style.LOADS[:-1]]
    light = [sum(w * int(s[k : k + 2], 16) for w, k in ((0.2126, 1), (0.7152, 3), (0.0722, 5))) for s in shades]
    assert all(a - b > 15 for a, b in pairwise(light))
