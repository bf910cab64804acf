"""`redact`: what would be hidden in a text, from the model and from readers."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from gateway.cli.lines import FoundLine, FoundSpan, batches, found_in, opened_bytes, write_line
from gateway.cli.opening import opened, product
from gateway.cli.options import Json
from gateway.cli.output import messages, show_json, show_table, tell
from gateway.errors import BadRequestError
from policies.decisions import Decision
from policies.personal_data import Span, SpanType
from policies.redaction.languages import unsupported

if TYPE_CHECKING:
    from gateway.cli.product import Services

_AROUND_CHARS = 24
_NOT_MASKED = Decision(True, "Not masked at all; name its type in `redaction.also` to mask it.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(redact)


def redact(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="[FILE|-]", help="A text file; - or nothing reads standard input.")
    ] = "-",
    *,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help='Lines {"id", "text"} in, lines {"id", "text", "spans"} out.')
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="List what is found, with the values, and by which rule it is masked.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print a text with personal data and secrets replaced by placeholders."""
    if jsonl and (explain or as_json):
        message = "--jsonl prints lines of its own; leave out --explain and --json."
        raise BadRequestError(message)
    if jsonl:
        with opened(context) as services:
            _redact_lines(services, file)
        return
    text = _read(file)
    with opened(context) as services, messages().status("Looking ..."):
        (spans,) = services.redactor.recognise([text]) if explain else services.redactor.find_many([text])
        masked = [span for span in spans if span.type in services.redactor.types]
        decided = _decided(services, masked) if explain else {}
    if explain:
        _explain(text, spans, decided, as_json=as_json)
        return
    replaced = product.Pseudonyms().replace(text, spans, "text")
    if as_json:
        show_json({"text": replaced, "found": spans})
    else:
        # As it is, without a newline of ours: the output may be a file that somebody compares.
        sys.stdout.write(replaced)


def _redact_lines(services: "Services", file: str) -> None:
    services.redactor.load()
    with opened_bytes(file) as stream:
        for batch in batches(stream, file):
            for line, spans in found_in(batch, services.redactor, file):
                found = [_found(span, masked=span.type in services.redactor.types) for span in spans]
                write_line(FoundLine(line.id, line.text, found))
            sys.stdout.flush()


def _decided(services: "Services", found: Iterable[Span]) -> Mapping[SpanType, Decision]:
    """For each kind that was found: is it shown to an ordinary reader?"""
    return product.shown_to_ordinary_readers(services.authorizer, {each.type for each in found})


def _found(span: Span, *, masked: bool) -> FoundSpan:
    return FoundSpan(span.start, span.end, str(span.type), span.score, span.recogniser, masked)


def _explain(text: str, spans: Sequence[Span], decided: Mapping[SpanType, Decision], *, as_json: bool) -> None:
    found = [_found(span, masked=span.type in decided) for span in spans]
    if as_json:
        told = [
            {
                **msgspec.structs.asdict(each),
                "text": text[each.start : each.end],
                "shown_to_readers": _why(span, decided).allowed,
                "rules": list(_why(span, decided).policies),
                "reason": _why(span, decided).reason,
            }
            for span, each in zip(spans, found, strict=True)
        ]
        show_json({"spans": told})
        return
    rows = [
        (
            f"{each.start}-{each.end}",
            each.type,
            _around(text, each),
            each.recogniser,
            each.score,
            "shown" if _why(span, decided).allowed else "masked",
            ", ".join(_why(span, decided).policies) or _why(span, decided).reason,
        )
        for span, each in zip(spans, found, strict=True)
    ]
    columns = ("at", "type", "found", "recogniser", "score", "to readers", "rule")
    show_table(columns, rows, empty="No personal data and no secrets were found.")
    if personal := [span for span in spans if span.type in decided]:
        _tell_counts(personal, decided)
    if languages := unsupported(text):
        tell(f"Names of people are not looked for in every sentence: some are {', '.join(sorted(languages))}.")


def _why(span: Span, decided: Mapping[SpanType, Decision]) -> Decision:
    """Whether a reader sees it, and why; what is not among the masked types is nobody's to hide."""
    return decided.get(span.type, _NOT_MASKED)


def _tell_counts(found: Sequence[Span], decided: Mapping[SpanType, Decision]) -> None:
    masked = sum(not decided[each.type].allowed for each in found)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(str(each.type) for each in found).items()))
    tell(
        f"{len(found)} found ({kinds}). None of them reaches the model; {masked} are masked for an ordinary reader "
        "of the document, too. The values are shown since this is your own terminal; nothing is kept."
    )


def _around(text: str, span: FoundSpan) -> str:
    """The value in its surroundings, on one line."""
    before = text[max(0, span.start - _AROUND_CHARS) : span.start]
    after = text[span.end : span.end + _AROUND_CHARS]
    left = "..." if span.start > _AROUND_CHARS else ""
    right = "..." if span.end + _AROUND_CHARS < len(text) else ""
    return " ".join(f"{left}{before}›{text[span.start : span.end]}‹{after}{right}".split())


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
