"""`sources` and `sync`: where documents come from, and reading them."""

import re
from collections import Counter
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from connectors.errors import ConnectorError
from gateway.cli.opening import opened, operating_system_user
from gateway.cli.options import Json
from gateway.cli.output import messages, printable, show, show_json, show_table, tell
from gateway.errors import BadRequestError, translate
from policies.principals import Role
from retrieval.errors import RetrievalError

if TYPE_CHECKING:
    from gateway.cli.product import Services
    from gateway.sources.flags import FlaggedPassage
    from gateway.sources.schemas import SourceOwners
    from retrieval.ingestion import SyncReport

_MOST_REASONS = 10
_AGE_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_group = typer.Typer(no_args_is_help=True, help="Where documents come from.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="sources")
    app.command()(sync)


@_group.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    *,
    type_: Annotated[str, typer.Option("--type", help="The connector, such as folder.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A connector's setting; may be repeated.")
    ] = None,
    access: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Who may read what; without it every document is private.")
    ] = None,
    max_acl_age: Annotated[
        str | None,
        typer.Option(
            metavar="AGE", help="Show nothing of it once its permissions are older: 90m, 12h or 7d. Else no limit."
        ),
    ] = None,
    owner: Annotated[
        list[str] | None, typer.Option(metavar="USER|GROUP", help="Who looks after it; may be repeated.")
    ] = None,
) -> None:
    """Add a source, once it has been seen to be readable."""
    age = _age(max_acl_age) if max_acl_age else timedelta(0)
    with opened(context) as services:
        owners = services.owners.named(owner or [])
        services.sources.add(name, type_, _pairs(settings or []), access, operating_system_user(), age, owners)
        if owners:
            _tell_of_roles(services, services.owners.of(name))
    show(f"Added source {name}. Read it with: muniment sync {name}")
    if access is None:
        tell("It has no access file, so nobody can read its documents unless the source itself says who may.", "yellow")


def _age(text: str) -> timedelta:
    """An age as people write it."""
    match = re.fullmatch(r"([1-9]\d{0,5})([mhd])", text)
    if match is None:
        message = f"{text!r} is no age. Write 90m, 12h or 7d."
        raise BadRequestError(message)
    return int(match[1]) * _AGE_UNITS[match[2]]


def _pairs(settings: list[str]) -> dict[str, str]:
    """`name=value` as a mapping."""
    for setting in settings:
        if "=" not in setting:
            message = f"{setting!r} is no setting. Write NAME=VALUE."
            raise BadRequestError(message)
    names = Counter(setting.split("=", 1)[0] for setting in settings)
    if twin := next((name for name, count in names.items() if count > 1), None):
        message = f"--set {twin} is given twice. Give it once."
        raise BadRequestError(message)
    return dict(setting.split("=", 1) for setting in settings)


@_group.command("list")
def list_(context: typer.Context, *, as_json: Json = False) -> None:
    """List the sources with how many documents each has."""
    with opened(context) as services:
        listed = services.sources.listed()
    if as_json:
        show_json(listed)
        return
    rows = [
        (
            source.name,
            source.type,
            " ".join(f"{key}={value}" for key, value in source.settings.items()),
            source.documents,
            source.skipped,
            source.synced_at,
        )
        for source in listed
    ]
    columns = ("source", "type", "settings", "documents", "skipped", "read at (UTC)")
    show_table(columns, rows, empty="There are no sources. `muniment sources add` makes one.")


@_group.command()
def skipped(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The source.")],
    *,
    as_json: Json = False,
) -> None:
    """List what could not be read in a source, with reasons."""
    with opened(context) as services:
        services.sources.require(name)
        rows = services.sources.skipped(name)
    if as_json:
        show_json([{"path": path, "reason": reason} for path, reason in rows])
        return
    show_table(("path", "reason"), rows, empty=f"Nothing of {name} was skipped.")


@_group.command()
def flags(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The source.")],
    *,
    offset: Annotated[int, typer.Option(min=0, help="How many passages to pass over first.")] = 0,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=1000, help="How many at most.")] = 100,
    as_json: Json = False,
) -> None:
    """List passages that stand out: hidden text, orders to a model, forgeries. Where and why, never their text."""
    with opened(context) as services:
        found = services.flags.of(name, offset, limit)
    if as_json:
        show_json(found)
        return
    rows = [
        (one.path, one.page or "", f"{one.start}-{one.end}", ", ".join(one.flags), _state(one))
        for one in found.passages
    ]
    columns = ("path", "page", "characters", "flags", "")
    show_table(columns, rows, empty=f"No passage of {name} stands out.")
    if found.total:
        shown = f"{len(rows)} of {found.total} passages; {found.quarantined} of all are in quarantine, so not found."
        tell(shown, "yellow" if found.quarantined else "")


def _state(passage: "FlaggedPassage") -> str:
    return "quarantined" if passage.quarantined else "released" if passage.released else ""


@_group.command()
def release(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The source.")],
    path: Annotated[str, typer.Argument(help="The document's path in the source, or its id.")],
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Put it into quarantine again.")] = False,
) -> None:
    """Let a document out of quarantine, as its text is now; once that changes, it is judged anew."""
    with opened(context) as services:
        count = services.flags.release(name, path, operating_system_user(), released=not undo)
    show(f"{'Put back' if undo else 'Released'} {path} of {name}, with {count} flagged passages.")


