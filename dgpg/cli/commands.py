"""Commands that make something, and their options.

They import what they need when they run: torch takes seconds, and `dgpg --help` should not wait for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dgpg.cli.asked import checked, domain_only
from dgpg.cli.ending import one_object, starting
from dgpg.cli.program import PLACE, SEEDS, AsJson, DomainName, DomainSets, Sets, app, domains_like, place
from dgpg.errors import ConfigError


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
@starting
@one_object
def check(
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="Name of a domain, or the folder of a run.")],
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
    from dgpg.measuring.alignment import ROWS, Plan
    from dgpg.measuring.alignment import checked as measured
    from dgpg.runs import launch
    from dgpg.showing import keeping, report
    from dgpg.showing.waiting import waiting

    of = checked(domain, sets or [], model)
    with waiting("building the instance"):
        subject = checks.subject(of.domain, of.settings, of.model, seed, device)
    outcomes = []
    for found in checks.examined(subject):
        outcomes.append(found)
        if not as_json:
            report.outcome(found)
    passed = all(outcome.status != "fail" for outcome in outcomes)
    aligned = None
    if passed and alignment:  # a model that breaks its contract cannot be measured
        values = {"settings": of.settings, "model": of.model, "device": device}
        with waiting("building the instance") as tell:
            probe = launch.probe(of.domain, values, ROWS, seed)
            aligned = measured(probe, Plan(moments=moments, lookahead=lookahead), seed, tell)
    report.conformance(of.domain, outcomes, aligned, as_json)
    if of.folder is not None and aligned is not None:
        keeping.verdict(of.folder, aligned)
        report.aside(f"the verdict is kept in {of.folder}; dgpg report {of.folder} shows it")
    if not passed:
        raise typer.Exit(1)


@app.command()
@starting
def train(
    domain: Annotated[
        str | None, typer.Argument(help="Name of a domain, see `dgpg domains`.", autocompletion=domains_like)
    ] = None,
    algorithm: Annotated[
        str | None,
        typer.Option(help="dg-pg (default), mappo, mappo-blocks, ippo, ippo-local, ippo-blocks, mirror-descent."),
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
    log: Annotated[
        str | None,
        typer.Option(metavar="a,b", help="Loggers: tensorboard (default where installed), csv, wandb, mlflow, none."),
    ] = None,
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
    training.trained(domain, named, config, sets or [], out, stop_after, resume, log)


@app.command()
@starting
@one_object
def sweep(
    file: Annotated[
        Path, typer.Argument(parser=place, metavar="FILE", help="Settings, with a table sweep; TOML or JSON.")
    ],
    out: Annotated[Path | None, typer.Option(**PLACE, help="Folder of its runs; sweeps/NAME by default.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time; as many as processors.", show_default=False)
    ] = None,
    search: Annotated[int | None, typer.Option(min=1, help="Draw so many of sweep.search in each combination.")] = None,
    engine: Annotated[str, typer.Option(help="local, or ray: over a Ray cluster.")] = "local",
    as_json: AsJson = False,
) -> None:
    """Train and measure many runs side by side: a grid of settings, or a search, with several seeds each."""
    from dgpg.cli import sweeping

    sweeping.swept(file, out, jobs, search, engine, as_json)


@app.command()
@starting
@one_object
def export(
    run: Annotated[Path, typer.Argument(parser=place, help="Folder of a run.")],
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
    folder: Annotated[Path, typer.Argument(parser=place, metavar="DIR", help="Folder that `dgpg export` wrote.")],
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
    tls_cert: Annotated[
        Path | None, typer.Option(**PLACE, help="Certificate to serve HTTPS with, PEM, those that signed it below it.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(**PLACE, help="Its private key, PEM, without a passphrase.")] = None,
    tls_clients: Annotated[
        Path | None, typer.Option(**PLACE, help="Who signs certificates of clients, PEM; others get no connection.")
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
    run(folder, settings, host, port, protocols, serving.tls(tls_cert, tls_key, tls_clients))


@app.command()
@starting
@one_object
def calibrate(
    domain: DomainName,
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
    from dgpg.runs import building
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
    config = building.domain_config(plugin, domain_only(sets or [], "a calibration"))
    with waiting("fitting"):
        rows = plugin.calibrate(config, data, out, iterations)
    report.calibration(domain, rows, out, as_json)
