"""`erase`: somebody is taken out of everything but the trail, where what stands for them leads nowhere any more."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.opening import opened, operating_system_user, product
from gateway.cli.options import Json
from gateway.cli.output import messages, show, show_json, show_table, tell
from gateway.errors import BadRequestError

if TYPE_CHECKING:
    from gateway.cli.product import Erasure


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(erase)


def erase(
    context: typer.Context,
    *,
    subject: Annotated[
        str | None, typer.Option(metavar="USER", help="A user, by name or by what the trail calls them.")
    ] = None,
    identity: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A person whom documents name: what they are called, as TOML or JSON."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the trail, where it stays: a file number, without names.")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Complete what was begun and broken off.")] = False,
    as_json: Json = False,
) -> None:
    """Erase a user and what they did here, or a person from all documents, for good.

    A legal hold forbids it. Sources are not changed: what comes from them again is masked.
    """
    if resume == (subject is not None or identity is not None):
        message = "Name whom to erase with --subject or --identity, or give --resume alone."
        raise BadRequestError(message)
    described = product.read_identity(identity) if identity else None
    by = operating_system_user()
    with opened(context) as services, messages().status("Erasing ..."):
        erasures = services.erasures
        done = erasures.resume(by) if resume else []
        if subject is not None:
            done.append(erasures.erase_user(subject, by, reason))
        if described is not None:
            done.append(erasures.erase_person(described, by, reason))
    if as_json:
        show_json(done)
    else:
        _tell(done)


def _tell(done: "Sequence[Erasure]") -> None:
    if not done:
        show("Nothing was left to complete.")
    for one in done:
        show(f"Erased. The trail calls them {one.token}; number {one.number} of the ledger.", "green")
        show_table(("what", "how many"), [(kind.replace("_", " "), count) for kind, count in one.counts.items()])
        for left in one.left:
            tell(f"Still there: {left}.", "yellow")
