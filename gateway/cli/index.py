"""`index`: the search index, which can always be made again from the database."""

import time

import typer

from gateway.cli.opening import opened, operating_system_user, product
from gateway.cli.output import messages, show

_group = typer.Typer(no_args_is_help=True, help="The search index.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="index")


@_group.command()
def rebuild(context: typer.Context) -> None:
    """Make the index anew from the database, and keep it for the next start."""
    started = time.perf_counter()
    with opened(context) as services, messages().status("Rebuilding ..."):
        services.index_files.remove()
        passages = len(services.index)
        services.recorder.record_now(product.IndexRebuilt(by=operating_system_user(), passages=passages))
    show(f"Indexed {passages} passages in {time.perf_counter() - started:.1f} s.")


@_group.command("drop-old")
def drop_old(context: typer.Context) -> None:
    """Remove the vectors of embedders that are no longer in use. Going back to one embeds everything again then."""
    with opened(context) as services, messages().status("Removing ..."):
        dropped = product.drop_old_vectors(services, operating_system_user())
    show(f"Removed the vectors of embedders that are not in use, of {dropped} passages.")
