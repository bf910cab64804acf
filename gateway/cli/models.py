"""`models`: the model files of this machine. They are shared by all installations of a user, so most need no home."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
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

_group = typer.Typer(no_args_is_help=True, help="The models that find, hide and answer.")
_Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Models; else those in use.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="models")


@_group.command("list")
def list_(context: typer.Context, *, as_json: Json = False) -> None:
    """List the models there are, which of them are on this machine, and which are in use."""
    config, store = _store(context)
    used = _in_use(config)
    listed: list[dict[str, Any]] = [
        {
            "id": stored.artefact.id,
            "kind": stored.artefact.kind.value,
            "title": stored.artefact.title,
            "licence": stored.artefact.licence,
            "size_bytes": stored.artefact.size_bytes,
            "present": stored.present,
            "in_use": stored.artefact.id in used,
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
        (one["id"], one["kind"], _size(one["size_bytes"]), one["licence"], _place(one), one["in_use"]) for one in listed
    ]
    show_table(("id", "kind", "size", "licence", "here", "in use"), rows, empty="The catalogue is empty.")


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
    """Put another model to use. A running `serve` takes it up when it starts again."""
    with opened(context) as services:
        kind = product.select_model(services, id_, by=operating_system_user())
        config_file = services.home.config_file
    show(f"{id_} is now the {kind} of this installation (models in {config_file}).")
    tell("A running `muniment serve` takes it up when it starts again.", "dim")


def _store(context: typer.Context) -> tuple[Config, ModelStore]:
    """The settings and the models folder; without an installation, and none named, the defaults count."""
    home = home_of(context)
    named = context.obj is not None or "MUNIMENT_HOME" in os.environ
    config = load_config(home) if named or home.config_file.exists() else Config()
    return config, ModelStore(home.models(config), load_catalogue())


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
