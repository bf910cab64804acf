"""What investigators ask, why, and texts that two of them open: `audit shown`, `stale`, `timeline` and so on."""

from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.audit import MOST_ID, group
from gateway.cli.looking import Csv, Reason, looking_for, progress, record_reading, show_csv, tell_next, tell_unrecorded
from gateway.cli.opening import acting_as, opened, operating_system_user, product
from gateway.cli.options import Json
from gateway.cli.output import show, show_block, show_json, show_table
from gateway.cli.times import read_time
from gateway.contexts import local_context
from gateway.errors import BadRequestError, NotAllowedError
from policies.actions import Action
from policies.context import Purpose

if TYPE_CHECKING:
    from gateway.audit.exchanges import Exchange
    from gateway.cli.product import ExchangePage, Investigation, Reveal, Services
    from policies.principals import Principal

_investigation = typer.Typer(no_args_is_help=True, help="Why auditors look into the trail.")
_reveal = typer.Typer(no_args_is_help=True, help="The text of a question and its answer, for two auditors to open.")
_Asked = Annotated[str, typer.Argument(metavar="ID", help="What was asked for, by its id.")]
_Within = Annotated[str, typer.Option("--investigation", metavar="ID", help="The auditor's investigation.")]
_Document = Annotated[str | None, typer.Option(metavar="ID|PATH", help="A document, by its id or path.")]
_User = Annotated[str | None, typer.Option(metavar="USER", help="Somebody.")]
_Since = Annotated[str | None, typer.Option(metavar="TIME", help="From 2026-11-24 or 2026-11-24T09:30 (UTC) on.")]
_Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before then.")]
_Before = Annotated[int | None, typer.Option(min=1, max=MOST_ID, help="Go on below this entry.")]
_Limit = Annotated[int, typer.Option("-n", "--limit", min=1, max=10_000, help="How many at most.")]
_Auditor = Annotated[str, typer.Option("--as", metavar="AUDITOR", help="The auditor whose it is.")]
_COLUMNS = ("request", "at (UTC)", "who", "over", "outcome", "document", "how", "rules")


def register(_: typer.Typer) -> None:
    """Add the commands to the group `audit`."""
    group.command()(shown)
    group.command()(stale)
    group.command()(timeline)
    group.add_typer(_investigation, name="investigation")
    group.add_typer(_reveal, name="reveal")


def shown(
    context: typer.Context,
    *,
    document: _Document = None,
    user: _User = None,
    since: _Since = None,
    until: _Until = None,
    also_found: Annotated[
        bool, typer.Option("--also-found", help="Also what was found, and not shown to the asker.")
    ] = False,
    before: _Before = None,
    limit: _Limit = 100,
    reason: Reason = None,
    as_csv: Csv = False,
    as_json: Json = False,
) -> None:
    """Say who was shown a document, or what somebody was shown: when, which passages, under which rules."""
    if document is None and user is None:
        message = "Say which document was shown, or to whom: give --document or --user."
        raise BadRequestError(message)
    with opened(context) as services, progress() as advance:
        questions = services.questions.at_leisure(tell_unrecorded, advance)
        query = product.EntryQuery(
            principal=user,
            document=document and questions.document(document),
            since=read_time(since),
            until=read_time(until),
            before=before,
            limit=limit,
        )
        page = questions.shown(looking_for(services, reason), query, also_found=also_found)
    _show_exchanges(page, "Nobody was shown any of it.", as_csv=as_csv, as_json=as_json)


def stale(
    context: typer.Context,
    document: Annotated[str, typer.Option(metavar="ID|PATH", help="A document, by its id or path.")],
    *,
    since: _Since = None,
    until: _Until = None,
    before: _Before = None,
    limit: _Limit = 100,
    reason: Reason = None,
    as_csv: Csv = False,
    as_json: Json = False,
) -> None:
    """List answers that rest on an old version of a document: on passages that are not in it any more."""
    with opened(context) as services, progress() as advance:
        questions = services.questions.at_leisure(tell_unrecorded, advance)
        query = product.EntryQuery(since=read_time(since), until=read_time(until), before=before, limit=limit)
        page = questions.stale(looking_for(services, reason), questions.document(document), query)
    _show_exchanges(page, "No answer rests on an old version of it.", as_csv=as_csv, as_json=as_json)


