"""`policy`: which rules decide, what they decide and why, and what others would change."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.looking import Reason, looking_for
from gateway.cli.opening import opened, operating_system_user, product
from gateway.cli.options import Json
from gateway.cli.output import messages, show, show_json, show_table, tell
from gateway.cli.times import read_time
from gateway.config import read_config, site_redaction
from gateway.policy.testing import TestResult, read_tests, run_tests
from policies.bundles import Bundle, compile_bundle, read_bundle
from policies.context import OTHER_NETWORK, Channel, Purpose, RequestContext
from policies.personal_data import KnownTypes

if TYPE_CHECKING:
    from gateway.policy.bundles import Loaded
    from gateway.policy.oversharing import Oversharing
    from gateway.policy.schemas import Explanation, PartExplained, RuleSaid
    from gateway.policy.simulation import Change, Simulation

_group = typer.Typer(no_args_is_help=True, help="Which rules decide, what they decide and why.")
_User = Annotated[str, typer.Option("--user", metavar="USER", help="Whose rights.")]
_Document = Annotated[str, typer.Option("--document", metavar="ID|PATH", help="A document's id, or its path.")]
_Purpose = Annotated[Purpose, typer.Option("--purpose", help="What it would be read for.")]
_Network = Annotated[
    str, typer.Option("--network", metavar="NAME", help="From which network, as the settings name it.")
]
_Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of *.cedar files.")]
_FOUND = 1
"""The exit code when a user may not read, somebody gains, or a test fails."""
_SHORT = 12
"""Characters of a revision that people read."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="policy")


@_group.command()
def check(
    context: typer.Context,
    user: _User,
    document: _Document,
    *,
    purpose: _Purpose = Purpose.ANSWER,
    network: _Network = OTHER_NETWORK,
    as_json: Json = False,
) -> None:
    """Say whether a user may read a document. The exit code is 1 when they may not."""
    explained = _explain(context, user, document, purpose, network)
    if as_json:
        show_json({"allowed": explained.allowed, "reason": explained.reason, "policies": explained.policies})
    else:
        show("allowed" if explained.allowed else "denied", "green" if explained.allowed else "red")
    if not explained.allowed:
        raise typer.Exit(_FOUND)


@_group.command()
def explain(
    context: typer.Context,
    user: _User,
    document: _Document,
    *,
    purpose: _Purpose = Purpose.ANSWER,
    network: _Network = OTHER_NETWORK,
    as_json: Json = False,
) -> None:
    """Say what decides whether a user may read a document: the rules, what is missing, the label, the groups."""
    explained = _explain(context, user, document, purpose, network)
    if as_json:
        show_json(explained)
        return
    used = explained.context
    rows = [
        ("document", f"{explained.path} ({explained.document}, source {explained.source})"),
        ("user", f"{explained.user}{'' if explained.active else ' (disabled)'}"),
        ("groups", explained.groups),
        ("asking", f"for {used.purpose}, from network {used.network}, by {used.channel}"),
        ("decision", "allowed" if explained.allowed else "denied"),
        ("because", explained.reason),
        *([("permissions read (UTC)", explained.access_read_at)] if explained.access_stale else []),
        ("policies", explained.policies),
        *(("allowed by", _said(said)) for said in explained.allowed_by),
        *(("denied by", _said(said)) for said in explained.denied_by),
        *((f"would be allowed by {said.rule}", "; ".join(said.lacks)) for said in explained.would_be_allowed_by),
        *(("label: " + name.replace("_", " "), _members(members)) for name, members in explained.label.items()),
        *(row for part in explained.parts for row in _part_rows(part)),
        ("sees of personal data", explained.revealed),
        ("does not see", explained.masked),
        ("revision", explained.policy_revision[:_SHORT]),
    ]
    show_table(("", ""), rows)


@_group.command("list")
def list_(context: typer.Context, *, as_json: Json = False) -> None:
    """List the rules that decide, with where each came from."""
    with opened(context) as services:
        revision, rules = services.bundles.rules()
    if as_json:
        listed = [
            {"id": rule.id, "reason": rule.reason, "effect": rule.effect, "origin": rule.origin} for rule in rules
        ]
        show_json({"revision": revision, "rules": listed})
        return
    rows = [(rule.id, rule.effect.value, rule.origin.value, rule.reason) for rule in rules]
    show_table(("rule", "does", "origin", "reason"), rows)
    tell(f"revision {revision[:_SHORT]}", "dim")