@_group.command()
def remove(context: typer.Context, name: Annotated[str, typer.Argument(help="The source.")]) -> None:
    """Remove a source and all its documents; the files themselves are not touched."""
    with opened(context) as services:
        services.sources.require(name)
        removed = services.sources.remove(name, services.ingestion, by=operating_system_user())
    show(f"Removed source {name} with {removed} documents.")


@_group.command()
def owners(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The source.")],
    *,
    add: Annotated[
        list[str] | None, typer.Option("--add", metavar="USER|GROUP", help="A further owner; may be repeated.")
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="USER|GROUP", help="An owner no longer; may be repeated.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show who looks after a source, or change it. Owners do not read its documents because of it.

    A name that is a user's and a group's is written user:NAME or group:NAME.
    """
    with opened(context) as services:
        if add or remove:
            owned = services.owners.change(name, add or [], remove or [], by=operating_system_user())
            _tell_of_roles(services, owned)
        else:
            owned = services.owners.of(name)
    if as_json:
        show_json({"source": name, "owners": owned})
        return
    rows = [*(("user", user) for user in owned.users), *(("group", group) for group in owned.groups)]
    show_table(
        ("", "owner"), rows, empty=f"Nobody owns {name}. `muniment sources owners {name} --add USER` says who does."
    )


def _tell_of_roles(services: "Services", owned: "SourceOwners") -> None:
    """Owning takes the role as well, which is easily forgotten."""
    have = {user.id for user in services.users.listed() if Role.SOURCE_OWNER in user.roles}
    for user in owned.users:
        if user not in have:
            tell(f"{user} has not the role {Role.SOURCE_OWNER}, without which owning gives nothing.", "yellow")


def sync(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="The source; else all of them.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Read what changed in a source, or in all of them; one that fails does not keep the others from being read."""
    with opened(context) as services:
        listed = [source.name for source in services.sources.listed()]
        if name is not None:
            services.sources.require(name)
        reports, errors = _sync_all(services, listed if name is None else [name])
        reasons = {report.source: _reasons(services, report.source) for report in reports}
        if any(report.epoch for report in reports):
            services.save_index(services.index)
    if as_json:
        runs = [_report_object(report, reasons[report.source]) for report in reports]
        show_json({"sources": [*runs, *(_error_object(source, error) for source, error in errors.items())]})
    else:
        _show_reports(reports, reasons)
    for error in errors.values():
        tell(str(error), "red")
    exit_codes = [translation.exit_code for error in errors.values() if (translation := translate(error))]
    if exit_codes:
        raise typer.Exit(exit_codes[0])


def _sync_all(services: "Services", names: list[str]) -> tuple[list["SyncReport"], dict[str, Exception]]:
    """Read the sources one after another; what is wrong with a source is kept for the end."""
    reports: list[SyncReport] = []
    errors: dict[str, Exception] = {}
    with _progress() as progress:
        for name in names:
            task = progress.add_task(name, total=None, documents="", rate="", doing="looking ...")
            try:
                reports.append(
                    services.sources.sync(
                        name, services.ingestion, operating_system_user(), partial(_advance, progress, task)
                    )
                )
            except (ConnectorError, RetrievalError) as error:
                errors[name] = error
    return reports, errors


def _reasons(services: "Services", source: str) -> Counter[str]:
    return Counter(reason for _, reason in services.sources.skipped(source))


def _progress() -> Progress:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", style="bold"),
        TextColumn("{task.fields[documents]}"),
        TextColumn("{task.fields[rate]}", style="dim"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[doing]}", style="dim"),
    )
    console = messages()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _advance(progress: Progress, task: TaskID, report: "SyncReport") -> None:
    elapsed = progress.tasks[task].elapsed or 0
    rate = f"{report.done / elapsed:.1f}/s" if elapsed and report.done else ""
    counted = f"{report.done} of {report.seen} documents"
    progress.update(task, documents=counted, rate=rate, doing=printable(report.doing))


def _show_reports(reports: list["SyncReport"], reasons: dict[str, Counter[str]]) -> None:
    columns = ("source", "new or changed", "relabelled", "deleted", "skipped", "passages", "took")
    rows = [
        (
            report.source,
            report.upserted,
            report.relabelled,
            report.deleted,
            report.skipped,
            report.passages,
            f"{report.took_seconds:.1f} s",
        )
        for report in reports
    ]
    show_table(columns, rows, empty="Nothing was read. `muniment sources list` shows what there is.")
    for source, counted in reasons.items():
        _show_reasons(source, counted)
    for report in reports:
        if report.flags:
            counts = ", ".join(f"{flag.value} {count}" for flag, count in sorted(report.flags.items()))
            tell(
                f"Passages of {report.source} that stand out: {counts} (muniment sources flags {report.source})",
                "yellow",
            )


def _show_reasons(source: str, counted: Counter[str]) -> None:
    """Why documents of a source are not searchable, most frequent first."""
    if not counted:
        return
    rows = [(count, reason) for reason, count in counted.most_common(_MOST_REASONS)]
    show_table(("skipped", "because"), rows, title=f"\nNot readable in {source} (muniment sources skipped {source})")


def _report_object(report: "SyncReport", reasons: Counter[str]) -> dict[str, object]:
    fields = ("source", "upserted", "relabelled", "deleted", "skipped", "passages", "took_seconds")
    flags = {flag.value: count for flag, count in sorted(report.flags.items())}
    return {field: getattr(report, field) for field in fields} | {"flags": flags, "not_readable": dict(reasons)}


def _error_object(source: str, error: Exception) -> dict[str, object]:
    translation = translate(error)
    code = translation.code if translation else "defect"
    return {"source": source, "error": {"code": code, "message": str(error)}}
