"""`audit exports` and `audit stamps`: how other systems and authorities do."""

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.audit import FINDINGS, group
from gateway.cli.opening import home_of, opened, operating_system_user, product
from gateway.cli.options import Json
from gateway.cli.output import show_json, show_table
from gateway.config import load_config
from gateway.errors import NotFoundError

if TYPE_CHECKING:
    from gateway.cli.product import StampState


def register(_: typer.Typer) -> None:
    """Add the commands to the group `audit`."""
    group.command()(exports)
    group.command()(stamps)


def exports(
    context: typer.Context,
    *,
    restart: Annotated[
        str | None, typer.Option(metavar="NAME", help="Send to this place again, from the beginning or behind --after.")
    ] = None,
    after: Annotated[int, typer.Option(min=0, help="With --restart: the entry to go on behind.")] = 0,
    as_json: Json = False,
) -> None:
    """Show the systems that entries are sent to, and how far."""
    with opened(context) as services:
        if restart is not None:
            _restart(services, restart, after)
        states = product.export_states(services.config.audit, services.home)
    if as_json:
        show_json(states)
        return
    columns = ("name", "kind", "format", "at entry", "behind", "sent (UTC)", "failing since", "last error")
    rows = [
        (one.name, one.kind, one.format.value, one.entry, one.behind, one.sent_at, one.failing_since, one.error or None)
        for one in states
    ]
    show_table(columns, rows, empty="Entries are sent nowhere. The settings name places as [[audit.exports]].")


def stamps(context: typer.Context, *, as_json: Json = False) -> None:
    """List the time stamps of checkpoints, and whether each holds. The exit code is 1 when one does not."""
    home = home_of(context)
    states = product.stamp_states(load_config(home).audit, home)
    if as_json:
        show_json(states)
    else:
        rows = [(one.checkpoint, one.entries, _stamped_at(one), one.problem or "holds") for one in states]
        empty = "No checkpoint was stamped. audit.stamp_url names an authority."
        show_table(("checkpoint", "entries up to it", "existed at (UTC)", ""), rows, empty=empty)
    if any(one.problem for one in states):
        raise typer.Exit(FINDINGS)


def _stamped_at(state: "StampState") -> str:
    return f"{state.at:%Y-%m-%d %H:%M:%S}" if state.at else "-"


def _restart(services: "product.Services", name: str, after: int) -> None:
    """Whichever process sends does it, within a second or when it starts."""
    if name not in {export.name for export in services.config.audit.exports}:
        message = f"The settings name no export {name}. `muniment audit exports` lists them."
        raise NotFoundError(message)
    services.recorder.record_now(product.ExportRestarted(operating_system_user(), name, after))
    product.PositionFile(services.home.exports, name).ask_restart(after)
