"""Figures of a policy beside the optimum: what they show, and that they show it the same each time."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex

from dgpg.domain import Policy, SupportsFigures
from dgpg.errors import ConfigError
from dgpg.measuring import play
from dgpg.showing import style
from dgpg.showing.maps import placed
from dgpg_traffic import figures
from dgpg_traffic.config import Config
from dgpg_traffic.data import load_network
from dgpg_traffic.domain import domain
from dgpg_traffic.instance import build
from dgpg_traffic.judge.replay import replay

from .made import CPU, made


def config() -> Config:
    return Config.model_validate({"network": "braess", "horizon": 6, "incidents": {"probability": 0.2}})


def rules() -> dict[str, Policy]:
    return {rule.name: rule for rule in domain.baselines(config())}


def test_a_replay_meets_the_episodes_of_an_evaluation() -> None:
    plain = config().model_copy(update={"queues": False})
    for settings in (config(), plain):
        rule = next(rule for rule in domain.baselines(settings) if rule.name == "logit")
        shown, found = replay(settings, rule, 3, seed=5), play(domain, settings, rule, 3, 5, CPU)
        assert shown.travel_time.mean(0) == pytest.approx(found.measures["travel_time"], rel=1e-6)
    network = load_network("braess")
    load = network.b * (shown.flow / shown.capacity) ** network.power
    time = (shown.flow * network.free_time * (1 + load)).sum(-1)
    assert time.mean(0) == pytest.approx(found.cost, rel=1e-5)
    assert shown.splits.shape == (6, 3, 1, 3) and shown.splits.sum(-1) == pytest.approx(np.ones((6, 3, 1)))
    assert (np.sort(shown.period, 0) == np.arange(6)[:, None]).all()


def test_the_domain_draws_valid_svg_the_same_bytes_each_time(tmp_path: Path) -> None:
    assert isinstance(domain, SupportsFigures)
    drawn = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        drawn.append(domain.figures(config(), rules(), tmp_path / name, 1))
    assert [path.name for path in drawn[0]] == ["roads.svg", "day.svg", "roads_day.moving.json"]
    for one, two in zip(*drawn, strict=True):
        assert one.read_bytes() == two.read_bytes()
        if one.suffix == ".svg":
            assert ET.parse(one).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    moments = [frame["name"] for frame in json.loads(drawn[0][-1].read_text())["frames"]]
    assert moments == ["00:00", "04:00", "08:00", "12:00", "16:00", "20:00"]


@pytest.mark.parametrize("names", [[], ["logit"], ["system-optimum"], ["system-optimum", "logit"]])
def test_a_policy_and_the_optimum_are_needed(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ConfigError, match="expected the policy to draw first and system-optimum"):
        domain.figures(config(), {name: rules()[name] for name in names}, tmp_path, 1)
    assert not list(tmp_path.iterdir())


def test_periods_are_told_apart_wherever_a_day_begins() -> None:
    shown = replay(config(), rules()["system-optimum"], 4, seed=0)
    assert len(set(shown.period[0])) > 1
    by_hand = [shown.travel_time[shown.period == t].mean() for t in range(6)]
    assert figures.by_period(shown) == pytest.approx(np.array(by_hand))
    days = figures.by_day(shown)
    assert days.mean(1) == pytest.approx(np.array(by_hand))
    assert days[2, 3] == shown.travel_time[shown.period[:, 3] == 2, 3]


def test_the_load_that_moves_is_the_mean_of_the_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    monkeypatch.setattr(figures, "moving", lambda path, lines, load, *rest: told.append((lines, load)) or path)
    shown, network = replay(config(), rules()["logit"], 3, seed=1), load_network("braess")
    figures.hours(tmp_path / "x.moving.json", network, "logit", shown, figures.LOADING)
    ((lines, load),) = told
    at = shown.period == 4
    assert load[4] == pytest.approx((shown.flow[at] / shown.capacity[at]).mean(0)) and load.shape == (6, len(lines))


def test_bands_lie_at_the_right_of_their_street_as_wide_as_their_share() -> None:
    network = load_network("grid")
    place, _ = placed(network.place, network.tail, network.head)
    share = np.linspace(0, 1, network.num_links)
    corners = figures.bands(network, place, share)
    along, aside = corners[:, 1] - corners[:, 0], corners[:, 3] - corners[:, 0]
    right = aside[:, 0] * along[:, 1] - aside[:, 1] * along[:, 0]
    assert right[0] == 0 and (right[1:] > 0).all()
    width = np.linalg.norm(aside, axis=-1)
    assert width == pytest.approx(share * width[-1]) and 0 < width[-1] <= figures.WIDEST
    assert (corners[:, 0] == place[network.tail]).all() and (corners[:, 1] == place[network.head]).all()


def test_two_directions_of_a_street_do_not_cover_each_other() -> None:
    network = load_network("grid")
    place, _ = placed(network.place, network.tail, network.head)
    there = {(int(a), int(b)): k for k, (a, b) in enumerate(zip(network.tail, network.head, strict=True))}
    corners = figures.bands(network, place, np.ones(network.num_links))
    both = [(k, there[b, a]) for (a, b), k in there.items() if (b, a) in there]
    assert both
    for one, other in both:
        assert (corners[one, 3] - corners[one, 0]) @ (corners[other, 3] - corners[other, 0]) < 0


def test_rules_that_are_far_too_slow_are_left_out_and_oracles_are_not() -> None:
    times = {"dg-pg": 9.0, "shortest": 4.0, "logit": 2.9, "user-equilibrium": 8.0, "system-optimum": 2.0}
    one = replay(config(), rules()["logit"], 1, seed=0)
    replays = {name: replace(one, travel_time=np.full((6, 1), time)) for name, time in times.items()}
    assert figures.shown_rules(replays) == ["dg-pg", "logit", "user-equilibrium", "system-optimum"]


def test_flows_and_loads_are_means_over_all_periods_and_days() -> None:
    shown = replay(config(), rules()["logit"], 3, seed=1)
    assert (shown.capacity.min(), shown.capacity.max()) == pytest.approx((1.2, 2.0))  # incidents
    flow, load = shown.flow[..., 0], shown.flow[..., 0] / shown.capacity[..., 0]
    assert figures.mean_flow(shown)[0] == pytest.approx(flow.mean())
    assert figures.loading(shown)[0] == pytest.approx(load.mean()) and load.mean() > flow.mean() / 2


def test_connectors_of_closed_zones_are_no_streets() -> None:
    network = made(through=[False, True, True, True])
    assert figures.streets(network).tolist() == [False, False, True, True, False]
    place, _ = placed(network.place, network.tail, network.head)
    assert len(figures.bands(network, place, np.ones(2))) == 2
    assert figures.streets(made(through=[False] * 4)).all()  # of what has no streets, connectors are all there is


def test_flows_dominate_a_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No dots of nodes; connectors are thinner and fainter than streets without flow."""
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, path: drawn.append(figure) or path)
    network = made(through=[False, True, True, True])
    one = replay(config(), rules()["logit"], 1, 0)
    shown = replace(one, flow=np.ones((6, 1, network.num_links)), capacity=np.ones((6, 1, network.num_links)))
    figures.roads(tmp_path / "roads.svg", network, {"dg-pg": shown, "system-optimum": shown})
    kinds = [type(one).__name__ for one in drawn[0].axes[0].collections]
    assert kinds == ["LineCollection", "LineCollection", "PolyCollection"]
    faint, street, flow = drawn[0].axes[0].collections
    assert (len(faint.get_segments()), len(street.get_segments()), len(flow.get_paths())) == (3, 2, 2)
    assert to_hex(faint.get_colors()[0]) == style.FAINT and faint.get_linewidths()[0] < street.get_linewidths()[0]
    assert faint.zorder < street.zorder < flow.zorder


