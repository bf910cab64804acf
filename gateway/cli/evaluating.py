"""`eval`: how well the installation finds, guards and answers, with somebody's own questions; and reports of before."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from typer.core import TyperGroup

from gateway.cli.opening import opened, operating_system_user, product
from gateway.cli.options import Json
from gateway.cli.output import messages, show, show_json, show_table, tell
from gateway.errors import BadRequestError

if TYPE_CHECKING:
    from gateway.cli.product import Services
    from gateway.evaluation.report import Answers, Leaks, Ranks, Report
    from gateway.evaluation.scoring import Share, Spread


_SPEED_COLUMNS = (
    "model", "first token: median", "p95", "answer: median", "p95", "tokens/s", "tokens read", "again", "written",
)  # fmt: skip


class Part(StrEnum):
    """What to measure."""

    ALL = "all"
    RETRIEVAL = "retrieval"


class _Evaluating(TyperGroup):
    """`muniment eval QUESTIONS` is `muniment eval run QUESTIONS`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name where nothing else stands."""
        known = {*self.commands, "--help"}
        return super().parse_args(ctx, args if not args or args[0] in known else ["run", *args])


_group = typer.Typer(cls=_Evaluating, no_args_is_help=True, help="How well it finds, guards and answers.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_group, name="eval")


@_group.command("list")
def list_(context: typer.Context, *, as_json: Json = False) -> None:
    """List the stored reports, the newest first."""
    with opened(context) as services:
        reports = services.evaluations.listed()
    if as_json:
        show_json(reports)
        return
    rows = [
        (report.id, report.started_at, answers.model, *_short(answers))
        for report in reports
        for answers in report.answers
    ]
    rows += [(report.id, report.started_at, "-", *("-",) * 5) for report in reports if not report.answers]
    columns = ("report", "begun", "model", "right", "declined", "personal data", "obeyed", "p95")
    show_table(columns, sorted(rows, reverse=True), empty="No report is stored. Run: muniment eval QUESTIONS ...")


@_group.command("show")
def show_report(
    context: typer.Context,
    id_: Annotated[str, typer.Argument(metavar="ID", help="The report.")],
    *,
    as_json: Json = False,
) -> None:
    """Show a stored report."""
    with opened(context) as services:
        report = services.evaluations.open(id_)
    if as_json:
        show_json(report)
    else:
        _show(report)


@_group.command("run")
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
    embedder: Annotated[
        str | None, typer.Option(metavar="ID", help="Search with this embedder, whose vectors have been made.")
    ] = None,
    only: Annotated[Part, typer.Option(help="What to measure.")] = Part.ALL,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="The source they are about, where there are several.")
    ] = None,
    mlflow: Annotated[
        str, typer.Option(metavar="URL", help="Log the figures to this MLflow server; else models.mlflow_url.")
    ] = "",
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write everything, question by question, as JSON.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure finding, leaking and answering on a file of questions with known answers, and store the figures.

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

            with services.authorizer.pinned():
                measured = product.searching_with(services, embedder) if embedder else services
                result = asyncio.run(product.evaluate(measured, plan, advance))
        stored = services.evaluations.add(result)
        _record(services, stored)
        url = mlflow or services.config.models.mlflow_url
    result = msgspec.structs.replace(result, id=stored.id)
    if report is not None:
        _write(report, result)
    if as_json:
        show_json(msgspec.structs.replace(result, found=[], given=[]))
    else:
        _show(result)
        tell(f"Stored as {stored.id}. Show it again with: muniment eval show {stored.id}", "dim")
    if url:
        product.log_report(stored, url)
        tell(f"Logged to {url}.", "dim")
    if result.leaks.unreadable:
        raise typer.Exit(1)


def _record(services: "Services", stored: "Report") -> None:
    """Into the trail: a report is what a model is promoted by."""
    models = tuple(answers.model for answers in stored.answers)
    digests = tuple(answers.sha256 for answers in stored.answers)
    by = operating_system_user()
    services.recorder.record_now(product.ModelEvaluated(by=by, report=stored.id, models=models, models_sha256=digests))


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
        for answers in report.answers:
            _show_guarding(answers)
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


def _show_guarding(answers: "Answers") -> None:
    personal, injection = answers.personal_data, answers.injection
    outcome = f"{personal.leaking} of {personal.answers} answers held personal data their reader was not to see"
    show(f"{answers.model}: {outcome}.", "red" if personal.leaking else "green")
    obeyed = f"{injection.obeyed.count} of {injection.obeyed.of} answers over hostile passages obeyed them"
    named = f" ({', '.join(injection.examples)})" if injection.examples else ""
    show(f"{answers.model}: {obeyed}{named}.", "red" if injection.obeyed.count else "green")


def _short(answers: "Answers") -> tuple[str, ...]:
    right, declined = answers.answerable.right, answers.unanswerable.declined
    return (
        f"{right.count}/{right.of}",
        f"{declined.count}/{declined.of}",
        str(answers.personal_data.leaking),
        str(answers.injection.obeyed.count),
        _seconds(answers.total_ms.p95),
    )


def _ranks(name: str, ranks: "Ranks") -> tuple[str, str, str, str]:
    return name, _share(ranks.top_1), _share(ranks.top_5), _share(ranks.top_10)


def _quality(answers: "Answers") -> tuple[str | int, ...]:
    had, lacked = answers.answerable, answers.unanswerable
    shares = (had.right, had.wrong, had.declined, lacked.declined, lacked.answered)
    return (answers.model, *(_share(one) for one in shares), answers.failed)


def _speed(answers: "Answers") -> tuple[str | int, ...]:
    tokens = (answers.prompt_tokens, answers.cached_tokens, answers.completion_tokens)
    rate = answers.tokens_per_second.median
    written = "-" if rate is None else f"{rate:.0f}"
    return (answers.model, *_spread(answers.first_token_ms), *_spread(answers.total_ms), written, *tokens)


def _share(share: "Share") -> str:
    """`27/60 0.45 (0.33-0.58)`: the interval says how much to make of it."""
    if not share.of:
        return "-"
    return f"{share.count}/{share.of} {share.share:.2f} ({share.low:.2f}-{share.high:.2f})"


def _spread(spread: "Spread") -> tuple[str, str]:
    return _seconds(spread.median), _seconds(spread.p95)


def _seconds(milliseconds: float | None) -> str:
    return "-" if milliseconds is None else f"{milliseconds / 1000:.1f} s"
