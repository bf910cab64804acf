"""`users`: who may ask."""

from pathlib import Path
from typing import Annotated

import typer

from connectors.access import load_access
from gateway.cli.opening import opened, operating_system_user
from gateway.cli.options import Json
from gateway.cli.output import show, show_json, show_table
from gateway.errors import BadRequestError
from policies.principals import Role

_group = typer.Typer(no_args_is_help=True, help="Who may ask, and in which groups they are.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="users")


@_group.command()
def add(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="The user's name.")] = None,
    *,
    group: Annotated[list[str] | None, typer.Option(help="A group the user is in; may be repeated.")] = None,
    role: Annotated[list[Role] | None, typer.Option(help="What the user may do; may be repeated.")] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Add the users that an access file names.")
    ] = None,
) -> None:
    """Add a user, or give one other groups; or all users of an access file."""
    if (name is None) == (from_file is None) or (from_file and group):
        message = "Give either a name, with its groups, or --from FILE."
        raise BadRequestError(message)
    groups_of = load_access(from_file).users if from_file else {name or "": frozenset(group or ())}
    if not groups_of:
        message = f'{from_file} names no users. Add them under "users".'
        raise BadRequestError(message)
    with opened(context) as services:
        services.users.add(groups_of, frozenset(role or (Role.EMPLOYEE,)), by=operating_system_user())
    show(f"{len(groups_of)} users added or updated." if from_file else f"User {name} added or updated.")


@_group.command("list")
def list_(context: typer.Context, *, as_json: Json = False) -> None:
    """List the users."""
    with opened(context) as services:
        users = services.users.listed()
    if as_json:
        show_json(
            [
                {"id": user.id, "groups": sorted(user.groups), "roles": sorted(user.roles), "active": user.active}
                for user in users
            ]
        )
        return
    rows = [(user.id, user.groups, user.roles, user.active) for user in users]
    show_table(("user", "groups", "roles", "active"), rows, empty="There are no users. `muniment users add` makes one.")


@_group.command()
def disable(context: typer.Context, name: Annotated[str, typer.Argument(help="The user's name.")]) -> None:
    """Take all access from a user, at once; their keys stop working."""
    with opened(context) as services:
        services.users.disable(name, by=operating_system_user())
    show(f"User {name} is disabled.")
