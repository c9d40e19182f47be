"""The page in a real browser: no error, no request, charts that follow their legend, legible at night."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgpg.measuring.kept import keep
from dgpg.showing import page
from dgpg.showing.maps import MOVING, moving

from ..browser import browser, find
from .test_page import COSTS, made, measured

pytest.importorskip("playwright", reason="playwright is not installed: pip install -e '.[dev]'")
WIDTHS = (1280, 400)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pages")
    folders = [made(place / "a", 0), made(place / "b", 1), made(place / "c", 0, "ippo", 4)]
    for number, folder in enumerate(folders):
        keep(folder, measured(1, COSTS[number]))
    picture = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 5"><rect width="9" height="5"/></svg>'
    (folders[0] / "roads.svg").write_text(picture)
    lines, load = np.random.default_rng(0).uniform(size=(5, 2, 2)), np.linspace(0, 1.1, 15).reshape(3, 5)
    moving(folders[0] / f"day{MOVING}", lines, load, ["00:00", "08:00", "16:00"], "flow over capacity", "the day")
    for place in (0, 2):
        found = measured(1, COSTS[place])
        found.figures.extend(("roads.svg", f"day{MOVING}") if place == 0 else (f"day{MOVING}",))
        keep(folders[place], found)
    shutil.copy(folders[0] / f"day{MOVING}", folders[2])
    return page.write(folders)


@pytest.fixture(scope="module")
def opened(written: Path) -> Iterator[tuple[Any, list[str]]]:
    """The page when all is drawn, and what went wrong until now."""
    executable = find()
    if executable is None:
        pytest.skip("no Chromium: make browser, or name one in DGPG_BROWSER")
    wrong = list[str]()
    with browser(executable) as started:
        shown = started.new_page(viewport={"width": 1280, "height": 900})
        shown.on("console", lambda said: wrong.append(said.text))
        shown.on("pageerror", lambda error: wrong.append(str(error)))
        shown.on("request", lambda asked: asked.url.startswith(("file:", "data:", "blob:")) or wrong.append(asked.url))
        shown.goto(written.as_uri())
        shown.wait_for_selector("html[data-ready=yes]", state="attached", timeout=60_000)
        yield shown, wrong


LUMINANCE = """(element) => {
  const style = getComputedStyle(element);
  const parts = (style.fill && element.closest("svg") ? style.fill : style.color).match(/[\\d.]+/g).map(Number);
  const line = parts.slice(0, 3).map((x) => (x /= 255) <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  return 0.2126 * line[0] + 0.7152 * line[1] + 0.0722 * line[2];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_is_whole_and_legible(opened: tuple[Any, list[str]], width: int, scheme: str) -> None:
    shown, wrong = opened
    shown.set_viewport_size({"width": width, "height": 900})
    shown.emulate_media(color_scheme=scheme)
    shown.wait_for_function(f"document.querySelector('.main-svg').clientWidth <= {width}")
    assert wrong == []
    assert shown.locator(".js-plotly-plot .scatterlayer .trace").count() >= 4
    drawn = shown.locator("img[data-packed]").evaluate_all(
        "(all) => all.map((one) => one.complete && one.naturalWidth)"
    )
    assert len(drawn) == 1 and drawn[0] > 0
    assert shown.evaluate("document.documentElement.scrollWidth") <= width  # only tables scroll, in their own frames
    small = "(all) => Math.min(...all.map((one) => parseFloat(getComputedStyle(one).fontSize)))"
    assert shown.locator("td, p, li, .js-plotly-plot text").evaluate_all(small) >= 11
    paper = {"light": 1.0, "dark": 0.0085}[scheme]
    for text in ("td", ".soft", "summary", ".js-plotly-plot .xtick text", ".js-plotly-plot .legendtext"):
        light = sorted((shown.locator(text).first.evaluate(LUMINANCE), paper))
        assert (light[1] + 0.05) / (light[0] + 0.05) >= 4.5, text  # WCAG 2.2, AA


def test_the_legend_hides_a_run_in_every_chart(opened: tuple[Any, list[str]]) -> None:
    shown, wrong = opened
    shown.set_viewport_size({"width": 1280, "height": 900})
    each = "(c) => c.querySelectorAll('.scatterlayer .trace').length"
    count = f"() => [...document.querySelectorAll('[data-chart]')].map({each})"
    before = shown.evaluate(count)
    assert before == [4, 4]  # two ends of the band, its mean, the other algorithm
    shown.locator(".legendtoggle").nth(0).click()
    shown.wait_for_function("document.querySelectorAll('[data-chart] .scatterlayer .trace').length === 2")
    assert shown.evaluate(count) == [1, 1]
    shown.locator(".legendtoggle").nth(0).click()
    shown.wait_for_function("document.querySelectorAll('[data-chart] .scatterlayer .trace').length === 8")
    label = "() => document.querySelector('.xtitle').textContent"
    assert shown.evaluate(label) == "iteration"
    shown.locator(".updatemenu-button", has_text="seconds").click()
    shown.wait_for_function("document.querySelector('.xtitle').textContent === 'seconds'")
    assert wrong == []


def test_a_map_moves(opened: tuple[Any, list[str]]) -> None:
    """With its slider, and by itself; one in a part of the page that was closed is drawn when it is opened."""
    shown, wrong = opened
    shown.set_viewport_size({"width": 1280, "height": 900})
    first, other = (shown.locator("[data-moving]").nth(k) for k in (0, 1))
    drawn = "(c) => [...c.querySelectorAll('.scatterlayer path.js-line')].map((one) => one.getAttribute('d')).join()"
    begun = first.evaluate(drawn)
    assert begun and first.locator(".slider-label", has_text="00:00").count()
    first.locator(".updatemenu-button", has_text="play").click()
    assert shown.locator("figcaption", has_text="the day").count() == 1  # the other one is not drawn yet
    shown.wait_for_function(f"(before) => ({drawn})(document.querySelector('[data-moving]')) !== before", arg=begun)
    assert not other.locator(".main-svg").count()
    shown.locator("#pictures summary").nth(1).click()
    other.locator(".main-svg").first.wait_for()
    assert other.evaluate("(c) => c.clientWidth") > 300 and wrong == []
