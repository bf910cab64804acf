"""`hold`: what must be kept, whoever asks for its removal."""

from typing import Annotated

import typer

from gateway.cli.opening import opened, operating_system_user, product
from gateway.cli.options import Json
from gateway.cli.output import show, show_json, show_table
from gateway.errors import BadRequestError

_group = typer.Typer(no_args_is_help=True, help="What must be kept, whoever asks for its removal.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="hold")


@_group.command()
def add(
    context: typer.Context,
    *,
    subject: Annotated[str | None, typer.Option(metavar="USER", help="All of a user's, by name or token.")] = None,
    conversation: Annotated[str | None, typer.Option(metavar="ID", help="One conversation.")] = None,
    request: Annotated[str | None, typer.Option(metavar="ID", help="One question or search.")] = None,
    reason: Annotated[str, typer.Option(help="Which proceeding, and who asked for it.")],
    as_json: Json = False,
) -> None:
    """Keep something until the hold is ended: it is neither erased nor removed after its time."""
    kinds = product.HoldKind
    given = {kinds.SUBJECT: subject, kinds.CONVERSATION: conversation, kinds.REQUEST: request}
    named = [(kind, target) for kind, target in given.items() if target is not None]
    if len(named) != 1:
        message = "Name one of --subject, --conversation and --request."
        raise BadRequestError(message)
    with opened(context) as services:
        hold = services.holds.add(*named[0], reason, by=operating_system_user())
    if as_json:
        show_json(hold)
        return
    show(f"Held: {hold.kind} {hold.target}. It is hold {hold.id}.")


@_group.command("list")
def list_(
    context: typer.Context,
    *,
    ended: Annotated[bool, typer.Option("--ended", help="Also those that have ended.")] = False,
    as_json: Json = False,
) -> None:
    """List the holds, newest first."""
    with opened(context) as services:
        holds = services.holds.listed(ended=ended)
    if as_json:
        show_json(holds)
        return
    rows = [(one.id, one.kind, one.target, one.reason, one.by, one.at, one.ended_at or "") for one in holds]
    columns = ("hold", "of", "", "reason", "by", "since (UTC)", "ended")
    show_table(columns, rows, empty="Nothing is held.")


@_group.command()
def end(context: typer.Context, hold: Annotated[str, typer.Argument(metavar="HOLD", help="The hold's id.")]) -> None:
    """End a hold: what it covered can be erased again, and is removed after its time."""
    with opened(context) as services:
        services.holds.end(hold, by=operating_system_user())
    show(f"Hold {hold} has ended.")
