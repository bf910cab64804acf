"""`users`: who may ask, how they sign in, and where they are signed in."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from connectors.access import load_access
from gateway.cli.opening import opened, operating_system_user
from gateway.cli.options import Json
from gateway.cli.output import show, show_json, show_table
from gateway.errors import BadRequestError
from policies.principals import PrincipalKind, Role

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
    service: Annotated[bool, typer.Option("--service", help="A program, which has keys and no password.")] = False,
    from_file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Add the users that an access file names.")
    ] = None,
) -> None:
    """Add a user, or give one other groups; or all users of an access file."""
    if (name is None) == (from_file is None) or (from_file and (group or service)):
        message = "Give either a name, with its groups, or --from FILE."
        raise BadRequestError(message)
    groups_of = load_access(from_file).users if from_file else {name or "": frozenset(group or ())}
    if not groups_of:
        message = f'{from_file} names no users. Add them under "users".'
        raise BadRequestError(message)
    with opened(context) as services:
        kind = PrincipalKind.SERVICE if service else PrincipalKind.USER
        services.users.add(groups_of, frozenset(role or (Role.EMPLOYEE,)), operating_system_user(), kind)
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


@_group.command()
def password(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The user's name.")],
    *,
    stdin: Annotated[bool, typer.Option("--stdin", help="Read one line from standard input, for programs.")] = False,
) -> None:
    """Give a user a password to sign in with; their sessions end."""
    with opened(context) as services:
        services.users.principal(name)
        given = _line() if stdin else typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        services.password_sign_in.set_password(name, given, by=operating_system_user())
    show(f"User {name} has another password. All of their sessions ended.")


@_group.command()
def unlock(context: typer.Context, name: Annotated[str, typer.Argument(help="The user's name.")]) -> None:
    """Forget a user's failed sign-ins, so that they need not wait."""
    with opened(context) as services:
        services.password_sign_in.unlock(name, by=operating_system_user())
    show(f"User {name} may try again.")


@_group.command()
def link(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The user's name.")],
    subject: Annotated[str, typer.Argument(help="What the identity provider calls them: the claim `sub`.")],
) -> None:
    """Let a user sign in through the identity provider, as this subject of its."""
    with opened(context) as services:
        issuer = services.config.oidc.issuer
        if not issuer:
            message = "No identity provider is set up. Set oidc.issuer first."
            raise BadRequestError(message)
        services.users.link(name, issuer, subject, by=operating_system_user())
    show(f"User {name} is that subject of {issuer}.")


@_group.command()
def sessions(
    context: typer.Context, name: Annotated[str, typer.Argument(help="The user's name.")], *, as_json: Json = False
) -> None:
    """List where a user is signed in."""
    with opened(context) as services:
        listed = services.sessions.listed(services.users.principal(name).id)
    if as_json:
        show_json(listed)
        return
    rows = [(view.id, view.method, view.created_at, view.seen_at, view.expires_at) for view in listed]
    columns = ("session", "by", "since (UTC)", "last seen", "until")
    show_table(columns, rows, empty=f"{name} is signed in nowhere.")


@_group.command("sign-out")
def sign_out(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The user's name.")],
    session: Annotated[str | None, typer.Argument(help="The session; else all of them.")] = None,
) -> None:
    """End a user's sessions, at once and everywhere."""
    by = operating_system_user()
    with opened(context) as services:
        user = services.users.principal(name).id
        if session is None:
            ended = services.sessions.end_all(user, by, "ended")
        else:
            services.sessions.end(session, by, "ended", user)
            ended = 1
    show(f"{ended} sessions of {name} ended.")


def _line() -> str:
    """One line of standard input, without its end."""
    try:
        return sys.stdin.readline().rstrip("\r\n")
    except UnicodeDecodeError as error:
        message = "The password is not text in UTF-8."
        raise BadRequestError(message) from error
