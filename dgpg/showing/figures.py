"""Figures of an evaluated run, drawn with matplotlib where it is installed (extra `figures`).

Two evaluations of one run give the same bytes: no date, and the ids within a file are hashed with a fixed salt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dgpg.domain import Policy, SupportsFigures
from dgpg.errors import DgpgError, RunError
from dgpg.measuring import Row
from dgpg.measuring.evaluate import UNTRAINED, Watched, drawn
from dgpg.runs import RunFolder, Trained
from dgpg.runs.atomic import write_atomic
from dgpg.showing.drawing import Axes, Figure, blank, held_against, save
from dgpg.showing.style import COLOURS, UNSURE, colour

__all__ = ["Axes", "Figure", "blank", "draw", "evaluation", "held_against", "obstacle", "save", "smooth"]
ROOM = 2**18
"""Bytes that a figure may take."""
WINDOW = 20
"""The moving mean of a training curve takes this part of its iterations."""


def draw(
    trained: Trained, folder: Path, unit: str, rows: Sequence[Row], seed: int, told: Callable[[str], None]
) -> tuple[Sequence[Path], Sequence[str]]:
    """Draw `evaluation.svg` and the domain's own figures into a run's folder: their paths, and why others are missing.

    A figure that fails is a line and no error: the table is worth more. `told` hears which policy acts for a figure.
    """
    try:
        import_module("matplotlib")
    except ImportError:
        return [], ["no figure: pip install 'dgpg[figures]'"]
    log, place = RunFolder(folder).read_log(), folder / "evaluation.svg"
    paths, notes = _tried("no figure", lambda: [evaluation(place, log, unit, rows, trained.elsewhere)])
    domain = trained.domain
    if isinstance(domain, SupportsFigures):
        what = f"no figures of domain {trained.run.domain}"
        among = {
            name: Watched(one, partial(told, f"drawing figures: {name} acts"))
            for name, one in _ranked(drawn(trained), rows).items()
        }
        own, why = _tried(what, lambda: domain.figures(trained.config, among, folder, seed))
        paths, notes = [*paths, *own], [*notes, *why]
    return paths, notes


def _ranked(among: Mapping[str, Policy], rows: Sequence[Row]) -> dict[str, Policy]:
    """Policies in the order of the evaluation's rows; the untrained one, which is no rule, last."""
    place = {row.name: at for at, row in enumerate(rows)} | {UNTRAINED: len(rows)}
    return {name: among[name] for name in sorted(among, key=lambda name: place.get(name, len(rows)))}


def obstacle(folder: Path) -> str | None:
    """Why figures cannot be written into a folder, and what of it; None if they can."""
    try:
        write_atomic(folder / ".figures", lambda file: file.write(bytes(ROOM)))
        (folder / ".figures").unlink()
    except (RunError, OSError) as error:
        return f"note: there will be no figures ({error}); the numbers are shown all the same"
    return None


def _tried(what: str, make: Callable[[], Sequence[Path]]) -> tuple[Sequence[Path], Sequence[str]]:
    """What was drawn, or the line that says why not."""
    try:
        return make(), []
    except Exception as error:  # a plugin's drawing may fail in any way
        return [], [f"{what}: {error if isinstance(error, DgpgError) else repr(error)}"]


def evaluation(
    path: Path, log: Sequence[Mapping[str, float]], unit: str, rows: Sequence[Row], elsewhere: Sequence[str] = ()
) -> Path:
    """Cost while training, over the oracle's where there is one; every row with its interval, and beside the policy.

    `elsewhere` are settings that the training did not have: then nothing evaluated is drawn beside its curve.
    """
    figure, (curve, bars, apart) = blank(15, 4.2, columns=3)
    figure.suptitle(f"cost = {unit}", fontsize=9, color="#555555")
    iteration = np.array([line["iteration"] for line in log])
    shade = next((colour(r.name) for r in rows if r.kind == "policy"), COLOURS["policy"])
    cost = np.array([line["cost"] for line in log])
    oracle = min((r for r in rows if r.kind == "oracle"), key=lambda r: r.cost, default=None)
    if oracle and not elsewhere and oracle.cost > 0 and (smooth(cost) > oracle.cost).any():
        _gap(curve, iteration, cost, oracle, shade)
    else:
        where = "in other settings than the evaluation" if elsewhere else "on other arrivals"
        _cost(curve, iteration, cost, where, shade)
    shown = sorted(rows, key=lambda r: r.cost, reverse=True)
    _bars(bars, shown, oracle)
    _apart(apart, shown)
    return save(figure, path)


