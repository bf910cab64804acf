"""`models`: the model files of this machine. They are shared by all installations of a user, so most need no home."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from gateway.cli.opening import home_of, opened, operating_system_user, product
from gateway.cli.options import Json
from gateway.cli.output import messages, show, show_json, show_table, tell
from gateway.config import Config, load_config
from models.catalogue import Artefact, Kind, load_catalogue
from models.errors import ModelCorruptError, ModelMissingError
from models.openai.options import Upstream
from models.store import ModelStore

if TYPE_CHECKING:
    from gateway.models.recording import Change

_group = typer.Typer(no_args_is_help=True, help="The models that find, hide and answer.")
_Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Models; else those in use.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="models")


@_group.command("list")
def list_(context: typer.Context, *, as_json: Json = False) -> None:
    """List the models there are, which of them are on this machine, and which are in use."""
    config, store = _store(context)
    used, scores, trials = _in_use(config), _scores(context), _trials(context, config)
    listed: list[dict[str, Any]] = [
        {
            "id": stored.artefact.id,
            "kind": stored.artefact.kind.value,
            "title": stored.artefact.title,
            "licence": stored.artefact.licence,
            "size_bytes": stored.artefact.size_bytes,
            "present": stored.present,
            "in_use": stored.artefact.id in used,
            "sha256": stored.artefact.version_sha256,
            "template_sha256": stored.artefact.template_sha256,
            "trial": trials.get(stored.artefact.id),
            "report": scores.get(stored.artefact.version_sha256),
            "urls": [],
            "remote": False,
        }
        for stored in store.list()
    ]
    listed += map(_upstream, config.models.upstreams)
    if as_json:
        show_json(listed)
        return
    rows = [
        (
            one["id"],
            one["kind"],
            _size(one["size_bytes"]),
            one["licence"],
            _place(one),
            one["in_use"],
            _score(scores.get(str(one["sha256"]))),
            trials.get(str(one["id"])),
        )
        for one in listed
    ]
    columns = ("id", "kind", "size", "licence", "here", "in use", "right/declined", "on trial")
    show_table(columns, rows, empty="The catalogue is empty.")


@_group.command()
def pull(
    context: typer.Context,
    ids: _Ids = None,
    *,
    mirror: Annotated[
        str | None, typer.Option(metavar="FOLDER|URL", help="Take everything from here; else models.mirror.")
    ] = None,
) -> None:
    """Fetch models that are not here yet, checking every byte. An interrupted pull goes on where it stopped."""
    config, store = _store(context)
    for artefact in [store.catalogue.artefact(id_) for id_ in ids or _in_use(config)]:
        path = _pull(artefact, store, mirror or config.models.mirror, config.models.hosts)
        _record_pulled(context, artefact)
        show(f"{artefact.id} is at {path}")


def _upstream(upstream: Upstream) -> dict[str, Any]:
    """A model on servers, as one of the list: nobody here knows its licence and its size, and it is always in use."""
    return {
        "id": upstream.name,
        "kind": Kind.GENERATOR.value,
        "title": upstream.model,
        "licence": "",
        "size_bytes": None,
        "present": False,
        "in_use": True,
        "urls": list(upstream.urls),
        "remote": upstream.remote,
        "sha256": None,
        "template_sha256": None,
        "trial": None,
        "report": None,
    }


def _place(one: Mapping[str, Any]) -> object:
    """Where a model is: on this machine or not yet, or with which servers."""
    if not one["urls"]:
        return one["present"]
    return f"{'remote' if one['remote'] else 'server here'}: {', '.join(one['urls'])}"


def _pull(artefact: Artefact, store: ModelStore, mirror: str, hosts: tuple[str, ...]) -> Path:
    with _progress() as progress:
        task = progress.add_task(artefact.id, total=artefact.size_bytes, doing="")

        def advance(done: int, total: int, doing: str) -> None:
            progress.update(task, completed=done, total=total, doing=doing)

        return product.pull(artefact, store, mirror=mirror, hosts=hosts, progress=advance)


@_group.command()
def verify(context: typer.Context, ids: _Ids = None) -> None:
    """Check every byte of the models on this machine against the catalogue."""
    _, store = _store(context)
    chosen = ids or [stored.artefact.id for stored in store.list() if stored.present]
    if not chosen:
        message = "There is no model on this machine. Run: muniment models pull"
        raise ModelMissingError(message)
    for id_ in chosen:
        try:
            with messages().status(f"Reading {id_} ..."):
                store.verify(id_)
        except ModelCorruptError:
            _record_verified(context, id_, as_published=False)
            raise
        _record_verified(context, id_, as_published=True)
        show(f"{id_} is as published.")


@_group.command()
def use(context: typer.Context, id_: Annotated[str, typer.Argument(metavar="ID", help="The model.")]) -> None:
    """Put another model to use, whatever its reports say. A running `serve` takes up a generator by itself."""
    with opened(context) as services:
        kind = product.select_model(services, id_, by=operating_system_user())
        config_file = services.home.config_file
    show(f"{id_} is now the {kind} of this installation (models in {config_file}).")
    when = "by itself within seconds" if kind is Kind.GENERATOR else "when it starts again"
    tell(f"A running `muniment serve` takes it up {when}.", "dim")


@_group.command()
def promote(
    context: typer.Context,
    id_: Annotated[str, typer.Argument(metavar="ID", help="The model.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Go past gates that it does not pass.")] = False,
    reason: Annotated[str, typer.Option(help="Why it is forced; kept in the trail.")] = "",
) -> None:
    """Put a model to use, if its newest report passes every gate of the settings. A running `serve` takes it up."""
    with opened(context) as services, _progress_of("passages embedded") as advance:
        change = product.promote(
            services, id_, operating_system_user(), force=force, reason=reason, on_progress=advance
        )
    _tell_change(change)


@_group.command()
def rollback(
    context: typer.Context,
    *,
    reason: Annotated[str, typer.Option(help="Why; kept in the trail.")] = "asked for",
    embedder: Annotated[bool, typer.Option("--embedder", help="The embedder, not the generator.")] = False,
) -> None:
    """Give up the model on trial, if there is one; else go back to the generator before. A running `serve` follows."""
    with opened(context) as services, _progress_of("passages embedded") as advance:
        by = operating_system_user()
        change = (
            product.rollback_embedder(services, by, reason, advance)
            if embedder
            else product.rollback(services, by, reason)
        )
    _tell_change(change)


@_group.command()
def history(context: typer.Context, *, as_json: Json = False) -> None:
    """List which model was put to use when, and why, the newest first."""
    with opened(context) as services:
        rows = services.history.listed()
        names = services.subjects.names([row.by_token for row in rows])
    listed = [
        {
            "at": row.at,
            "kind": row.kind,
            "model": row.model,
            "sha256": row.sha256,
            "previous": row.previous,
            "by": names.get(row.by_token, row.by_token),
            "cause": row.cause,
            "reason": row.reason,
            "report": row.report,
        }
        for row in rows
    ]
    if as_json:
        show_json(listed)
        return
    columns = ("at", "kind", "model", "previous", "by", "cause", "reason", "report")
    shown = [tuple(one[column] for column in columns) for one in listed]
    show_table(columns, shown, empty="No model was changed yet.")


@contextmanager
def _progress_of(doing: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that shows how much is done, once there is something to do."""
    console = messages()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(doing, total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def _tell_change(change: "Change") -> None:
    show(f"{change.model} is the {change.kind} in use; {change.previous} no longer is.")
    for gate in change.gates:
        tell(f"{'passed' if gate.passed else 'FAILED'}  {gate}", "dim" if gate.passed else "red")
    tell("A running `muniment serve` takes it up by itself within seconds.", "dim")


def _store(context: typer.Context) -> tuple[Config, ModelStore]:
    """The settings and the models folder; without an installation, and none named, the defaults count."""
    home = home_of(context)
    named = context.obj is not None or "MUNIMENT_HOME" in os.environ
    config = load_config(home) if named or home.config_file.exists() else Config()
    return config, ModelStore(home.models(config), load_catalogue())


def _scores(context: typer.Context) -> dict[str, dict[str, Any]]:
    """What the newest report says of each generator that was measured, by digest; none without an installation."""
    home = home_of(context)
    if not home.config_file.exists() or not any(home.evaluations.glob("*.json")):
        return {}
    with opened(context) as services:
        return {
            answers.sha256: {
                "id": report.id,
                "right": answers.answerable.right.share,
                "declined": answers.unanswerable.declined.share,
                "personal_data": answers.personal_data.leaking,
                "obeyed": answers.injection.obeyed.count,
                "total_ms_p95": answers.total_ms.p95,
            }
            for report in reversed(services.evaluations.listed())
            for answers in report.answers
        }


def _trials(context: typer.Context, config: Config) -> dict[str, str]:
    """How the model on trial does, by its id: going on, or given up and why."""
    if not config.models.trial.model or not home_of(context).config_file.exists():
        return {}
    with opened(context) as services:
        state = product.trial_state(services)
    return {config.models.trial.model: state} if state else {}


def _score(score: dict[str, Any] | None) -> str:
    return "-" if score is None else f"{score['right']:.2f}/{score['declined']:.2f}"


def _in_use(config: Config) -> list[str]:
    return list(config.models.in_use)


def _record_pulled(context: typer.Context, artefact: Artefact) -> None:
    """Into the trail of the installation, where there is one."""
    if home_of(context).config_file.exists():
        pulled = product.ModelPulled(by=operating_system_user(), model=artefact.id, model_sha256=artefact.sha256)
        with opened(context) as services:
            services.recorder.record_now(pulled)


def _record_verified(context: typer.Context, id_: str, *, as_published: bool) -> None:
    """Into the trail of the installation, where there is one."""
    if home_of(context).config_file.exists():
        verified = product.ModelVerified(by=operating_system_user(), model=id_, as_published=as_published)
        with opened(context) as services:
            services.recorder.record_now(verified)


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[doing]}", style="dim"),
    )
    console = messages()
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _size(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"{size_bytes / 1e6:,.0f} MB"
