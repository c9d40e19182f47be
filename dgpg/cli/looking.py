"""Commands that look at what is there: plugins, and runs that were trained.

They import what they need when they run, as those of `commands`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dgpg.cli.asked import domain_only
from dgpg.cli.ending import one_object, starting
from dgpg.cli.program import (
    PLACE,
    AsJson,
    DomainName,
    DomainSets,
    Episodes,
    EvaluationSeed,
    Runs,
    app,
    domains_like,
    place,
)  # fmt: skip


@app.command()
@starting
@one_object
def domains(
    name: Annotated[
        str | None, typer.Argument(help="Show this one: algorithms, models, settings.", autocompletion=domains_like)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List installed domains and analytical models, broken ones with their error; or show one domain."""
    from dgpg.domain.listing import listing
    from dgpg.showing import report, settings
    from dgpg.showing.alone import tell
    from dgpg.showing.waiting import waiting

    if name is not None:
        settings.show_domain(name, as_json)
        return
    with waiting("importing every plugin"):
        entries = listing()
    if as_json:
        tell({"plugins": [entry.json() for entry in entries]})
    else:
        report.plugins(entries)


@app.command()
@starting
@one_object
def settings(
    domain: DomainName,
    word: Annotated[str | None, typer.Argument(help="Only those with this word in name or meaning.")] = None,
    as_json: AsJson = False,
) -> None:
    """List settings of a domain, of training and of speaking agents, with what they mean."""
    from dgpg.showing import settings as shown

    shown.show_settings(domain, word, as_json)


@app.command()
@starting
def watch(
    run: Annotated[Path, typer.Argument(parser=place, help="Folder of a run, perhaps of another machine.")],
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
    rule: Annotated[
        bool, typer.Option("--rule/--no-rule", help="Play the cheapest rule on the training's arrivals too.")
    ] = True,
    port: Annotated[
        int | None,
        typer.Option("--page", min=0, max=65535, metavar="PORT", help="Serve the run's page to this machine; 0: any."),
    ] = None,
) -> None:
    """Show a run while it trains: costs against the cheapest rule on the same arrivals, measures, time left."""
    from dgpg.showing import watching

    watching.watch(run, every, rule, port)


@app.command()
@starting
@one_object
def evaluate(
    run: Annotated[Path, typer.Argument(parser=place, help="Folder of a run.")],
    episodes: Episodes = 32,
    seed: EvaluationSeed = 1,
    sets: DomainSets = None,
    judge: Annotated[bool, typer.Option("--judge", help="Replay in the domain's independent simulator too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a policy against its untrained self and every baseline on the same arrivals."""
    from dgpg.showing import evaluations

    evaluations.evaluation(run, episodes, seed, domain_only(sets or [], "an evaluation", ("train",)), judge, as_json)


@app.command()
@starting
@one_object
def compare(runs: Runs, episodes: Episodes = 32, seed: EvaluationSeed = 1, as_json: AsJson = False) -> None:
    """Measure several runs on the same arrivals, and average runs that differ in seed alone."""
    from dgpg.showing import evaluations

    evaluations.comparison(runs, episodes, seed, as_json)


@app.command()
@starting
def report(
    runs: Runs,
    out: Annotated[
        Path | None,
        typer.Option(**PLACE, help="The file; report.html or compared.html in the first run's folder by default."),
    ] = None,
) -> None:
    """Write one page of runs, to open in a browser: curves, tables, pictures, settings; no network is needed."""
    from dgpg.runs.places import refuse_file
    from dgpg.showing import page
    from dgpg.showing.waiting import waiting

    if out is not None:
        refuse_file(out, "--out")
    with waiting("writing the page"):
        written = page.write(runs, out)
    typer.echo(written)