def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each value and those before it, as many as one part in `WINDOW` of all, `[T]`."""
    width = max(1, len(values) // WINDOW)
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    begin = np.maximum(end - width, 0)
    mean: NDArray[np.float64] = (total[end] - total[begin]) / (end - begin)
    return mean


def _gap(
    axes: Axes, iteration: NDArray[np.float64], cost: NDArray[np.float64], oracle: Row, shade: str
) -> None:  # fmt: skip
    """Distance to the optimum on a log axis, where the plain curve is flat after its first tenth.

    Training meets other arrivals, so a gap smaller than the interval of the oracle's mean says nothing and may be
    negative: there the axis is linear and the background grey.
    """
    gap, unsure = smooth(cost) / oracle.cost - 1, max(float(np.ptp(oracle.ci95 or 0.0)) / 2 / oracle.cost, 1e-3)
    axes.axhspan(-unsure, unsure, color="#eeeeee", zorder=0, label="95 % interval of the oracle's mean: not resolved")
    axes.plot(iteration, gap, color=shade, label="while training, moving mean")
    axes.set_yscale("symlog", linthresh=unsure, linscale=0.5)
    round_ = [m * 10.0**k for k in range(-3, 4) for m in (1, 2, 5)]
    least = max(x for x in round_ if x <= 1.001 * unsure)
    axes.set_yticks([-least, 0, *(x for x in round_ if x >= least)])
    axes.yaxis.set_major_formatter(lambda value, position: f"{100 * value:+g} %" if value else "0 %")
    axes.minorticks_off()
    axes.set(
        xlabel="iteration",
        ylabel="cost over the oracle's evaluated mean",
        title="gap (training meets other arrivals than the evaluation)",
        ylim=(min(1.2 * float(gap.min()), -2 * unsure), 1.5 * max(float(gap.max()), unsure)),
    )
    axes.legend(frameon=False, loc="upper right", fontsize="small")


def _cost(
    axes: Axes, iteration: NDArray[np.float64], cost: NDArray[np.float64], where: str, shade: str
) -> None:  # fmt: skip
    """Alone: a baseline was measured elsewhere, and its line would say what the bars may refute."""
    axes.plot(iteration, cost, color=shade)
    axes.set(xlabel="iteration", ylabel=f"cost, {where}", title="while training", ylim=(0, None))


def _bars(axes: Axes, shown: Sequence[Row], oracle: Row | None) -> None:
    axes.barh([_label(r) for r in shown], [r.cost for r in shown], color=[colour(r.name, r.kind) for r in shown])
    ends = [r.ci95 or (r.cost, r.cost) for r in shown]
    edge = min(2.5 * shown[len(shown) // 2].cost, 1.25 * ends[0][1])
    for i, (r, end) in enumerate(zip(shown, ends, strict=True)):
        axes.plot(end, (i, i), color="black", linewidth=1)
        if oracle and oracle.cost > 0 and r is not oracle:
            at = min(end[1], 0.9 * edge)
            axes.annotate(f"{r.cost / oracle.cost - 1:+.1%}", (at, i), (4, 0), textcoords="offset points", va="center")
    axes.set(xlabel="cost", title="evaluation, same arrivals")
    if edge > 0:  # costs may be negative: profits
        axes.set_xlim(0, edge)


def _label(row: Row) -> str:
    return f"{row.name} ({row.mode or row.information})"


def _apart(axes: Axes, shown: Sequence[Row]) -> None:
    """What each row costs more or less than the policy on the same episodes; hollow where it may be nothing."""
    against = [(i, r, r.difference) for i, r in enumerate(shown) if r.difference is not None]
    in_percent = all(found.percent is not None for _, _, found in against)
    for i, r, found in against:
        mean, ends = (found.percent, found.percent_ci95) if in_percent else (found.cost, found.ci95)
        same = found.distinguishable is False
        shade = UNSURE if same else colour(r.name, r.kind)
        axes.plot(ends or (mean, mean), (i, i), color=shade, linewidth=2)
        axes.plot([mean], [i], "o", color=shade, markerfacecolor="white" if same else shade)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(shown)), [""] * len(shown))
    axes.set_ylim(-0.5, len(shown) - 0.5)
    if in_percent:
        axes.set_xscale("symlog", linthresh=10.0, linscale=2.0)
        axes.xaxis.set_major_formatter(lambda value, position: f"{value:+g} %" if value else "0")
    to = against[0][2].to if against else "the policy"
    axes.set(xlabel="hollow: not distinguishable", title=f"against {to},\n95 % interval")
