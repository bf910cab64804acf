"""Looking into the trail from the command line: who does, for which reason, and what they are shown."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from gateway.audit.csv_text import csv_text
from gateway.cli.opening import operating_system_user, product
from gateway.cli.output import messages, tell
from gateway.errors import BadRequestError, DatabaseBusyError, DatabaseUnusableError
from policies.errors import TrailUnavailableError

if TYPE_CHECKING:
    from gateway.cli.product import Looking, Services

Reason = Annotated[
    str | None,
    typer.Option("--reason", metavar="TEXT", help="Why you look. Kept sealed; the trail names it."),
]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, for spreadsheets.")]


def looking_for(services: "Services", reason: str | None) -> "Looking":
    """Who looks, and the reason they wrote. Whoever is here can read the file anyway, so none is demanded by default.

    Raises:
        BadRequestError: The settings demand a reason, or it says too little.
        TrailUnavailableError: The reason could not be recorded.
    """
    by = operating_system_user()
    if reason is None:
        if services.config.audit.reason_at_command_line:
            message = "This installation asks for a reason: say with --reason why you look into the trail."
            raise BadRequestError(message)
        return product.Looking(by)
    return product.Looking(by, services.investigations.note(by, reason).id)


def record_reading(
    services: "Services",
    looking: "Looking",
    operation: str,
    entries: int,
    filters: tuple[str, ...] = (),
) -> None:
    """Record that somebody reads the trail."""
    try:
        services.recorder.record_now(looking.read(operation, entries, filters))
    except (TrailUnavailableError, DatabaseBusyError, DatabaseUnusableError) as error:
        tell_unrecorded(error)


def tell_unrecorded(error: Exception) -> None:
    """Fails open, knowingly: whoever is here can read the file anyway, and may be here to find out what ails it."""
    tell(f"That the trail was read could not be recorded. {error}", "yellow")


@contextmanager
def progress() -> Iterator[Callable[[int, int], None]]:
    """Show how much of the trail has been looked through, where somebody watches."""
    console = messages()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("Searching the trail ...", total=None)

        def advance(done: int, of: int) -> None:
            shown.update(task, completed=done, total=of)

        yield advance


def show_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows as CSV, and nothing else."""
    sys.stdout.write(csv_text(columns, rows))


def tell_next(number: int | None, option: str) -> None:
    """Say how to go on, where there may be more."""
    if number is not None:
        tell(f"There may be more: go on with {option} {number}.", "dim")
