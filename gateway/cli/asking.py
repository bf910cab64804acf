"""`ask` and `search`: what one person gets."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.opening import acting_as, opened, operating_system_user, product
from gateway.cli.options import AsUser, Json, Limit
from gateway.cli.output import messages, show, show_block, show_json, tell
from gateway.contexts import local_context
from policies.context import Purpose

if TYPE_CHECKING:
    from gateway.chat.schemas import Answer, Citation
    from gateway.cli.product import Services
    from gateway.search.schemas import SearchedPassage


_REASONS = {
    "date": "A date is not there, or says something else.",
    "language": "It is in another language than the answer, so it could not be compared.",
    "name": "A name is not there, or says something else.",
    "negation": "It affirms, denies or demands something else.",
    "number": "A number is not there, or says something else.",
    "wording": "Too few of the words are there.",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(ask)
    app.command()(search)


def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="What to ask.")],
    user: AsUser,
    *,
    conversation: Annotated[str | None, typer.Option(metavar="ID", help="Go on with this conversation.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Begin a conversation and print its id.")] = False,
    as_json: Json = False,
) -> None:
    """Answer a question from the documents a user may read."""
    with opened(context) as services, services.authorizer.pinned(), messages().status("Reading ..."):
        principal = acting_as(services, user)
        asked = product.Question(
            principal,
            question,
            local_context(Purpose.ANSWER),
            conversation=conversation,
            keep=keep,
            operating_system_user=operating_system_user(),
        )
        answer = asyncio.run(_ask(services, asked))
    if as_json:
        show_json(answer)
    else:
        _show_answer(answer)


async def _ask(services: "Services", question: "product.Question") -> "Answer":
    # The worker loads the language model while this process loads the embedder: half of the waiting.
    served = services.served
    needed = {model.id: model.engine for model in (served.default, served.stand_in) if model}.values()
    try:
        starting = asyncio.gather(*(engine.start() for engine in needed))
        _, chats = await asyncio.gather(starting, asyncio.to_thread(lambda: services.chats))
        return await chats.ask(question)
    finally:
        await served.stop()


def search(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="What to look for.")],
    user: AsUser,
    *,
    limit: Limit = 10,
    as_json: Json = False,
) -> None:
    """Find the passages a user may read, without an answer."""
    with opened(context) as services, services.authorizer.pinned(), messages().status("Searching ..."):
        principal = acting_as(services, user)
        result = asyncio.run(
            services.searches.search(
                principal,
                question,
                limit,
                local_context(Purpose.SEARCH),
                operating_system_user=operating_system_user(),
            )
        )
    if as_json:
        show_json(result)
        return
    for passage in result.passages:
        _show_passage(passage)
    if result.passages:
        tell(f"{len(result.passages)} found in {result.took_ms:.0f} ms", "dim")
    else:
        tell("Nothing found that this user may read.", "dim")


def _show_passage(passage: "SearchedPassage") -> None:
    show(f"{passage.rank}. {_titled(passage.title, passage.heading)}", "bold")
    show_block(f"{passage.path} · {passage.score:.4f}", 3, "dim")
    show_block(f"{passage.text.strip()}\n", 3)


def _titled(title: str, heading: str) -> str:
    return " > ".join(part for part in (title, heading) if part)


def _show_answer(answer: "Answer") -> None:
    show(answer.answer)
    if answer.citations:
        show("\nSources", "bold")
        for citation in answer.citations:
            _show_citation(citation, [each.reason for each in answer.sentences if each.n == citation.n and each.reason])
    show("")
    show(_footing(answer), "dim")


def _show_citation(citation: "Citation", reasons: list[str]) -> None:
    show(f"[{citation.n}] {_titled(citation.title, citation.heading)}")
    show_block(_place(citation), 4, "dim")
    if not citation.supported:
        show_block("This passage does not state all that is said of it.", 4, "yellow")
        for reason in dict.fromkeys(reasons):
            show_block(_REASONS[reason], 4, "yellow")


def _place(citation: "Citation") -> str:
    """Where a citation's document is, and how old it is."""
    page = f", page {citation.page}" if citation.page else ""
    modified = f", modified {citation.modified:%Y-%m-%d}" if citation.modified else ""
    return f"{citation.url or citation.path}{page}{modified}"


def _footing(answer: "Answer") -> str:
    """What stands below an answer: what was hidden from the model, what proves it, how long it took."""
    redacted = ", ".join(f"{count} {type_}" for type_, count in sorted(answer.redactions.items()))
    seconds = {name: milliseconds / 1000 for name, milliseconds in answer.timings_ms.items()}
    first = f" (first word after {seconds['first_token']:.1f} s)" if "first_token" in seconds else ""
    usage = answer.usage
    reused, written = f"{usage.cached_tokens} of them again", f"{usage.completion_tokens} written"
    tokens = f"{usage.prompt_tokens} tokens read, {reused}, {written}"
    lines = [
        f"Hidden from the model: {redacted}" if redacted else "",
        f"Not sent to the model, which is on another machine: {answer.kept_here} passages" if answer.kept_here else "",
        f"Conversation {answer.conversation}" if answer.conversation else "",
        f"Receipt {answer.receipt['receipt']['request']}",
        f"{seconds.get('total', 0):.1f} s{first}; {tokens}",
    ]
    return "\n".join(line for line in lines if line)
