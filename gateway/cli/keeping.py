"""`audit reduce` and `audit copy`: how long the trail keeps what entries say, and a copy for whoever checks it."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.audit import group
from gateway.cli.looking import Reason, looking_for, record_reading
from gateway.cli.opening import opened, operating_system_user, product
from gateway.cli.options import Json
from gateway.cli.output import messages, show, show_json, show_table, tell


def register(_: typer.Typer) -> None:
    """Add the commands to the group `audit`."""
    group.command()(copy)
    group.command()(reduce)


def copy(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; nothing is overwritten.")],
    *,
    reason: Reason = None,
) -> None:
    """Write the trail as one file of the format that auditors' programs read, wherever it is kept."""
    with opened(context) as services:
        newest = product.read_entries(services.trail_place, product.EntryQuery(limit=1))
        record_reading(services, looking_for(services, reason), "copy", newest[0].id if newest else 0)
        with messages().status("Copying ..."):
            entries = product.copy_trail(services.trail_place, file)
    show(f"{entries} entries are in {file}. Check them with: python3 verify_trail.py trail {file} --key PUBLIC.PEM")


def reduce(
    context: typer.Context,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without, say what would be removed.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what old entries say, as `audit.retention` tells; their hashes stay, so the rest can be checked."""
    with opened(context) as services:
        if not services.config.audit.retention.days:
            tell("Everything is kept for good. [audit.retention] says for how many days it is kept instead.")
            return
        found = services.retention.reduce(operating_system_user()) if yes else services.retention.planned()
    if as_json:
        show_json(
            {
                "removed": len(found.ids) if yes else 0,
                "would_remove": len(found.ids),
                "classes": found.classes,
                "held": found.held,
            }
        )
        return
    rows = [(name, count) for name, count in sorted(found.classes.items())]
    show_table(("class", "entries"), rows, empty="There is nothing whose time is over.")
    if found.held:
        tell(f"{found.held} more stay since they are held. `muniment hold list` says by whom and why.")
    if found.ids:
        show("This was removed for good." if yes else "Nothing was removed. Add --yes to remove this for good.")
