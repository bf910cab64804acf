"""`keys`: what programs authenticate with over HTTP."""

from typing import Annotated

import typer

from gateway.cli.opening import opened, operating_system_user
from gateway.cli.options import Json
from gateway.cli.output import show, show_json, show_table, tell

_group = typer.Typer(no_args_is_help=True, help="API keys for the HTTP interface.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="keys")


@_group.command()
def create(
    context: typer.Context,
    user: Annotated[str, typer.Argument(help="Whose key it is.")],
    *,
    as_json: Json = False,
) -> None:
    """Make a key for a user. It is shown this once; only a digest is kept."""
    with opened(context) as services:
        key_id, key = services.users.create_key(user, by=operating_system_user())
    if as_json:
        show_json({"id": key_id, "user": user, "key": key})
        return
    show(key)
    tell(f"The key of {user} is shown only now. Take it back with: muniment keys revoke {key_id}", "dim")


@_group.command("list")
def list_(context: typer.Context, *, as_json: Json = False) -> None:
    """List the keys by their ids; the keys themselves are not kept."""
    with opened(context) as services:
        keys = services.users.keys()
    if as_json:
        show_json([{"id": id_, "user": user, "active": active} for id_, user, active in keys])
        return
    show_table(("id", "user", "works"), keys, empty="There are no keys. `muniment keys create USER` makes one.")


@_group.command()
def revoke(context: typer.Context, key_id: Annotated[str, typer.Argument(help="The key's id.")]) -> None:
    """Make a key useless at once."""
    with opened(context) as services:
        services.users.revoke_key(key_id, by=operating_system_user())
    show(f"Key {key_id} is revoked.")
