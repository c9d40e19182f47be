"""The page in a real browser: no error, no request, charts that follow their legend, legible at night."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dgpg.measuring.kept import keep
from dgpg.showing import page

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
    found = measured(1, COSTS[0])
    found.figures.append("roads.svg")
    keep(folders[0], found)
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
    count = f"() => [...document.querySelectorAll('.js-plotly-plot')].map({each})"
    before = shown.evaluate(count)
    assert before == [4, 4]  # two ends of the band, its mean, the other algorithm
    shown.locator(".legendtoggle").nth(0).click()
    shown.wait_for_function("document.querySelectorAll('.scatterlayer .trace').length === 2")
    assert shown.evaluate(count) == [1, 1]
    shown.locator(".legendtoggle").nth(0).click()
    shown.wait_for_function("document.querySelectorAll('.scatterlayer .trace').length === 8")
    label = "() => document.querySelector('.xtitle').textContent"
    assert shown.evaluate(label) == "iteration"
    shown.locator(".updatemenu-button", has_text="seconds").click()
    shown.wait_for_function("document.querySelector('.xtitle').textContent === 'seconds'")
    assert wrong == []
