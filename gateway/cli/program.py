"""`muniment`: the global options, every command, and the one place where errors become exit codes."""

import logging
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gateway.cli import (
    asking,
    audit,
    backups,
    compliance,
    directory,
    erasing,
    evaluating,
    groups,
    handing_out,
    holds,
    index,
    investigating,
    keeping,
    keys,
    models,
    policy,
    redact,
    sending,
    serving,
    setting_up,
    signing,
    sources,
    subject,
    trail_place,
    usage,
    users,
)
from gateway.cli.failures import run_guarded
from gateway.errors import BadRequestError
from policies.offline import switch_off


class Program(TyperGroup):
    """The command line as a whole; `--home` may stand anywhere on it."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **_named: Any) -> Any:
        """Run a command line and exit with its code."""
        arguments = _home_first(sys.argv[1:] if args is None else args)
        main = super().main

        def run() -> Any:
            switch_off()
            _require_utf8(arguments)
            return main(arguments, "muniment", standalone_mode=False)

        code = run_guarded(run, as_json="--json" in arguments)
        sys.exit(code)


def _require_utf8(arguments: Sequence[str]) -> None:
    """Refuse bytes that are no UTF-8: they cannot be stored, searched for or written to the trail.

    Raises:
        BadRequestError: An argument holds some.
    """
    for number, argument in enumerate(arguments, start=1):
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            message = f"Argument {number} is not valid UTF-8. Set the terminal to UTF-8, or rename the file."
            raise BadRequestError(message) from error


def _home_first(arguments: Sequence[str]) -> list[str]:
    """Move `--home FOLDER` before the command, so that people need not remember where it goes."""
    own, rest = list(arguments), list[str]()
    if "--" in own:
        end = own.index("--")
        own, rest = own[:end], own[end:]
    for number, argument in enumerate(own):
        if argument == "--home" or argument.startswith("--home="):
            taken = 2 if argument == "--home" else 1
            return [*own[number : number + taken], *own[:number], *own[number + taken :], *rest]
    return [*own, *rest]


app = typer.Typer(
    cls=Program,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Ask your company's confidential documents; get only what you may read, with proof of who was shown what.",
)


def _version(value: bool) -> None:  # noqa: FBT001 - Typer calls it with the option's value
    if value:
        typer.echo(f"muniment {version('muniment')}")
        raise typer.Exit


@app.callback()
def _global_options(
    context: typer.Context,
    home: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="The installation; else MUNIMENT_HOME, else .muniment in your own folder."),
    ] = None,
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    context.obj = home
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)


for group in (
    setting_up,
    asking,
    sources,
    models,
    users,
    groups,
    directory,
    keys,
    audit,
    handing_out,
    sending,
    investigating,
    holds,
    trail_place,
    keeping,
    erasing,
    backups,
    compliance,
    subject,
    policy,
    redact,
    index,
    evaluating,
    usage,
    serving,
    signing,
):
    group.register(app)


def main() -> None:
    """The console script."""
    app()
