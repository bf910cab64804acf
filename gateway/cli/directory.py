"""`directory`: users and groups as the company's directory says."""

from typing import Annotated

import typer

from gateway.cli.opening import opened, operating_system_user
from gateway.cli.options import Json
from gateway.cli.output import show, show_json, show_table

_group = typer.Typer(no_args_is_help=True, help="Users and groups from an LDAP directory.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="directory")


@_group.command()
def sync(
    context: typer.Context,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    allow_mass_removal: Annotated[
        bool, typer.Option("--allow-mass-removal", help="Disable as many users at once as have left the directory.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read the directory and make users and groups what it says, at once. Who left it is disabled."""
    with opened(context) as services:
        report = services.directories.sync(
            operating_system_user(), dry_run=dry_run, allow_mass_removal=allow_mass_removal
        )
    if as_json:
        show_json(report)
        return
    rows = [
        *((user, "created") for user in report.created),
        *((user, "linked") for user in report.linked),
        *((user, "let in again") for user in report.enabled),
        *((user, "disabled") for user in report.disabled),
        *((user, f"into {', '.join(groups)}") for user, groups in report.added.items()),
        *((user, f"out of {', '.join(groups)}") for user, groups in report.removed.items()),
        *((group, f"is in {parent}") for group, parent in report.nested),
        *((group, f"is no longer in {parent}") for group, parent in report.unnested),
        *((name, f"left alone: {reason}") for name, reason in report.skipped),
    ]
    show_table(("who", "what"), rows, empty="Nothing changes.")
    done = "Read" if report.applied else "Nothing was changed; read"
    show(f"{done}: {report.users} users, {report.groups} groups.")


@_group.command()
def status(context: typer.Context, *, as_json: Json = False) -> None:
    """Say when the directory was read, and whether its users are denied because that was too long ago."""
    with opened(context) as services:
        state = services.directories.state()
    if as_json:
        show_json(state)
        return
    show(f"{state.users} users come from the directory. It was read at {state.read_at or 'no time'} (UTC).")
    if state.problem:
        show(f"The try at {state.tried_at} failed: {state.problem}")
    if state.lost and state.users:
        show("That is too long ago: everybody who comes from it is denied.")
