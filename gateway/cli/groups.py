"""`groups`: which groups are in which."""

from typing import Annotated

import typer

from gateway.cli.opening import opened, operating_system_user
from gateway.cli.options import Json
from gateway.cli.output import show, show_json, show_table

_group = typer.Typer(no_args_is_help=True, help="Groups within groups.")
_Group = Annotated[str, typer.Argument(help="The group that is in the other.")]
_Parent = Annotated[str, typer.Argument(help="The group it is in.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="groups")


@_group.command("list")
def list_(context: typer.Context, *, as_json: Json = False) -> None:
    """List the groups that somebody is named in, and what they are in."""
    with opened(context) as services:
        groups = services.groups.listed()
    if as_json:
        show_json(groups)
        return
    rows = [(view.group, view.users, [f"{place.group} ({place.origin})" for place in view.within]) for view in groups]
    empty = "There are no groups. `muniment users add` names people in groups."
    show_table(("group", "users named in it", "is in"), rows, empty=empty)


@_group.command()
def nest(context: typer.Context, group: _Group, parent: _Parent) -> None:
    """Put everybody who is in GROUP into PARENT too, at once."""
    with opened(context) as services:
        services.groups.nest(group, parent, by=operating_system_user())
    show(f"Whoever is in {group} is in {parent} too.")


@_group.command()
def unnest(context: typer.Context, group: _Group, parent: _Parent) -> None:
    """Take GROUP out of PARENT again, at once."""
    with opened(context) as services:
        services.groups.unnest(group, parent, by=operating_system_user())
    show(f"{group} is no longer in {parent}.")
