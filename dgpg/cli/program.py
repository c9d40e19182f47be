"""The program, and options that several of its commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dgpg.cli.ending import Commands

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
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


def place(text: str | Path) -> Path:
    """A file or folder that somebody named; an empty name is a mistake."""
    if not str(text).strip():
        raise typer.BadParameter("nothing is given; name a place, or leave the option out.")
    return Path(text)


PLACE: Any = {"parser": place, "metavar": "PATH"}
"""Of options that name a file or a folder: `--out ''` is not here."""
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=v", help="A setting of the domain; train.x=v and coordination.x=v of those."),
]
DomainSets = Annotated[list[str] | None, typer.Option("--set", metavar="a.b=v", help="A setting of the domain.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]
Runs = Annotated[list[Path], typer.Argument(parser=place, metavar="RUN [RUN ...]", help="Run folders.")]
Episodes = Annotated[int, typer.Option(min=1, help="Episodes each row is measured on.")]
SEEDS = 2**48 - 1
EvaluationSeed = Annotated[int, typer.Option(min=0, max=SEEDS, help="Seed of the arrivals, the same for every row.")]


def domains_like(begun: str) -> list[str]:
    """Names of installed domains that begin so, for a shell; nothing is imported."""
    from importlib.metadata import entry_points

    return sorted({point.name for point in entry_points(group="dgpg.domains") if point.name.startswith(begun)})


DomainName = Annotated[str, typer.Argument(help="Name of a domain, see `dgpg domains`.", autocompletion=domains_like)]
