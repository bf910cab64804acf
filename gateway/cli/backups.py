"""`backup` and `restore`: a home in one sealed file, and a home from it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.audit import FINDINGS
from gateway.cli.opening import home_of, opened, operating_system_user, product
from gateway.cli.options import Json
from gateway.cli.output import messages, show, show_json, tell
from gateway.config import Home
from gateway.errors import BadRequestError

if TYPE_CHECKING:
    from gateway.cli.product import KnownErasures, Restored, SignedCheckpoint

_PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", metavar="FILE", help="The passphrase is its first line; else it is asked for."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(backup)
    app.command()(restore)


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write. It must not be there yet.")],
    *,
    without_keys: Annotated[
        bool,
        typer.Option(
            "--without-keys", help="Leave the keys out, and seal it so that only they open it: no passphrase."
        ),
    ] = False,
    passphrase_file: _PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Write all of this installation to one encrypted file, also while it is served. Models and the index are left out.

    Without a passphrase, and without the keys, nobody can open the file: keep them where the file is not.
    """
    if without_keys and passphrase_file:
        message = "A backup without keys has no passphrase: the keys open it. Leave one of the options out."
        raise BadRequestError(message)
    with opened(context) as services:
        words = None if without_keys else _passphrase(passphrase_file, confirm=True)
        with _progress("Backing up") as progress:
            made = product.make_backup(services, file, operating_system_user(), words, progress)
    if as_json:
        show_json({"file": str(file), **product.asdict(made)})
        return
    keys = "with its keys" if made.with_keys else "without its keys, which are needed to open it"
    show(f"Backup {made.id}: {made.size / 1e6:.1f} MB in {file}, up to entry {made.entries} of the trail, {keys}.")


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    *,
    into: Annotated[Path, typer.Option(metavar="HOME", help="A new or empty folder, which becomes the home.")],
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The newest data/erasures.jsonl: who was erased since the backup is erased again."
        ),
    ] = None,
    trail: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A newer copy of the trail: where there is no ledger, it tells which users were erased.",
        ),
    ] = None,
    no_ledger: Annotated[
        bool, typer.Option("--no-ledger", help="There is no ledger of erasures; who was erased since comes back.")
    ] = False,
    keys: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The installation's keys, for a backup without them.")
    ] = None,
    passphrase_file: _PassphraseFile = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Checkpoints that were kept elsewhere: says which entries are missing."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a home of a backup. Nothing is put in place unless every byte of the file is as it was written.

    Who was erased after the backup was made must not come back: name the ledger of erasures, or say that there is none.
    Where --home names an installation that has one, that is taken.
    """
    erasures = _erasures(home_of(context), ledger, trail, without=no_ledger)
    unlocking = product.Unlocking(lambda: _passphrase(passphrase_file, confirm=False), keys)
    kept = _kept(checkpoint) if checkpoint else None
    home = Home(into.absolute())
    with _progress("Restoring") as progress:
        restored = product.restore(
            file, home, operating_system_user(), unlocking, erasures, kept=kept, progress=progress
        )
    if as_json:
        show_json({"home": str(home), "ok": not restored.problems, **product.asdict(restored)})
    else:
        _show_restored(home, restored, against_kept=kept is not None)
    if restored.problems:
        raise typer.Exit(FINDINGS)


def _show_restored(home: Home, restored: "Restored", *, against_kept: bool) -> None:
    show(f"Made {home} of backup {restored.id} of {restored.contents.at}.")
    show(f"{restored.erased} erasures were made again. {restored.sessions_ended} sessions were ended.")
    missing = restored.missing
    if missing is not None:
        show(f"The trail lacks its entries {missing.first} to {missing.last}, which came after the backup.", "yellow")
    elif not against_kept:
        tell("Which entries of the trail came after the backup shows only with --checkpoint.", "dim")
    for problem in restored.problems:
        show(f"The trail is not what was written, and was not when it was backed up: {problem}", "red")
    tell("Rights, users and keys are those of the backup. Revoke again what was revoked since, then: muniment sync")


def _erasures(named: Home, ledger: Path | None, trail: Path | None, *, without: bool) -> "KnownErasures":
    """What is known of erasures; nothing where it was said that there is nothing."""
    if without and (ledger is not None or trail is not None):
        message = "Give either --ledger or --trail, or --no-ledger."
        raise BadRequestError(message)
    found = ledger or (named.erasures if named.erasures.is_file() and not without else None)
    if found is None and trail is None and not without:
        message = (
            "Who was erased since the backup would come back. Name the newest ledger of erasures with --ledger FILE "
            "(data/erasures.jsonl of the home that was lost), or say --no-ledger where there is none."
        )
        raise BadRequestError(message)
    return product.KnownErasures(found, trail)


def _kept(file: Path) -> "SignedCheckpoint":
    """The newest checkpoint in a file of them."""
    try:
        found = product.last_exported(file)
    except OSError as error:
        message = f"The checkpoints {file} cannot be read: {error.strerror}."
        raise BadRequestError(message) from error
    if found is None:
        message = f"{file} holds no checkpoint."
        raise BadRequestError(message)
    return found


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    if file is not None:
        return product.read_passphrase(file)
    asked: str = typer.prompt("Passphrase of the backup", hide_input=True, confirmation_prompt=confirm, err=True)
    return asked


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    console = messages()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what)
        yield lambda done, total: progress.update(task, completed=done, total=total)