@_group.command()
def load(
    context: typer.Context,
    folder: _Folder,
    *,
    only_check: Annotated[bool, typer.Option("--check", help="Only say whether they could be loaded.")] = False,
    as_json: Json = False,
) -> None:
    """Put your own rules in force, beside the shipped ones and instead of your earlier ones.

    Everywhere, from the next request on. Rules with a mistake are refused as a whole, and those in force stay.
    """
    bundle = read_bundle(folder)
    with opened(context) as services:
        bundles = services.bundles
        loaded = bundles.proposed(bundle) if only_check else bundles.load(bundle, by=operating_system_user())
    _show_loaded(loaded, "would be in force" if only_check else "in force", as_json=as_json)


@_group.command()
def rollback(
    context: typer.Context,
    revision: Annotated[str | None, typer.Argument(help="The beginning of a revision; else the one before.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Put earlier rules in force again. They are checked as new ones are."""
    with opened(context) as services:
        loaded = services.bundles.rollback(operating_system_user(), revision)
    _show_loaded(loaded, "in force again", as_json=as_json)


@_group.command()
def history(context: typer.Context, *, as_json: Json = False) -> None:
    """List what was loaded, newest first."""
    with opened(context) as services:
        listed = services.bundles.history()
    if as_json:
        show_json([product.asdict(one) for one in listed])
        return
    rows = [
        (one.loaded_at, one.revision[:_SHORT], one.by, one.files, "in force" if one.current else "") for one in listed
    ]
    empty = "No rules of your own were loaded yet; the shipped ones decide."
    show_table(("loaded (UTC)", "revision", "by", "files", ""), rows, empty=empty)


@_group.command()
def simulate(
    context: typer.Context,
    folder: _Folder,
    *,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Replay questions from 2026-11-24 or 2026-11-24T09:30 (UTC) on.")
    ] = None,
    allow_gains: Annotated[
        bool, typer.Option("--allow-gains", help="Exit with 0 also when somebody may do more than now.")
    ] = False,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Say what your rules would change: for questions that were asked, and for everybody and everything there is.

    The exit code is 1 when somebody would gain anything, for use in continuous integration.
    """
    bundle = read_bundle(folder)
    moment = read_time(since)
    with opened(context) as services, messages().status("Simulating ...") as status:

        def advance(what: str, done: int, total: int) -> None:
            status.update(f"Simulating {what}: {done} of {total}")

        simulation = product.simulate_bundle(services, bundle, moment, looking_for(services, reason), advance)
    if as_json:
        show_json(simulation)
    else:
        _show_simulation(simulation, moment)
    if simulation.somebody_gains and not allow_gains:
        raise typer.Exit(_FOUND)


@_group.command("test")
def run_test_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files of tests, in YAML.")],
    *,
    bundle: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Your own rules; else the shipped ones alone.")
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A muniment.toml with your own kinds of personal data.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run tests of policies; needs no installation. The exit code is 1 when one fails."""
    types = site_redaction(read_config(settings), settings).types if settings else KnownTypes()
    authorizer = compile_bundle(read_bundle(bundle) if bundle else Bundle(), types=types)
    results = [result for file in files for result in run_tests(authorizer, str(file), read_tests(file, types))]
    failed = [result for result in results if not result.passed]
    if as_json:
        show_json({"revision": authorizer.revision, "passed": len(results) - len(failed), "tests": results})
    else:
        _show_results(results, failed)
    if failed:
        raise typer.Exit(_FOUND)


@_group.command()
def oversharing(
    context: typer.Context,
    *,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Documents of this source alone.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List sensitive documents that many may read, the worst first."""
    with opened(context) as services, messages().status("Ranking ..."):
        found = product.list_oversharing(services, limit, source, operating_system_user())
    if as_json:
        show_json(found)
    else:
        _show_oversharing(found)


def _explain(context: typer.Context, user: str, document: str, purpose: Purpose, network: str) -> "Explanation":
    asked = RequestContext(purpose, network, Channel.HTTP)
    with opened(context) as services:
        return services.explanations.explain(user, document, operating_system_user(), asked)


def _part_rows(part: "PartExplained") -> list[tuple[str, object]]:
    """What is told of a part; its headings name it."""
    named = f"part {', '.join(part.headings)}"
    return [
        (named, "allowed" if part.allowed else "denied"),
        (f"{named}: because", part.reason),
        *((f"{named}: denied by", _said(said)) for said in part.denied_by),
        *(
            (f"{named}: would be allowed by {said.rule}", "; ".join(said.lacks))
            for said in part.would_be_allowed_by
            if not part.allowed
        ),
    ]


def _members(members: object) -> object:
    """The members of a label, or of the one it stands within."""
    if not isinstance(members, dict):
        return members
    return "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in members.items() if value)


def _said(said: "RuleSaid") -> str:
    return f"{said.rule} ({said.origin}): {said.reason}"


def _show_loaded(loaded: "Loaded", state: str, *, as_json: bool) -> None:
    if as_json:
        show_json({**product.asdict(loaded), "same": loaded.same})
        return
    if loaded.same:
        show(f"Nothing changes; {loaded.rules} rules are in force.")
        return
    rows = [
        ("added", loaded.changes.added),
        ("removed", loaded.changes.removed),
        ("changed", loaded.changes.changed),
        ("revision", f"{loaded.revision[:_SHORT]} after {loaded.previous[:_SHORT]}"),
    ]
    show(f"{loaded.rules} rules {state}.")
    show_table(("", ""), rows)


def _show_simulation(simulation: "Simulation", since: datetime | None) -> None:
    replay, gains, losses = simulation.replay, simulation.gains, simulation.losses
    when = f" since {since:%Y-%m-%d %H:%M} UTC" if since else ""
    rows = [
        ("rules added", simulation.rules_added),
        ("rules removed", simulation.rules_removed),
        ("rules changed", simulation.rules_changed),
        (f"questions and searches replayed{when}", replay.requests),
        ("of them showing less than they did", replay.losing),
        ("of them showing less already now", replay.already_lost),
        ("of them about users or labels that are gone", replay.not_replayable),
        ("compared", f"{simulation.users} users, {simulation.labels} labels"),
        ("gained", f"{gains.documents} user x document, {gains.actions} other, {gains.kinds} kinds of personal data"),
        ("lost", f"{losses.documents} user x document, {losses.actions} other, {losses.kinds} kinds of personal data"),
    ]
    show_table(("", ""), rows)
    if replay.lost:
        lost = [(one.at, one.principal, one.request, one.documents, one.policies) for one in replay.lost]
        show_table(("at (UTC)", "user", "request", "documents", "by"), lost, title="\nNo longer shown")
    _show_changes("\nGained", simulation.gained)
    _show_changes("\nLost", simulation.lost)


def _show_changes(title: str, changes: "Iterable[Change]") -> None:
    rows = [
        (
            change.users,
            change.action,
            change.kinds,
            f"{change.label.classification}, {change.label.documents} documents" if change.label else change.source,
            [*change.label.allow_groups, *change.label.allow_users] if change.label else "",
            change.contexts,
            change.policies,
        )
        for change in changes
    ]
    if rows:
        show_table(("users", "what", "kinds", "label or source", "allowing", "when", "by"), rows, title=title)


def _show_results(results: list[TestResult], failed: list[TestResult]) -> None:
    for result in failed:
        show(f"{result.file}:{result.line}: {result.name}", "bold red")
        for problem in result.problems:
            show(f"    {problem}")
    said = f"{len(results) - len(failed)} of {len(results)} tests passed"
    show(f"{said}.", "red" if failed else "green")


def _show_oversharing(found: "Oversharing") -> None:
    rows = [
        (
            one.rank,
            one.score,
            f"{one.path} (part {', '.join(one.part)})" if one.part else one.path,
            one.classification,
            [f"{count} {kind}" for kind, count in one.personal_data.items()],
            f"{one.audience.readers} of {one.audience.active_users}",
            [f"{group} {count}" for group, count in list(one.audience.by_group.items())[:5]],
        )
        for one in found.listed
    ]
    columns = ("", "score", "document", "classification", "personal data", "readers", "largest groups")
    show_table(columns, rows, empty="There are no documents.")
    tell(
        f"{found.documents} documents, {found.parts} restricted parts, {found.labels} labels, "
        f"{found.active_users} active users",
        "dim",
    )
