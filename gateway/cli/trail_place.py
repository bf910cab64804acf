"""`audit prepare` and `audit go-on`: where the trail is, and what to do when it is not what it was."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.audit import group
from gateway.cli.opening import home_of, operating_system_user, product
from gateway.cli.output import show, tell
from gateway.config import load_config
from gateway.errors import BadRequestError
from gateway.trail_place import postgres_place, read_password
from policies.audit.chain import new_id
from policies.audit.postgres_tables import OWNER, WRITER, statements


def register(_: typer.Typer) -> None:
    """Add the commands to the group `audit`."""
    group.command()(prepare)
    group.command("go-on")(go_on)


def prepare(
    context: typer.Context,
    *,
    address: Annotated[
        str | None,
        typer.Option("--as", metavar="ADDRESS", help="Run the statements as somebody who may make roles and schemas."),
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", metavar="FILE", help="Their password, readable by you alone.")
    ] = None,
    owner: Annotated[str, typer.Option(help="The role that owns the trail, and alone may reduce it.")] = OWNER,
    writer: Annotated[str, typer.Option(help="The role that writes, and can do nothing else.")] = WRITER,
) -> None:
    """Print the SQL that makes a trail in PostgreSQL, for a DBA to run; or run it.

    Addresses are of the form postgresql://user@host/database. Give the roles passwords afterwards.
    """
    options = load_config(home_of(context)).audit
    try:
        sql = statements(new_id(), options.database_schema, owner, writer)
    except ValueError as error:
        message = f"{error}."
        raise BadRequestError(message) from error
    if address is None:
        sys.stdout.write("BEGIN;\n" + "".join(f"{statement};\n" for statement in sql) + "COMMIT;\n")
        return
    password = read_password(password_file) if password_file else ""
    product.prepare(postgres_place(address, options, password), owner, writer)
    show(f"Made a trail in the schema {options.database_schema}.")
    tell(
        f"Give {writer} a password (\\password {writer}), put it into audit.database_password_file, name the database",
        "dim",
    )
    tell("in audit.database, and run `muniment audit go-on`: entries that are written elsewhere stay there.", "dim")


def go_on(context: typer.Context) -> None:
    """Accept that the trail lacks what this installation wrote to it, or is another one. That is in the trail then.

    For a trail that was restored from a backup or was begun anew elsewhere. Nothing is answered before.
    """
    before = product.accept_loss(home_of(context), by=operating_system_user())
    if before is None:
        show("The trail lacks nothing that this installation remembers, and nothing was changed.")
    else:
        show(f"The trail goes on as it is. It says that trail {before.log} went up to entry {before.count}.")
