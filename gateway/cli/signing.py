"""`signer`: a process of its own, of a user of its own, that holds the signing key; and `keys rotate`."""

import grp
import os
import pwd
import signal
import threading
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import keys
from gateway.cli.opening import opened, operating_system_user, product
from gateway.cli.output import show, tell
from gateway.errors import BadRequestError


class Rotated(StrEnum):
    """Which key gives way to another one."""

    MASTER = "master"
    SIGNING = "signing"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(signer)
    keys.group.command()(reseal)
    keys.group.command()(rotate)


def rotate(
    context: typer.Context,
    which: Annotated[Rotated, typer.Argument(help="The key that signs the trail, or the one that seals data.")],
) -> None:
    """Let another key sign or seal from now on. What the one before signed stays good; what it sealed can be read."""
    with opened(context) as services:
        by = operating_system_user()
        if which is Rotated.SIGNING:
            recorder = services.recorder
            key = product.rotate_signing_key(services.trail_place, services.keys, by, recorder.record_now)
            show(f"The key {key} signs from now on. Whoever has an earlier public key can follow.")
            return
        services.recorder.record_now(product.MasterKeyRotated(by=by, previous=services.keys.master_id))
        key = product.rotate_master(services.home.keys)
    show(f"The master key {key} seals what is new, once running services are started again.")
    tell("Then `muniment keys reseal` seals the rest anew and destroys the one before. Back up the keys folder.")


def reseal(context: typer.Context) -> None:
    """After `rotate master`: seal anew what the master key before it sealed, and destroy that one."""
    with opened(context) as services:
        resealed = product.MasterKeyResealed(by=operating_system_user(), master=services.keys.master_id)
        services.recorder.record_now(resealed)
        done = product.reseal(services.database, services.keys, services.home.keys, services.conversations)
    what = "data keys, reasons and conversations"
    show(f"{done.values} {what} were sealed with the master key {services.keys.master_id}.")
    if done.destroyed:
        show(f"Destroyed: {', '.join(done.destroyed)}. Remove it from backups of the keys folder, too.")
    if done.kept:
        tell(f"Still there: {', '.join(done.kept)}. Run this again in a minute.")


def signer(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where signing.pem is, and what was signed last.")],
    socket: Annotated[Path | None, typer.Option(help="Where to listen; else FOLDER/socket.")] = None,
    *,
    user: Annotated[
        list[str] | None, typer.Option(help="Who may ask for signatures; may be repeated. Else whoever runs this.")
    ] = None,
    group: Annotated[str | None, typer.Option(help="A group that may reach the socket; else its owner alone.")] = None,
    prepare_next: Annotated[
        bool, typer.Option("--prepare-next", help="Only make the key that `muniment keys rotate signing` changes to.")
    ] = False,
) -> None:
    """Hold the signing key for a gateway: sign its checkpoints, one after the other, and its receipts; nothing else.

    Run it as a user of its own, and name the socket in audit.signer.
    """
    if prepare_next:
        product.FileSigner(folder / "signing.pem").prepare_next()
        show("The next key is prepared. Now run, where the gateway is: muniment keys rotate signing")
        return
    users = {_user_id(name) for name in user or ()} or {os.getuid()}
    path = socket or folder / "socket"
    with product.serve_signatures(product.Notary(folder), path, users, _group_id(group)) as server:
        # `shutdown` waits for the loop to end, so it must not run in the loop's own thread.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        tell(f"The signer listens on {path}. Stop it with Ctrl-C.")
        server.serve_forever()
    path.unlink(missing_ok=True)
    tell("Stopped.")


def _user_id(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError as error:
        message = f"There is no user {name} on this machine. Name the one that the gateway runs as."
        raise BadRequestError(message) from error


def _group_id(name: str | None) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid if name else None
    except KeyError as error:
        message = f"There is no group {name} on this machine. Name one that the gateway's user is in."
        raise BadRequestError(message) from error