def timeline(
    context: typer.Context,
    *,
    request: Annotated[str | None, typer.Option(help="One question or search.")] = None,
    user: _User = None,
    document: _Document = None,
    since: _Since = None,
    until: _Until = None,
    after: Annotated[int | None, typer.Option(min=0, max=MOST_ID, help="Go on above this entry.")] = None,
    limit: _Limit = 200,
    reason: Reason = None,
    as_csv: Csv = False,
    as_json: Json = False,
) -> None:
    """Tell what happened, oldest first, by request, in sentences."""
    if request is None and user is None and document is None:
        message = "Say whose timeline: give --request, --user or --document."
        raise BadRequestError(message)
    with opened(context) as services, progress() as advance:
        questions = services.questions.at_leisure(tell_unrecorded, advance)
        query = product.EntryQuery(
            principal=user,
            request=request,
            document=document and questions.document(document),
            since=read_time(since),
            until=read_time(until),
            after=after,
            limit=limit,
        )
        page = questions.timeline(looking_for(services, reason), query)
    if as_json:
        show_json(page)
        return
    if as_csv:
        told = [(each.request, one) for each in page.groups for one in each.happened]
        rows = [(name, one.entry, one.at.isoformat(), one.kind, one.sentence) for name, one in told]
        show_csv(("request", "entry", "at (UTC)", "kind", "what"), rows)
        return
    for each in page.groups:
        show(f"{each.at:%Y-%m-%d %H:%M:%S}  {each.request}", "bold")
        show_table(("", "", ""), [(f"{one.at:%H:%M:%S}", one.entry, one.sentence) for one in each.happened])
    if not page.groups:
        show_table(("",), [], empty="Nothing happened that the trail knows of.")
    tell_next(page.next, "--after")


@_investigation.command("open")
def open_(
    context: typer.Context,
    *,
    auditor: _Auditor,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why. It is kept sealed.")],
    hours: Annotated[int, typer.Option(min=1, help="For how long; the settings say how long at most.")] = 8,
    as_json: Json = False,
) -> None:
    """Begin an investigation of an auditor's, as it is needed over HTTP and to reveal texts."""
    with opened(context) as services:
        principal = auditing_as(services, auditor)
        begun = services.investigations.begin(principal.id, reason, hours, operating_system_user())
    _show_investigation(begun, as_json=as_json)


@_investigation.command()
def close(
    context: typer.Context,
    id_: Annotated[str, typer.Argument(metavar="ID", help="The investigation.")],
    *,
    auditor: _Auditor,
    as_json: Json = False,
) -> None:
    """End an investigation before its time."""
    with opened(context) as services:
        principal = auditing_as(services, auditor)
        closed = services.investigations.close(id_, principal.id, operating_system_user())
    _show_investigation(closed, as_json=as_json)


@_investigation.command("list")
def list_(context: typer.Context, *, limit: _Limit = 100, reason: Reason = None, as_json: Json = False) -> None:
    """List investigations, newest first, with their reasons; `cli` is the reason of a single command."""
    with opened(context) as services:
        looking = looking_for(services, reason)
        found = services.investigations.listed(limit)
        record_reading(services, looking, "investigations", len(found))
    if as_json:
        show_json(product.InvestigationList(found))
        return
    rows = [(one.id, one.by, one.channel, one.begun_at, one.ends_at, _state(one), one.reason) for one in found]
    columns = ("investigation", "by", "over", "begun (UTC)", "ends (UTC)", "", "reason")
    show_table(columns, rows, empty="There are no investigations.")


@_reveal.command()
def ask(
    context: typer.Context,
    request: Annotated[str, typer.Argument(help="The question's request.")],
    *,
    auditor: _Auditor,
    investigation: _Within,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why. It is kept sealed.")],
    as_json: Json = False,
) -> None:
    """Ask to see the text of a question and its answer. Another auditor approves or refuses."""
    with opened(context) as services:
        principal = auditing_as(services, auditor, Action.AUDIT_REVEAL)
        within = services.investigations.require_open(principal.id, investigation).id
        asked = services.reveals.ask(principal, within, request, reason, operating_system_user())
    _show_reveal(asked, as_json=as_json)


@_reveal.command()
def approve(context: typer.Context, id_: _Asked, *, auditor: _Auditor, as_json: Json = False) -> None:
    """Let another auditor see what they asked for, for a short time."""
    _decide(context, id_, auditor, "approved", as_json=as_json)


@_reveal.command()
def refuse(context: typer.Context, id_: _Asked, *, auditor: _Auditor, as_json: Json = False) -> None:
    """Refuse what another auditor asked to see."""
    _decide(context, id_, auditor, "refused", as_json=as_json)


