"""`audit prove`, `audit export` and `audit key`: what is handed to others."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from gateway.cli.audit import FINDINGS, group, read_key
from gateway.cli.looking import Reason, looking_for, record_reading
from gateway.cli.opening import home_of, opened, product
from gateway.cli.options import Json
from gateway.cli.output import messages, show, show_json, show_table, tell
from gateway.errors import BadRequestError
from policies.audit.formats import Format

_TOGETHER = 1000
"""Entries read at a time."""


def register(_: typer.Typer) -> None:
    """Add the commands to the group `audit`."""
    group.command()(export)
    group.command()(key)
    group.command()(prove)


def export(
    context: typer.Context,
    *,
    format_: Annotated[Format, typer.Option("--format", help="How entries are written.")] = Format.JSON,
    after: Annotated[int, typer.Option(min=0, metavar="ENTRY", help="Begin behind this entry.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A file that is added to; else the output.")] = None,
    reason: Reason = None,
) -> None:
    """Write entries for another system, oldest first, one a line. The last line on the error output says how to go on.

    What is written is in the trail before. Entries that come while this runs are left for the next time. People are
    called by their names, and those who were erased by what stands for them.
    """
    with opened(context) as services:
        newest = product.read_entries(services.trail_place, product.EntryQuery(limit=1))
        last = newest[0].id if newest else 0
        filters = (f"after={after}", f"format={format_.value}")
        record_reading(services, looking_for(services, reason), "export", max(0, last - after), filters)
        done = after
        with _written_to(out) as file, messages().status("Exporting ..."):
            while done < last:
                behind, many = done, min(_TOGETHER, last - done)
                log, entries = product.read_on(services.trail_place, behind, many, services.subjects)
                file.writelines(product.record(entry, log, format_) + "\n" for entry in entries)
                done = entries[-1].id if entries else last
    tell(f"{max(0, done - after)} entries. Go on with --after {done}.")


@contextmanager
def _written_to(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    try:
        with out.open("a", encoding="ascii") as file:
            yield file
    except OSError as error:
        message = f"The entries cannot be written to {out}: {error.strerror}."
        raise BadRequestError(message) from error


def key(context: typer.Context) -> None:
    """Print the public keys that signatures of this installation are checked with, as PEM, the oldest first.

    Auditors keep the first: it leads to those after it.
    """
    sys.stdout.write(product.public_keys(home_of(context).keys))


def prove(
    context: typer.Context,
    receipt: Annotated[
        Path,
        typer.Argument(metavar="RECEIPT", help="A receipt, or a whole answer of `ask --json` or of the API, as JSON."),
    ],
    *,
    answer: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The answer's text, where RECEIPT does not hold it.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write the evidence, for whoever checks it without this machine."),
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", metavar="FILE", help="The public key, as kept elsewhere.")
    ] = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Hold a receipt to the trail: signature, entries, and that checkpoints sign these. The exit code is 1 if not."""
    signed, text = _receipt(receipt)
    pem = read_key(public_key) if public_key else product.public_keys(home_of(context).keys)
    shown = _content(answer).decode(errors="replace") if answer else text
    with opened(context) as services:
        found = product.evidence(services.trail_place, signed, pem, shown)
        record_reading(services, looking_for(services, reason), "prove", len(found.proofs))
    if out:
        try:
            out.write_text(json.dumps(found.to_dict(), indent=1) + "\n", encoding="ascii")
        except OSError as error:
            message = f"The evidence cannot be written to {out}: {error.strerror}."
            raise BadRequestError(message) from error
    entries = [(proof.id, proof.kind, proof.checkpoint.checkpoint.number) for proof in found.proofs]
    if as_json:
        show_json({"ok": not found.problems, "problems": list(found.problems), **found.to_dict()})
    else:
        show_table(("entry", "kind", "signed by checkpoint"), entries, empty="The trail holds nothing of it.")
        for problem in found.problems:
            show(problem, "red")
        if not found.problems:
            shown_too = "" if shown is None else " Its text is the one that was given."
            show(f"The receipt is ours, and the trail says the same.{shown_too}", "green")
    if found.problems:
        raise typer.Exit(FINDINGS)


def _receipt(file: Path) -> tuple[dict[str, Any], str | None]:
    """The signed receipt in a file, and the text of its answer where the file holds the whole answer."""
    try:
        given = json.loads(_content(file))
        if "choices" in given:
            return given["muniment"]["receipt"], given["choices"][0]["message"]["content"]
        return (given, None) if "signature" in given else (given["receipt"], given.get("answer"))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        message = f"{file} holds no receipt. Give what `muniment ask --json` printed, or the `receipt` in it."
        raise BadRequestError(message) from error


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}."
        raise BadRequestError(message) from error
