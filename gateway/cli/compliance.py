"""`compliance`: what an organisation has to be able to show."""

import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gateway.cli.opening import opened, product
from gateway.cli.options import Json
from gateway.cli.output import show, show_json, tell
from gateway.errors import BadRequestError

_group = typer.Typer(no_args_is_help=True, help="What an organisation has to be able to show.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="compliance")


@_group.command()
def record(
    context: typer.Context,
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A new file for it, in Markdown, or in JSON with --json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the record of processing (GDPR, article 30) as settings, policies, users and sources are now.

    What only the organisation knows stands under [compliance] in muniment.toml; what is missing there is listed.
    """
    with opened(context) as services:
        made = product.make_record(services)
    if out is not None:
        text = (
            json.dumps(msgspec.to_builtins(made), ensure_ascii=False, indent=2)
            if as_json
            else product.as_markdown(made)
        )
        with product.named_when_whole(out, "The record", BadRequestError) as file:
            file.write(text.encode())
        show(f"Wrote {out}.")
    elif as_json:
        show_json(made)
    else:
        show(product.as_markdown(made))
    if made.to_be_filled_in:
        tell(f"To be filled in, in muniment.toml: {', '.join(made.to_be_filled_in)}.", "yellow")
