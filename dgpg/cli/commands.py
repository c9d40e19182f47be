"""The commands and their options.

They import what they need when they run: torch takes seconds, and `dgpg --help` should not wait for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dgpg.cli.asked import domain_only
from dgpg.cli.ending import Commands, one_object
from dgpg.errors import ConfigError

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from dgpg import __version__

        typer.echo(f"dgpg {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train cooperative multi-agent policies guided by an analytical model."""


def _place(text: str | Path) -> Path:
    if not str(text).strip():
        raise typer.BadParameter("nothing is given; name a place, or leave the option out.")
    return Path(text)


PLACE: Any = {"parser": _place, "metavar": "PATH"}
"""Of options that name a file or a folder: `--out ''` is not here."""
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=v", help="A setting of the domain; train.x=v and coordination.x=v of those."),
]
DomainSets = Annotated[list[str] | None, typer.Option("--set", metavar="a.b=v", help="A setting of the domain.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]
Runs = Annotated[list[Path], typer.Argument(parser=_place, metavar="RUN RUN ...", help="Run folders.")]
Episodes = Annotated[int, typer.Option(min=1, help="Episodes each row is measured on.")]
SEEDS = 2**48 - 1
EvaluationSeed = Annotated[int, typer.Option(min=0, max=SEEDS, help="Seed of the arrivals, the same for every row.")]


@app.command()
@one_object
def domains(as_json: AsJson = False) -> None:
    """List installed domains and analytical models, broken ones with their error."""
    from dgpg.domain.listing import listing
    from dgpg.showing import report
    from dgpg.showing.alone import tell
    from dgpg.showing.waiting import waiting

    with waiting("importing every plugin"):
        entries = listing()
    if as_json:
        tell({"plugins": [entry.json() for entry in entries]})
    else:
        report.plugins(entries)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the domain, as in `dgpg train NAME`.")],
    actions: Annotated[
        str | None, typer.Option(help="discrete (default): agents choose; continuous: numbers.", show_default=False)
    ] = None,
    simulator: Annotated[
        bool, typer.Option("--simulator", help="Around a simulator of one environment (SimPy), in worker processes.")
    ] = False,
    folder: Annotated[
        Path, typer.Option("--dir", **PLACE, help="Where the distribution goes; here by default.")
    ] = Path(),
) -> None:
    """Write a plugin for a domain of your own, which works before any edit."""
    from dgpg import scaffold
    from dgpg.errors import ConfigError
    from dgpg.runs.places import refuse_folder
    from dgpg.showing import report

    refuse_folder(folder, "--dir")
    if simulator and actions is not None:
        raise ConfigError(
            f"--simulator --actions {actions}: the model that is written has choices; leave --actions out"
        )
    report.scaffolded(scaffold.write(name, "simulator" if simulator else actions or "discrete", folder), name)


@app.command()
@one_object
def check(
    domain: Annotated[str, typer.Argument(help="Name of a domain, see `dgpg domains`.")],
    model: Annotated[str | None, typer.Option(help="Analytical model; the domain's own by default.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=SEEDS, help="Seed of everything random.")] = 0,
    device: Annotated[str, typer.Option(help="cpu (default), cuda or auto.")] = "cpu",
    alignment: Annotated[
        bool, typer.Option("--alignment/--no-alignment", help="Measure the model too; leave it out if slow.")
    ] = True,
    moments: Annotated[int, typer.Option(min=1, help="States of an episode in which the model is measured.")] = 3,
    lookahead: Annotated[
        int | None, typer.Option(min=1, help="Steps a choice is charged with; till effects end.", show_default=False)
    ] = None,
    sets: DomainSets = None,
    as_json: AsJson = False,
) -> None:
    """Measure whether a plugin keeps its contract, and whether its model points where the true cost falls."""
    from dgpg import checks
    from dgpg.measuring.alignment import ROWS, Plan, checked
    from dgpg.runs import launch
    from dgpg.showing import report
    from dgpg.showing.waiting import waiting

    settings = domain_only(sets or [], "a check")
    with waiting("building the instance"):
        subject = checks.subject(domain, settings, model, seed, device)
    outcomes = []
    for found in checks.examined(subject):
        outcomes.append(found)
        if not as_json:
            report.outcome(found)
    passed = all(outcome.status != "fail" for outcome in outcomes)
    aligned = None
    if passed and alignment:  # a model that breaks its contract cannot be measured
        values = {"settings": settings, "model": model, "device": device}
        with waiting("building the instance") as tell:
            probe = launch.probe(domain, values, ROWS, seed)
            aligned = checked(probe, Plan(moments=moments, lookahead=lookahead), seed, tell)
    report.conformance(domain, outcomes, aligned, as_json)
    if not passed:
        raise typer.Exit(1)


@app.command()
def train(
    domain: Annotated[str | None, typer.Argument(help="Name of a domain, see `dgpg domains`.")] = None,
    algorithm: Annotated[
        str | None, typer.Option(help="dg-pg (default), mappo, ippo, ippo-local, ippo-blocks, mirror-descent.")
    ] = None,
    iterations: Annotated[int | None, typer.Option(help="Total that schedules are laid over; 40.")] = None,
    num_envs: Annotated[int | None, typer.Option(help="Parallel environments; 8 (1000 agents: 2).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random; 0.")] = None,
    device: Annotated[str | None, typer.Option(help="auto (default), cpu or cuda.")] = None,
    model: Annotated[str | None, typer.Option(help="Analytical model; the domain's own by default.")] = None,
    sets: Sets = None,
    config: Annotated[Path | None, typer.Option(**PLACE, help="Settings from a file, JSON or TOML.")] = None,
    out: Annotated[Path | None, typer.Option(**PLACE, help="Run folder; a new one under runs/ by default.")] = None,
    stop_after: Annotated[int | None, typer.Option(min=1, help="End after this many iterations.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Train a policy, or go on with a run that was interrupted."""
    from dgpg.cli import training

    named = {
        "algorithm": algorithm,
        "iterations": iterations,
        "num_envs": num_envs,
        "seed": seed,
        "device": device,
        "model": model,
    }
    training.trained(domain, named, config, sets or [], out, stop_after, resume)


@app.command()
@one_object
def evaluate(
    run: Annotated[Path, typer.Argument(parser=_place, help="Folder of a run.")],
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
@one_object
def compare(runs: Runs, episodes: Episodes = 32, seed: EvaluationSeed = 1, as_json: AsJson = False) -> None:
    """Measure several runs on the same arrivals, and average runs that differ in seed alone."""
    from dgpg.showing import evaluations

    evaluations.comparison(runs, episodes, seed, as_json)


@app.command()
@one_object
def export(
    run: Annotated[Path, typer.Argument(parser=_place, help="Folder of a run.")],
    out: Annotated[Path, typer.Option(**PLACE, help="Folder to write.")],
    form: Annotated[str, typer.Option("--format", help="onnx, or pt2 for torch's own format beside it.")] = "onnx",
    decisions: Annotated[int, typer.Option(min=100, help="Least number of decisions compared with torch.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, max=SEEDS, help="Seed of the episodes they are recorded in.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Write a policy as a file that opens without dgpg and without torch, compared with torch first."""
    from dgpg.export import export
    from dgpg.showing import report
    from dgpg.showing.alone import tell
    from dgpg.showing.waiting import waiting

    if form not in ("onnx", "pt2"):
        raise ConfigError(f"--format {form}: expected onnx or pt2")
    with waiting("writing the policy and comparing it"):
        found = export(run, out, form, decisions, seed)  # type: ignore[arg-type]
    if as_json:
        tell({"files": [str(path) for path in found.files], **found.description})
    else:
        report.exported(found)


@app.command()
def serve(
    folder: Annotated[Path, typer.Argument(parser=_place, metavar="DIR", help="Folder that `dgpg export` wrote.")],
    host: Annotated[str, typer.Option(help="Where to listen; others than this machine need its address here.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="The rule decides; the policy is asked, logged and compared.")
    ] = False,
    rule: Annotated[
        str | None, typer.Option(help="Rule that stands in; the domain's first by default.", show_default=False)
    ] = None,
    far: Annotated[
        float, typer.Option(min=0, help="The rule decides where a feature is so many ranges outside the training's.")
    ] = 1.0,
    token_file: Annotated[
        Path | None, typer.Option(**PLACE, help="File with the bearer token; else DGPG_TOKEN, else none is asked for.")
    ] = None,
    max_bytes: Annotated[int, typer.Option(min=1024, help="Largest request.")] = 1 << 20,
    max_rows: Annotated[int, typer.Option(min=1, help="Most decisions in a request.")] = 1000,
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Extend a kube-scheduler too (/filter, /prioritize).")
    ] = False,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="kubernetes.b=v", help="A setting of --kubernetes.")
    ] = None,
) -> None:
    """Serve an exported policy over HTTP, behind guard rails; a new export in the folder is taken at once."""
    from dgpg.cli import serving

    serving.installed()
    from dgpg.serve import Settings
    from dgpg.serve.process import run

    settings = Settings(
        mode="shadow" if shadow else "policy", rule=rule, far=far, token=serving.token(token_file),
        max_bytes=max_bytes, max_rows=max_rows,
    )  # fmt: skip
    protocols = serving.protocols(("kubernetes",) if kubernetes else (), sets or [])
    run(folder, settings, host, port, protocols)


@app.command()
@one_object
def calibrate(
    domain: Annotated[str, typer.Argument(help="Name of a domain, see `dgpg domains`.")],
    data: Annotated[Path, typer.Option(**PLACE, help="The log, in the domain's format.")],
    sets: DomainSets = None,
    out: Annotated[
        Path | None,
        typer.Option(**PLACE, help="Where the fitted model goes; nowhere by default."),
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Most steps of the fit.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Fit unknown parameters of a domain's analytical model to a log of the real system."""
    from dgpg.domain import SupportsCalibration, registry
    from dgpg.runs import launch
    from dgpg.runs.places import refuse_file
    from dgpg.showing import report
    from dgpg.showing.waiting import waiting

    plugin = registry.load_domain(domain)
    if not isinstance(plugin, SupportsCalibration):
        raise ConfigError(
            f"domain '{domain}' cannot be calibrated: it has no calibrate(config, data, out, iterations), "
            "see dgpg.domain.SupportsCalibration"
        )
    if out is not None:
        refuse_file(out, "--out")
    config = launch.domain_config(plugin, domain_only(sets or [], "a calibration"))
    with waiting("fitting"):
        rows = plugin.calibrate(config, data, out, iterations)
    report.calibration(domain, rows, out, as_json)
