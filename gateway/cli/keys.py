"""`keys`: what programs authenticate with over HTTP, and the installation's own (`signing.py`)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from gateway.cli.opening import opened, operating_system_user
from gateway.cli.options import Json
from gateway.cli.output import show, show_json, show_table, tell
from gateway.errors import BadRequestError
from policies.actions import Action

group = typer.Typer(no_args_is_help=True, help="API keys for the HTTP interface, and the installation's own keys.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="keys")


@group.command()
def create(
    context: typer.Context,
    user: Annotated[str, typer.Argument(help="Whose key it is.")],
    *,
    scope: Annotated[
        list[Action] | None, typer.Option(help="An action the key is for; may be repeated. Else all the user may do.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it stops: 90d, 12h, 2027-01-31 or 2027-01-31T12:00 (UTC).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key for a user. It is shown this once; only a digest is kept."""
    expires_at = _end(expires) if expires is not None else None
    with opened(context) as services:
        key_id, key = services.users.create_key(user, operating_system_user(), scope or (), expires_at)
    if as_json:
        show_json({"id": key_id, "user": user, "key": key, "scopes": sorted(scope or ()), "expires_at": expires_at})
        return
    show(key)
    tell(f"The key of {user} is shown only now. Take it back with: muniment keys revoke {key_id}", "dim")


@group.command("list")
def list_(context: typer.Context, *, as_json: Json = False) -> None:
    """List the keys by their ids; the keys themselves are not kept."""
    with opened(context) as services:
        keys = services.users.keys()
    if as_json:
        show_json(keys)
        return
    rows = [(key.id, key.user, key.active, key.scopes or "all", key.expires_at, key.last_used_at) for key in keys]
    columns = ("id", "user", "works", "for", "until (UTC)", "last used")
    show_table(columns, rows, empty="There are no keys. `muniment keys create USER` makes one.")


@group.command()
def revoke(context: typer.Context, key_id: Annotated[str, typer.Argument(help="The key's id.")]) -> None:
    """Make a key useless at once."""
    with opened(context) as services:
        services.users.revoke_key(key_id, by=operating_system_user())
    show(f"Key {key_id} is revoked.")


def _end(text: str) -> datetime:
    """The time that is meant: so many days or hours from now, or a date with or without a time of day."""
    if match := re.fullmatch(r"(\d{1,5})([dh])", text):
        return datetime.now(UTC) + timedelta(hours=int(match[1]) * (24 if match[2] == "d" else 1))
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        message = f"{text!r} is no time. Write 90d, 12h, 2027-01-31 or 2027-01-31T12:00."
        raise BadRequestError(message) from error
