"""`subject`: what is held about a person."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.opening import opened, operating_system_user, product
from gateway.cli.options import Json
from gateway.cli.output import show, show_json
from gateway.files import require_free

_group = typer.Typer(no_args_is_help=True, help="What is held about a person.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="subject")


@_group.callback()
def _alone() -> None:
    """What is held about a person."""


@_group.command()
def export(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="Whose copy it is.")],
    *,
    out: Annotated[
        Path, typer.Option(metavar="FILE.zip|FOLDER", help="A new file or folder. It is for that person alone.")
    ],
    as_json: Json = False,
) -> None:
    """Write a copy of all that is held about a user: account, sessions, keys, conversations, entries of the trail.

    For the person themselves (GDPR, articles 15 and 20). Other people stand in it as numbers.
    """
    require_free(out)
    with opened(context) as services:
        files = product.export_copy(services, user, operating_system_user())
        product.write_copy(files, out)
    if as_json:
        show_json({"user": user, "out": str(out), "files": sorted(files)})
        return
    show(f"Wrote what is held about {user} to {out}. Hand it to nobody else.")
