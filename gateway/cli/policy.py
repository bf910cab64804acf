"""`policy`: who could see this, and why."""

from typing import Annotated

import typer

from gateway.cli.opening import opened, product
from gateway.cli.options import Json
from gateway.cli.output import show, show_json, show_table

_group = typer.Typer(no_args_is_help=True, help="Who could see this, and why.")
_User = Annotated[str, typer.Option("--user", metavar="USER", help="Whose rights.")]
_Document = Annotated[str, typer.Option("--document", metavar="ID|PATH", help="A document's id, or its path.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="policy")


@_group.command()
def check(context: typer.Context, user: _User, document: _Document, *, as_json: Json = False) -> None:
    """Say whether a user may read a document. The exit code is 1 when they may not."""
    with opened(context) as services:
        explained = product.explain(services.database, services.authorizer, services.users.principal(user), document)
    if as_json:
        show_json({"allowed": explained.allowed, "reason": explained.reason, "policies": explained.policies})
    else:
        show("allowed" if explained.allowed else "denied", "green" if explained.allowed else "red")
    if not explained.allowed:
        raise typer.Exit(1)


@_group.command()
def explain(context: typer.Context, user: _User, document: _Document, *, as_json: Json = False) -> None:
    """Say what decides whether a user may read a document: the rules, the label, the groups."""
    with opened(context) as services:
        explained = product.explain(services.database, services.authorizer, services.users.principal(user), document)
    if as_json:
        show_json(explained)
        return
    rows = [
        ("document", f"{explained.path} ({explained.document}, source {explained.source})"),
        ("user", f"{explained.user}{'' if explained.active else ' (disabled)'}"),
        ("groups", explained.groups),
        ("decision", "allowed" if explained.allowed else "denied"),
        ("because", explained.reason),
        ("policies", explained.policies),
        *(("label: " + name.replace("_", " "), members) for name, members in explained.label.items()),
        ("sees of personal data", explained.revealed),
    ]
    show_table(("", ""), rows)
