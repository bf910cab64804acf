"""`redact`: what would be hidden from the model in a text."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.opening import opened, product
from gateway.cli.options import Json
from gateway.cli.output import messages, show_json
from gateway.errors import BadRequestError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(redact)


def redact(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="[FILE|-]", help="A text file; - or nothing reads standard input.")
    ] = "-",
    *,
    as_json: Json = False,
) -> None:
    """Print a text with personal data and secrets replaced by placeholders."""
    text = _read(file)
    with opened(context) as services, messages().status("Looking ..."):
        spans = services.redactor.find(text)
    replaced = product.Pseudonyms().replace(text, spans, "text")
    if as_json:
        show_json({"text": replaced, "found": spans})
    else:
        # As it is, without a newline of ours: the output may be a file that somebody compares.
        sys.stdout.write(replaced)


def _read(file: str) -> str:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}."
        raise BadRequestError(message) from error
    except UnicodeDecodeError as error:
        message = f"{file} is not UTF-8 text. Convert it first."
        raise BadRequestError(message) from error
