"""`init` and `doctor`: an installation's beginning, and what ails it."""

from typing import Annotated

import typer

from gateway.cli.opening import home_of, operating_system_user, product
from gateway.cli.options import Json
from gateway.cli.output import messages, show, show_json, show_table

_NEXT = """\
Next:
  muniment models pull                      fetch the models (once for all installations of this user)
  muniment sources add NAME --type folder --set path=FOLDER --access FILE
  muniment users add --from FILE            the users that the access file names
  muniment sync                             read the documents
  muniment ask "..." --as USER"""
_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(init)
    app.command()(doctor)


def init(
    context: typer.Context,
    *,
    missing: Annotated[
        bool,
        typer.Option("--missing", help="Of a home that exists, make only a lost database or trail anew, empty."),
    ] = False,
) -> None:
    """Make a new installation: its folder, settings, keys, database and audit trail. Nothing is overwritten."""
    home = home_of(context)
    if missing:
        made = product.make_missing_parts(home, by=operating_system_user())
        show(f"Made anew, empty: {', '.join(made)}." if made else "Nothing is missing, and nothing was made.")
        return
    product.create_home(home, by=operating_system_user())
    show(f"Made a Muniment home at {home}. Only you can enter it; keep its keys folder apart from other backups.")
    show(_NEXT, style="dim")


def doctor(
    context: typer.Context,
    *,
    deep: Annotated[bool, typer.Option("--deep", help="Also start the language model.")] = False,
    as_json: Json = False,
) -> None:
    """Check the installation and say what to fix. The exit code is 1 when something fails."""
    with product.Services(home_of(context)) as services, messages().status("Looking ..."):
        checks = list(product.examine(services, deep=deep))
    if as_json:
        show_json(checks)
    else:
        rows = [(check.level.value, check.name, "\n".join(filter(None, (check.detail, check.fix)))) for check in checks]
        show_table(("", "", ""), rows, styles=[_STYLES[check.level] for check in checks])
    if any(check.level == "fail" for check in checks):
        raise typer.Exit(1)
