"""`usage`: what was used, and what it cost."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from gateway.cli.looking import Csv, show_csv
from gateway.cli.opening import opened, operating_system_user, product
from gateway.cli.options import Json
from gateway.cli.output import show_json, show_table, tell
from gateway.errors import BadRequestError
from gateway.usage.schemas import Grouping

if TYPE_CHECKING:
    from gateway.usage.schemas import UsageLine, UsageReport

_group = typer.Typer(no_args_is_help=True, help="What was used, and what it cost.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(_group, name="usage")


@_group.command()
def report(
    context: typer.Context,
    *,
    by: Annotated[Grouping, typer.Option(help="What there is a line for.")] = Grouping.USER,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="The first day, as 2026-12-01; else the month's first.")
    ] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help="The last day, itself included.")] = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Show what was used, by user, group, model or day. That you looked is recorded."""
    days = (_day(first), _day(last))
    with opened(context) as services:
        found = services.usage_reports.report(by, *days)
        shown = product.UsageReported(
            operating_system_user(), by.value, found.first_day, found.last_day, len(found.lines)
        )
        services.recorder.record_now(shown)
    if as_json:
        show_json(found)
    elif as_csv:
        rows = [[*msgspec.structs.astuple(line), found.currency] for line in found.lines]
        show_csv((by.value, *_fields(), "currency"), [[("" if cell is None else cell) for cell in row] for row in rows])
    else:
        _show(found)


def _show(found: "UsageReport") -> None:
    lines = [*found.lines, found.total] if found.lines else []
    cost = f"cost ({found.currency})"
    read = ("tokens read", "again", "written")
    columns = (found.grouping.value, "questions", "declined", "failed", "refused", *read, "seconds", cost)
    empty = f"Nothing was used from {found.first_day} to {found.last_day}."
    show_table(columns, [_row(line) for line in lines], empty=empty)
    if lines and found.grouping is Grouping.GROUP:
        tell("Who is in several groups counts in each of them, so these do not add up to the total.", "dim")


def _row(line: "UsageLine") -> tuple[object, ...]:
    return (
        line.name,
        line.questions,
        line.abstained,
        line.failed,
        line.refused,
        line.prompt_tokens,
        line.cached_tokens,
        line.completion_tokens,
        line.compute_seconds,
        _cost(line),
    )


def _cost(line: "UsageLine") -> str:
    if line.cost is None:
        return "no price"
    return f"{line.cost} and {line.unpriced} without a price" if line.unpriced else line.cost


def _fields() -> tuple[str, ...]:
    return product.UsageLine.__struct_fields__[1:]


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        message = f"{text!r} is no day. Write it as 2026-12-01."
        raise BadRequestError(message) from error
