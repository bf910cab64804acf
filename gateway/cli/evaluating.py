"""`eval`: how well the installation finds, guards and answers, with somebody's own questions."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gateway.cli.opening import opened, operating_system_user, product
from gateway.cli.options import Json
from gateway.cli.output import messages, show, show_json, show_table
from gateway.errors import BadRequestError

if TYPE_CHECKING:
    from gateway.evaluation.report import Answers, Leaks, Ranks, Report
    from gateway.evaluation.scoring import Share, Spread


_SPEED_COLUMNS = ("model", "first token: median", "p95", "answer: median", "p95", "tokens read", "again", "written")


class Part(StrEnum):
    """What to measure."""

    ALL = "all"
    RETRIEVAL = "retrieval"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("eval")(evaluate)


def evaluate(
    context: typer.Context,
    questions: Annotated[Path, typer.Argument(help="A file with one question a line, as JSON.")],
    *,
    access: Annotated[
        Path,
        typer.Option(
            "--as-readers-from", metavar="ACCESS", help="The access file: its users ask, its rules are held against."
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Answer with this model; may be repeated. Else the one in use."),
    ] = None,
    only: Annotated[Part, typer.Option(help="What to measure.")] = Part.ALL,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="The source they are about, where there are several.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write everything, question by question, as JSON.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure finding, leaking and answering on a file of questions with known answers.

    The exit code is 1 when somebody found a page they may not read.
    """
    with opened(context) as services:
        plan = product.Plan(
            questions=product.load_questions(questions),
            access=product.read_access(access),
            models=[] if only is Part.RETRIEVAL else model or [services.config.models.generator],
            source=source,
            operating_system_user=operating_system_user(),
        )
        with _progress() as progress:
            tasks = {}

            def advance(doing: str, done: int, of: int) -> None:
                if doing not in tasks:
                    tasks[doing] = progress.add_task(doing, total=of)
                progress.update(tasks[doing], completed=done)

            result = asyncio.run(product.evaluate(services, plan, advance))
    if report is not None:
        _write(report, result)
    if as_json:
        show_json(msgspec.structs.replace(result, found=[], given=[]))
    else:
        _show(result)
    if result.leaks.unreadable:
        raise typer.Exit(1)


def _progress() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = messages()
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _write(path: Path, report: "Report") -> None:
    """Only its owner may read it: it holds answers from documents."""
    try:
        path.touch(mode=0o600)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))
    except OSError as error:
        message = f"The report {path} cannot be written: {error.strerror}."
        raise BadRequestError(message) from error


def _show(report: "Report") -> None:
    retrieval = report.retrieval
    rows = [
        _ranks("all", retrieval.all),
        _ranks("single-turn", retrieval.single_turn),
        _ranks("follow-up", retrieval.follow_up),
    ]
    title = f"Right page found, {report.answerable} answerable questions ({report.embedder})"
    show_table(("questions", "first", "first five", "first ten"), rows, title=title)
    show("")
    _show_leaks(report.leaks)
    if report.answers:
        show("")
        columns = ("model", "answerable: right", "wrong", "declined", "unanswerable: declined", "answered", "failed")
        title = (
            f"Answers, {report.answerable} answerable and {report.questions - report.answerable} unanswerable questions"
        )
        show_table(columns, [_quality(answers) for answers in report.answers], title=title)
        show("")
        show_table(_SPEED_COLUMNS, [_speed(answers) for answers in report.answers], title="Time and tokens")
    machine = report.machine
    show(
        f"\n{report.took_seconds:.0f} s on {machine.processor}, {machine.cores} cores, load {machine.load_1_minute}",
        "dim",
    )


def _show_leaks(leaks: "Leaks") -> None:
    outcome = f"{leaks.unreadable} of {leaks.passages} passages were of pages the user may not read"
    show(f"{leaks.searches} searches, every question as every user: {outcome}.", "red" if leaks.unreadable else "green")
    rows = [(leak.question, leak.user, leak.path) for leak in leaks.examples]
    if rows:
        show_table(("question", "user", "page"), rows)


def _ranks(name: str, ranks: "Ranks") -> tuple[str, str, str, str]:
    return name, _share(ranks.top_1), _share(ranks.top_5), _share(ranks.top_10)


def _quality(answers: "Answers") -> tuple[str | int, ...]:
    had, lacked = answers.answerable, answers.unanswerable
    shares = (had.right, had.wrong, had.declined, lacked.declined, lacked.answered)
    return (answers.model, *(_share(one) for one in shares), answers.failed)


def _speed(answers: "Answers") -> tuple[str | int, ...]:
    tokens = (answers.prompt_tokens, answers.cached_tokens, answers.completion_tokens)
    return (answers.model, *_spread(answers.first_token_ms), *_spread(answers.total_ms), *tokens)


def _share(share: "Share") -> str:
    """`27/60 0.45 (0.33-0.58)`: the interval says how much to make of it."""
    if not share.of:
        return "-"
    return f"{share.count}/{share.of} {share.share:.2f} ({share.low:.2f}-{share.high:.2f})"


def _spread(spread: "Spread") -> tuple[str, str]:
    return _seconds(spread.median), _seconds(spread.p95)


def _seconds(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds / 1000:.1f} s"
