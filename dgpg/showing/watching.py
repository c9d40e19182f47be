"""A run while it trains, here or on another machine: read from its folder, on the terminal or as a page on loopback."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dgpg.learning import RunConfig
from dgpg.measuring.alongside import Alongside, cheapest
from dgpg.runs import RunFolder, resolve
from dgpg.showing import page
from dgpg.showing.plain import plain
from dgpg.showing.waiting import PAUSES, clock, waiting

SHOWN = ("cost", "alpha", "entropy", "kl", "explained_variance", "block_share")
"""Measures with a line of their own, where the log has them."""
RECENT = 10
"""Iterations that speed and costs are means over."""
BLOCKS, ASCII = "▁▂▃▄▅▆▇█", "_.-=+*%#"
QUIET = 60.0
"""Seconds without a new line, beyond what an iteration takes, after which a run is said to be silent."""
REFRESH = 10
"""Seconds after which the page loads itself again."""
Lines = Sequence[dict[str, float]]


def spark(values: Sequence[float], width: int, marks: str = BLOCKS) -> str:
    """Values as a row of blocks, from the lowest to the highest; means where there are more than `width`."""
    if not values:
        return ""
    count = min(width, len(values))
    ends = [round(k * len(values) / count) for k in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(ends)]
    low, span = min(means), max(means) - min(means)
    return "".join(marks[round((x - low) / span * (len(marks) - 1))] if span > 0 else marks[0] for x in means)


def seconds_left(lines: Lines, iterations: int) -> float | None:
    """Of training, as fast as the last iterations were; None before any."""
    if not lines:
        return None
    before = lines[-1 - RECENT]["wall_s"] if len(lines) > RECENT else 0.0
    return (lines[-1]["wall_s"] - before) / min(RECENT, len(lines)) * (iterations - lines[-1]["iteration"])


def held_against(lines: Lines, rule: Alongside | None) -> str:
    """The policy's cost over the rule's in the last iterations that both have met; "" before there are any."""
    both = min(len(lines), len(rule.costs)) if rule else 0
    if rule is None or not both:
        return ""
    first = max(0, both - RECENT)
    mine, others = (sum(x) for x in ([line["cost"] for line in lines[first:both]], rule.costs[first:both]))
    apart = (
        f"{round(100 * (mine / others - 1), 1) + 0.0:+.1f} %"
        if others > 0
        else f"{(mine - others) / (both - first):+.4f}"
    )
    return f"{apart} against {rule.name} on the same arrivals, iterations {first + 1} to {both}"


def told(config: RunConfig, lines: Lines, rule: Alongside | None, age: float) -> str:
    """A run in one line."""
    if not lines:
        return f"no iteration yet; silent for {clock(age)}"
    now, left = lines[-1], seconds_left(lines, config.iterations) or 0.0
    end = f"{clock(left)} left" if now["iteration"] < config.iterations else "done"
    each = now["wall_s"] / now["iteration"]
    quiet = f"; silent for {clock(age)}" if end != "done" and age > QUIET + 3 * each else ""
    against = held_against(lines, rule)
    more = f"; {against}" if against else ""
    return f"iteration {now['iteration']:.0f} of {config.iterations}, cost {now['cost']:.4f}{more}, {end}{quiet}"


def picture(config: RunConfig, lines: Lines, rule: Alongside | None, age: float, console: Console) -> RenderableType:
    """What a terminal shows."""
    table, marks = Table.grid(padding=(0, 2)), ASCII if console.options.ascii_only else BLOCKS
    for _ in range(3):
        table.add_column(no_wrap=True)
    width = max(10, min(60, console.width - 40))
    for name in SHOWN:
        values = [line[name] for line in lines if name in line]
        if values:
            table.add_row(name, spark(values, width, marks), f"{values[-1]:.4g}")
    if rule is not None and rule.costs:
        table.add_row(rule.name, spark(rule.costs, width, marks), f"{rule.costs[-1]:.4g}")
    head = f"{config.algorithm} on {config.domain}, seed {config.seed}"
    return Group(Text(head, style="bold"), table, Text(told(config, lines, rule, age)))


def watch(path: Path, every: float, with_rule: bool, port: int | None) -> None:
    """Show a run until it is done, or Ctrl-C.

    Args:
        path: its folder, perhaps of another machine.
        every: seconds between two looks.
        with_rule: play the cheapest rule on the training's arrivals too.
        port: of this machine's loopback, where the page of the run is served; 0 takes a free one, None none.
    """
    folder, config = RunFolder.open(path)
    console = plain()
    rule = _rule(config, console) if with_rule else None
    with _served(path, port, console):
        show = _live if console.is_terminal else _lines
        show(folder, config, rule, every, console)


def _rule(config: RunConfig, console: Console) -> Alongside | None:
    try:
        with waiting("looking for the cheapest rule"):
            return cheapest(resolve(config.domain, config.model_dump(mode="json")))
    except Exception as error:  # the plugin, or a file that it reads, may be on the other machine only
        console.print(f"note: no rule beside the policy: {str(error).splitlines()[0]}", soft_wrap=True)
        return None


def _age(folder: RunFolder) -> float:
    """Seconds since the log, or the run, was written to."""
    last = folder.metrics if folder.metrics.exists() else folder.path / "config.json"
    return max(0.0, time.time() - last.stat().st_mtime)


def _live(folder: RunFolder, config: RunConfig, rule: Alongside | None, every: float, console: Console) -> None:
    with Live(console=console, auto_refresh=False) as live:
        while True:
            lines = folder.read_log()
            live.update(picture(config, lines, rule, _age(folder), console), refresh=True)
            if _over(config, lines, rule):
                return
            _pause(lines, rule, every)


def _lines(folder: RunFolder, config: RunConfig, rule: Alongside | None, every: float, console: Console) -> None:
    """Something new, at the intervals of other long work; and how it ended."""
    turn, due, said = 0, 0.0, -1
    while True:
        lines = folder.read_log()
        over = _over(config, lines, rule)
        if over or (time.monotonic() >= due and len(lines) != said):
            console.print(told(config, lines, rule, _age(folder)), soft_wrap=True)
            due, said = time.monotonic() + PAUSES[min(turn, len(PAUSES) - 1)], len(lines)
            turn += 1
        if over:
            return
        _pause(lines, rule, every)


def _over(config: RunConfig, lines: Lines, rule: Alongside | None) -> bool:
    done = bool(lines) and lines[-1]["iteration"] >= config.iterations
    return done and (rule is None or len(rule.costs) >= len(lines))


def _pause(lines: Lines, rule: Alongside | None, every: float) -> None:
    """Until the next look; the rule catches up by as many iterations as fit."""
    end = time.monotonic() + every
    while rule is not None and len(rule.costs) < len(lines) and time.monotonic() < end:
        rule.iterate()
    time.sleep(max(0.0, end - time.monotonic()))


@contextmanager
def _served(path: Path, port: int | None, console: Console) -> Iterator[None]:
    """The page of the run on loopback, written anew whenever it is asked for."""
    if port is None:
        yield
        return
    page.installed()
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(lambda: page.fresh([path], REFRESH)))
    Thread(target=server.serve_forever, daemon=True).start()
    console.print(f"page: http://127.0.0.1:{server.server_port}/")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _handler(written: Callable[[], str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/":
                self.send_error(404)
                return
            whole = written().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole)

        def log_message(self, format: str, *args: object) -> None:
            """The terminal is the picture's."""

    return Handler