@_reveal.command("open")
def open_text(
    context: typer.Context, id_: _Asked, *, auditor: _Auditor, investigation: _Within, as_json: Json = False
) -> None:
    """Read the text that an auditor asked for and another approved."""
    with opened(context) as services:
        principal = auditing_as(services, auditor, Action.AUDIT_REVEAL)
        within = services.investigations.require_open(principal.id, investigation).id
        found = services.reveals.open(id_, principal, within, operating_system_user())
    if as_json:
        show_json(found)
        return
    for title, text, same in (
        (f"{found.user} asked", found.question, found.question_is_as_recorded),
        ("and was answered", found.answer, found.answer_is_as_recorded),
    ):
        show(title, "bold")
        show_block(text, 3)
        if not same:
            show("This is not the text that the trail recorded: it was altered where it is kept.", "red")


@_reveal.command("list")
def list_reveals(context: typer.Context, *, limit: _Limit = 100, reason: Reason = None, as_json: Json = False) -> None:
    """List what auditors asked to see, newest first, with their reasons."""
    with opened(context) as services:
        looking = looking_for(services, reason)
        found = services.reveals.listed(limit)
        record_reading(services, looking, "reveals", len(found))
    if as_json:
        show_json(product.RevealList(found))
        return
    rows = [
        (one.id, one.request, one.asked_by, one.asked_at, one.decision, one.decided_by, one.reason) for one in found
    ]
    columns = ("id", "request", "asked by", "at (UTC)", "decided", "by", "reason")
    show_table(columns, rows, empty="Nobody asked to see a text.")


def _decide(context: typer.Context, id_: str, auditor: str, decision: str, *, as_json: bool) -> None:
    with opened(context) as services:
        principal = auditing_as(services, auditor, Action.AUDIT_REVEAL)
        decided = services.reveals.decide(id_, principal, product.Decided(decision), operating_system_user())
    _show_reveal(decided, as_json=as_json)


def _show_reveal(one: "Reveal", *, as_json: bool) -> None:
    if as_json:
        show_json(one)
        return
    waits = f"waits for another auditor until {one.expires_at:%Y-%m-%d %H:%M} UTC"
    reads = f"; {one.asked_by} may read it until {one.open_until:%Y-%m-%d %H:%M} UTC" if one.open_until else ""
    show(f"{one.id}, the text of {one.request}, {f'is {one.decision}{reads}' if one.decision else waits}.")


def auditing_as(services: "Services", auditor: str, action: Action = Action.AUDIT_READ) -> "Principal":
    """The auditor that a command is run for.

    Raises:
        ConflictError: They are disabled.
        NotAllowedError: They may not read the trail.
        NotFoundError: There is none of this name.
    """
    principal = acting_as(services, auditor)
    decision = services.authorizer.decide(principal, action, local_context(Purpose.INVESTIGATION))
    if not decision.allowed:
        message = f"{auditor} may not read the trail: {decision.reason} Give the role auditor, to nobody who operates."
        raise NotAllowedError(message)
    return principal


def _show_exchanges(page: "ExchangePage", empty: str, *, as_csv: bool, as_json: bool) -> None:
    if as_json:
        show_json(page)
        return
    rows = [row for one in page.exchanges for row in _rows(one, page.paths)]
    if as_csv:
        show_csv((*_COLUMNS, "passage"), rows)
        return
    # People read which documents; how many passages of each is in CSV and JSON.
    show_table(_COLUMNS, list(dict.fromkeys(row[:-1] for row in rows)), empty=empty)
    tell_next(page.next, "--before")


def _rows(one: "Exchange", paths: dict[str, str]) -> list[tuple[str, ...]]:
    """A row for each passage."""
    about = (one.request, f"{one.at:%Y-%m-%d %H:%M:%S}", one.principal)
    over, rules = f"{'question' if one.question else 'search'}, {one.channel}", ", ".join(one.rules)
    return [
        (*about, over, one.outcome, paths.get(each.document, each.document), each.how.value, rules, each.passage)
        for each in one.passages
    ]


def _state(one: "Investigation") -> str:
    return "open" if one.open else "closed" if one.closed_at else "over"


def _show_investigation(one: "Investigation", *, as_json: bool) -> None:
    if as_json:
        show_json(one)
        return
    show(f"Investigation {one.id} of {one.by} is {_state(one)}; its time ends at {one.ends_at:%Y-%m-%d %H:%M} UTC.")
