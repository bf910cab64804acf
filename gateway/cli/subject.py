"""`subject`: what is held about a person."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.opening import opened, operating_system_user, product
from gateway.cli.options import Json
from gateway.cli.output import messages, show, show_json, tell
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
    user: Annotated[str, typer.Argument(metavar="[USER]", help="Whose copy it is.")] = "",
    *,
    identity: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What the person is called, as for `erase`: documents that name them, too."),
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE.zip|FOLDER", help="A new file or folder. It is for that person alone.")
    ],
    as_json: Json = False,
) -> None:
    """Write a copy of all that is held about a user: account, sessions, keys, conversations, entries of the trail.

    For the person themselves (GDPR, articles 15 and 20). Other people stand in it as numbers.
    """
    require_free(out)
    described = product.read_identity(identity) if identity else None
    with opened(context) as services, messages().status("Gathering ..."):
        files = product.export_copy(services, user, operating_system_user(), described)
        product.write_copy(files, out)
    if as_json:
        show_json({"user": user, "out": str(out), "files": sorted(files)})
        return
    show(f"Wrote {len(files)} files to {out}. Hand them to nobody else.")
    if described is not None:
        tell("Titles of documents can be confidential: look through documents.json before you hand it out.", "yellow")