def test_a_day_of_one_period_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, path: drawn.append(figure) or path)
    one = config().model_copy(update={"horizon": 1})
    figures.day(tmp_path / "day.svg", {rule.name: replay(one, rule, 2, 0) for rule in domain.baselines(one)})
    for line in (line for axes in drawn[0].axes for line in axes.lines):
        assert line.get_xdata().tolist() == [0, 24] and line.get_marker() in ("None", None, "")


def test_titles_are_inside_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(figures, "save", lambda figure, path: drawn.append(figure) or path)
    shown = {
        "a policy whose name says where it was trained and with which seed": replay(config(), rules()["logit"], 1, 0)
    }
    figures.roads(
        tmp_path / "roads.svg", load_network("braess"), shown | {"system-optimum": next(iter(shown.values()))}
    )
    figure = drawn[0]
    figure.draw_without_rendering()
    wide, high = figure.get_size_inches() * figure.dpi
    for axes in figure.axes[:3]:
        box = axes.title.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= wide and box.y1 <= high


def test_capacities_that_mean_nothing_are_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shades = []
    monkeypatch.setattr(figures, "roads", lambda path, network, replays, shade: shades.append(shade) or path)
    plain = config().model_copy(update={"queues": False})
    monkeypatch.setattr(figures, "build", lambda config: replace(build(config), meaningless=config == plain))
    for settings in (config(), plain):
        figures.draw(settings, {rule.name: rule for rule in domain.baselines(settings)}, tmp_path, 0)
    assert [shade.label for shade in shades] == ["flow over capacity", "flow, vehicles a period"]
