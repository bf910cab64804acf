"""Lines of JSON with texts to redact: read strictly, a batch as soon as it is there, and written as they are done.

A line that cannot be read ends it, with its number. What was written before stands; nothing of that line and of those
after it is written.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import msgspec

from gateway.cli.output import escaped
from gateway.errors import BadRequestError
from policies.errors import RedactionFailedError
from policies.personal_data import Span

LONGEST_LINE_BYTES = 32_000_000
"""Room for the longest text that is searched at all, every character of it escaped."""
_READ_BYTES = 1 << 16
_BATCH_LINES = 256
_ONLY_BLANK = b" \t\r\n"


class Finder(Protocol):
    """Whoever finds personal data in texts."""

    def recognise(self, texts: Sequence[str]) -> list[list[Span]]:
        """Everything that is recognised in each text, masked or not."""


class TextLine(msgspec.Struct):
    """A line: a text, and an id that is whatever JSON it is, kept to the letter. Other names are passed over."""

    id: msgspec.Raw
    text: str


class FoundSpan(msgspec.Struct, frozen=True):
    """What was recognised at `text[start:end]`, in code points.

    `masked` says whether a placeholder stands for it in what the model sees; what a reader may see is put back
    afterwards, for that reader. Not masked is what is no personal data by policy and by the settings.
    """

    start: int
    end: int
    type: str
    score: float
    recogniser: str
    masked: bool


class FoundLine(msgspec.Struct, frozen=True):
    """What is written for a line."""

    id: msgspec.Raw
    text: str
    spans: list[FoundSpan]


@contextmanager
def opened_bytes(file: str) -> Iterator[BinaryIO]:
    """A file, or standard input for `-`.

    Raises:
        BadRequestError: It cannot be read.
    """
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        opened = Path(file).open("rb")  # noqa: SIM115 - closed below; only opening it is tried here
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}."
        raise BadRequestError(message) from error
    with opened:
        yield opened


def batches(stream: BinaryIO, file: str) -> Iterator[list[tuple[int, TextLine]]]:
    """Lines with their numbers, counted from 1: all that one read brought, so that who writes line by line is answered.

    Raises:
        BadRequestError: A line cannot be read; those before it were given.
    """
    batch: list[tuple[int, TextLine]] = []
    for number, line in _lines(stream):
        if line is not None and line.strip(_ONLY_BLANK):
            try:
                batch.append((number, _read(line, first=number == 1)))
            except ValueError as error:
                yield batch
                message = f"Line {number} of {file} {error} What stood before it is done; nothing else was written."
                raise BadRequestError(message) from error
        if batch and (line is None or len(batch) >= _BATCH_LINES):
            yield batch
            batch = []
    if batch:
        yield batch


def found_in(
    batch: Sequence[tuple[int, TextLine]], finder: Finder, file: str
) -> Iterator[tuple[TextLine, Sequence[Span]]]:
    """What is found in each line of a batch.

    Raises:
        RedactionFailedError: In a line it could not be looked for; those before it were given.
    """
    try:
        found = finder.recognise([line.text for _, line in batch])
    except RedactionFailedError:
        # In which of them? One by one, those before it are good.
        for number, line in batch:
            try:
                yield line, finder.recognise([line.text])[0]
            except RedactionFailedError as error:
                message = f"Line {number} of {file}: {error}"
                raise RedactionFailedError(message) from error
        return
    yield from zip((line for _, line in batch), found, strict=True)


def write_line(line: FoundLine) -> None:
    """Write a line, in UTF-8 whatever the terminal is set to, on one line whatever the text holds."""
    sys.stdout.buffer.write(escaped(msgspec.json.encode(line).decode()).encode() + b"\n")


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Lines with their numbers, and nothing in place of a line where no more has come so far."""
    number, rest = 1, bytearray()
    while chunk := stream.read1(_READ_BYTES):  # type: ignore[attr-defined] # Buffered files have it.
        for piece in chunk.split(b"\n")[:-1]:
            yield number, bytes(rest + piece)
            number, rest = number + 1, bytearray()
        rest += chunk[chunk.rfind(b"\n") + 1 :]
        if len(rest) > LONGEST_LINE_BYTES:
            break  # It is refused by its length, without reading on.
        yield number, None
    yield number, bytes(rest)


def _read(line: bytes, *, first: bool) -> TextLine:
    """A line's text and id.

    Raises:
        ValueError: The line is not to be used; the text, which goes on after `Line 7 of FILE`, says why.
    """
    if len(line) > LONGEST_LINE_BYTES:
        message = f"is longer than {LONGEST_LINE_BYTES} bytes. Split its text."
        raise ValueError(message)
    try:
        text = line.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as error:
        message = f"is not UTF-8: byte {error.start + 1} is wrong. Convert it."
        raise ValueError(message) from error
    fields = _object(text)
    try:
        text.encode()
        json.dumps(fields, ensure_ascii=False).encode()
        read = msgspec.json.decode(text.encode(), type=TextLine)
        return TextLine(msgspec.Raw(msgspec.json.format(bytes(read.id), indent=-1)), read.text)
    except msgspec.ValidationError as error:
        message = f'is not of the form {{"id": ..., "text": "..."}}: {error}.'
        raise ValueError(message) from error
    except UnicodeEncodeError as error:
        message = "has half a character (a lone surrogate) in it. Write it as a whole."
        raise ValueError(message) from error
    except (msgspec.DecodeError, RecursionError) as error:
        message = "is no JSON that can be read."
        raise ValueError(message) from error


def _object(text: str) -> Any:
    """The line as Python reads JSON, which tells every name of an object; numbers are kept as they stand."""
    try:
        # What a constant such as NaN is does not matter: the strict reader refuses it next.
        return json.loads(text, object_pairs_hook=_once, parse_int=str, parse_float=str)
    except _TwiceError:
        raise
    except (ValueError, RecursionError) as error:
        where = f" ({error.msg}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        message = f"is no JSON that can be read{where}."
        raise ValueError(message) from error


class _TwiceError(ValueError):
    """A name stands twice in an object: readers differ in which value they take."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"has the name {twice[:40]!r} twice. Leave one out."
        raise _TwiceError(message)
    return made
