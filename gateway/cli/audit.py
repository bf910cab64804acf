"""`audit`: what is in the trail, and whether it is what was written."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.looking import (
    Csv,
    Reason,
    looking_for,
    progress,
    record_reading,
    show_csv,
    tell_next,
    tell_unrecorded,
)
from gateway.cli.opening import home_of, opened, product
from gateway.cli.options import Json
from gateway.cli.output import escaped, messages, show, show_json, show_table, tell
from gateway.cli.times import read_time
from gateway.config import load_config
from gateway.errors import BadRequestError, NotFoundError
from gateway.trail_place import trail_place
from policies.audit.reader import Outcome

if TYPE_CHECKING:
    from gateway.cli.product import Entry, StampState, VerificationReport

group = typer.Typer(no_args_is_help=True, help="Who was shown what, and whether the record of it is whole.")
_DIGEST = re.compile("[0-9a-f]{64}")
_MOST_LISTED = 3
_MOST_ENTRIES = 1_000_000
MOST_ID = 2**62
"""The largest number that an entry may have."""
_MOST_DIGITS = 18
"""Of an entry's number: SQLite's whole numbers have 64 bits."""
FINDINGS = 1
"""The exit code when the trail is not what was written."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="audit")


@group.command("list")
def list_(
    context: typer.Context,
    *,
    user: Annotated[str | None, typer.Option(help="What they did, and what was done to them.")] = None,
    kind: Annotated[str | None, typer.Option(help="Entries of this kind, such as answer:given.")] = None,
    request: Annotated[str | None, typer.Option(help="Entries of one question or search.")] = None,
    document: Annotated[
        str | None, typer.Option(metavar="ID|PATH", help="Who was shown or given this document.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Entries that name this label, by its digest.")] = None,
    rule: Annotated[str | None, typer.Option(help="What this rule let through or refused.")] = None,
    entity_type: Annotated[
        str | None, typer.Option("--type", help="Where values of this type were replaced or shown, such as PERSON.")
    ] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Entries that say that a question ended so.")] = None,
    asked: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Whose keyed digest is of exactly this: a question, a query, an address."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From 2026-11-24 or 2026-11-24T09:30 (UTC) on.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before then.")] = None,
    before: Annotated[int | None, typer.Option(min=1, max=MOST_ID, help="Entries below this number.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=_MOST_ENTRIES, help="How many at most.")] = 50,
    reason: Reason = None,
    as_csv: Csv = False,
    as_json: Json = False,
) -> None:
    """List entries, newest first."""
    with opened(context) as services, progress() as advance:
        # The trail holds no texts; a keyed digest tells whether it is this one.
        questions = services.questions.at_leisure(tell_unrecorded, advance)
        query = product.EntryQuery(
            principal=user,
            kind=kind,
            request=request,
            since=read_time(since),
            until=read_time(until),
            limit=limit,
            before=before,
            document=document and questions.document(document),
            label=label,
            rule=rule,
            entity_type=entity_type,
            value_hmac=None if asked is None else services.recorder.digest(asked),
            outcome=outcome,
        )
        found = questions.entries(looking_for(services, reason), query)
    if as_json:
        show_json(found)
        return
    if as_csv:
        rows = [(one.entry, one.at.isoformat(), one.kind, escaped(_json(one.event))) for one in found.entries]
        show_csv(("entry", "at (UTC)", "kind", "event"), rows)
        return
    rows = [(one.entry, f"{one.at:%Y-%m-%d %H:%M:%S}", one.kind, _summary(one.event)) for one in found.entries]
    show_table(("entry", "at (UTC)", "kind", ""), rows, empty="No entry of the trail is like that.")
    tell_next(found.next, "--before")


@group.command("show")
def show_entries(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(metavar="ENTRY|REQUEST|HASH", help="An entry's number or hash, or a request's name.")
    ],
    *,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Show one entry, or all entries of one question or search, in full."""
    # A number that the trail's ids cannot reach is no entry; it may be a request for all that is known.
    is_number = what.isdecimal() and len(what) <= _MOST_DIGITS
    if is_number:
        query = product.EntryQuery(id=int(what))
    elif _DIGEST.fullmatch(what):
        query = product.EntryQuery(hash=what)
    else:
        query = product.EntryQuery(request=what, limit=1000)
    with opened(context) as services:
        questions, looking = services.questions.at_leisure(tell_unrecorded), looking_for(services, reason)
        entries = questions.entries(looking, query, "show").entries[::-1]
    if not entries:
        message = f"The trail holds no entry and no request {what}. `muniment audit list` shows what there is."
        raise NotFoundError(message)
    if as_json:
        show_json(product.AuditEntries(entries))
        return
    for entry in entries:
        show(f"{entry.entry}  {entry.at:%Y-%m-%d %H:%M:%S} UTC  {entry.kind}", "bold")
        rows = [*entry.event.items(), ("writer", f"{entry.writer}, its entry {entry.seq}"), ("hash", entry.hash)]
        show_table(("", ""), [(name, _value(value)) for name, value in rows])


@group.command()
def verify(
    context: typer.Context,
    *,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Checkpoints that were kept elsewhere; else those of audit.copies."),
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", metavar="FILE", help="The public key, as kept elsewhere.")
    ] = None,
    trail: Annotated[Path | None, typer.Option(metavar="FILE", help="Another trail than this installation's.")] = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Check every entry of the trail. The exit code is 1 when it is not what was written.

    A trail whose end was cut off, or that was replaced as a whole, shows only against a checkpoint that was kept
    where its keeper could not change it.
    """
    home = home_of(context)
    place = trail or trail_place(home, load_config(home).audit)
    kept = _kept(checkpoint, context, own=trail is None)
    with messages().status("Verifying ..."):
        pem = read_key(public_key) if public_key else product.public_keys(home.keys)
        report = product.verify(place, pem, kept)
        newest = product.read_entries(place, product.EntryQuery(limit=1)) if report.ok else []
    stamped = newest_stamp(context) if trail is None else None
    _record_verifying(context, report, reason)
    if as_json:
        head = {"entry": newest[0].id, "hash": newest[0].hash} if newest else None
        checked = {"head": head, "checked_against_kept": kept is not None, "stamp": stamped}
        show_json({"ok": report.ok, **product.asdict(report), **checked})
    else:
        _show_report(report, newest, stamped, against_kept=kept is not None)
    if not report.ok:
        raise typer.Exit(FINDINGS)


def _record_verifying(context: typer.Context, report: "VerificationReport", reason: str | None) -> None:
    """Record that the trail was verified, in the installation's own; none is needed to verify a copy elsewhere.

    A trail that is not what was written is left as it is: an entry and its signature would cover up what was found.
    """
    if not report.ok:
        tell("That it was verified is not recorded: a trail with findings is left as it is.", "yellow")
    elif home_of(context).config_file.exists():
        with opened(context) as services:
            record_reading(services, looking_for(services, reason), "verify", report.entries)


def _json(event: Mapping[str, Any]) -> str:
    return json.dumps(event, ensure_ascii=False, sort_keys=True)


def _kept(file: Path | None, context: typer.Context, *, own: bool) -> "product.SignedCheckpoint | None":
    """The last checkpoint that was kept elsewhere, if there is a file of them."""
    home = home_of(context)
    configured = product.copied_to_files(load_config(home).audit, home) if own else []
    chosen = [file] if file else configured
    if not chosen:
        return None
    try:
        found = product.last_exported(file) if file else product.newest_kept(configured)
    except OSError as error:
        message = f"The checkpoints {error.filename} cannot be read: {error.strerror}."
        raise BadRequestError(message) from error
    if found is None:
        message = f"{', '.join(map(str, chosen))} holds no checkpoint."
        raise BadRequestError(message)
    return found


def newest_stamp(context: typer.Context) -> "StampState | None":
    """The newest time stamp that there is of this installation's trail."""
    home = home_of(context)
    states = product.stamp_states(load_config(home).audit, home) if home.config_file.exists() else []
    return states[-1] if states else None


def _stamped(stamp: "StampState") -> str:
    if stamp.at is None:
        return f"checkpoint {stamp.checkpoint}: {stamp.problem}"
    at = f"{stamp.at:%Y-%m-%d %H:%M:%S} UTC"
    return f"checkpoint {stamp.checkpoint}, over the entries up to {stamp.entries}, existed at {at}"


def _show_report(
    report: "VerificationReport", newest: list["Entry"], stamp: "StampState | None", *, against_kept: bool
) -> None:
    rows = [
        ("trail", report.log),
        ("entries", report.entries),
        ("vouched for by a signature", report.sealed),
        ("checkpoints", report.checkpoints),
        ("writing processes", report.writers),
        *(("newest entry", f"{entry.id}, {entry.at:%Y-%m-%d %H:%M:%S} UTC, {entry.hash}") for entry in newest),
        *([("newest time stamp", _stamped(stamp))] if stamp else []),
    ]
    show_table(("", ""), rows)
    if report.ok:
        show("Nothing was altered." if against_kept else "Nothing was altered within it.", "green")
        if not against_kept:
            tell("Whether its end was cut off shows only with --checkpoint and a file that was kept elsewhere.", "dim")
        return
    columns = ("finding", "from entry", "to entry", "")
    findings = [(finding.kind.value, finding.first, finding.last, finding.detail) for finding in report.findings]
    show_table(columns, findings, title="\nThis trail is not what was written")


def _summary(event: Mapping[str, Any]) -> str:
    """An event in a line: digests cut, long lists counted; `audit show` has the whole of it."""
    return "  ".join(f"{name}={_brief(value)}" for name, value in event.items() if value not in ("", [], {}))


def _brief(value: Any) -> str:
    if isinstance(value, list) and len(value) > _MOST_LISTED:
        return f"({len(value)})"
    if isinstance(value, list):
        return ", ".join(_brief(part) for part in value)
    text = _value(value)
    return f"{text[:8]}.." if _DIGEST.fullmatch(text) else text


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={part}" for name, part in value.items())
    return ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)


def read_key(path: Path) -> str:
    """A public key as PEM.

    Raises:
        BadRequestError: The file cannot be read.
    """
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read as a public key."
        raise BadRequestError(message) from error
