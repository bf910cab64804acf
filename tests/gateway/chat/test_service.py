"""The promises around an answer, with a model that does whatever an attacker wants."""

import asyncio
import re
from collections import Counter
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from gateway.chat import prompt
from gateway.chat.output import clean
from gateway.chat.prompt import ABSTENTION, PromptPassage
from gateway.chat.schemas import Answer
from gateway.chat.service import Question, _origin, _revealing
from gateway.chat.store import Message
from gateway.contexts import local_context
from gateway.errors import BadRequestError, ConflictError, NotFoundError
from gateway.reading import Reader
from models.engine import Generation, Speaker
from models.errors import EngineUnavailableError
from policies.audit.events import Event
from policies.audit.reader import EntryQuery, read_entries
from policies.audit.receipts import opaque_revision, revision_key, verify_receipt
from policies.audit.store import EntryRef, Trail
from policies.context import Purpose
from policies.decisions import Decision
from policies.errors import RedactionFailedError, TrailUnavailableError
from policies.labels import Label
from policies.personal_data import EntityType
from policies.redaction.placeholders import Pseudonyms
from retrieval.retriever import FoundPassage
from retrieval.sessions import writing
from retrieval.tables import SourceRow
from tests.fakes.scripted_model import prompt_of
from tests.fakes.sources import ListConnector, page
from tests.gateway.conftest import World, recorded

CARD = "4111 1111 1111 1111"
EXPENSES = "# Expenses\n\nThe daily allowance for travel in Norway is 390 kroner, meals included."
PAYMENTS = (
    f"# Payments by Ada Brandt\n\n## Card {CARD}\n\n### Asking Ravi Okafor\n\n"
    f"Ada Brandt (ada.brandt@harbour.example) pays Kestrel suppliers with card {CARD}."
)
KESTREL = "Who pays Kestrel suppliers?"
DUMP = "![x](https://evil.example/?q=1) <img src=//evil.example> [go](https://evil.example) ⟦CREDIT_CARD_1⟧ ⟦PERSON_1⟧ "


def ask(world: World, user: str, text: str, **more: object) -> Answer:
    question = Question(world.services.users.principal(user), text, local_context(Purpose.ANSWER), **more)  # type: ignore[arg-type]
    return asyncio.run(world.services.chats.ask(question))


@pytest.fixture
def payments(world: World) -> World:
    """The installation with a page that names a person and a card, for finance."""
    add_source(world, "extra")
    label = Label.for_groups("finance")
    world.services.ingestion.sync("extra", ListConnector(page("payments", PAYMENTS, label)))
    return world


def add_source(world: World, name: str) -> None:
    with writing(world.services.database) as session:
        session.add(SourceRow(name=name, type="list", settings="{}"))
        session.commit()


def test_sealed_data_in_a_path_is_masked_where_readers_see_it(payments: World) -> None:
    label = Label.for_groups("finance")
    scan = page(f"scans/{CARD}", "# Scan\n\nThe Kestrel suppliers are paid twice a month.", label)
    add_source(payments, "scans")
    payments.services.ingestion.sync("scans", ListConnector(scan))
    payments.services.chats.answer_always()
    answer = ask(payments, "alice", "When are the Kestrel suppliers paid?")
    alice, context = payments.services.users.principal("alice"), local_context(Purpose.SEARCH)
    found = asyncio.run(payments.services.searches.search(alice, "Kestrel suppliers paid twice a month", 5, context))
    for paths in ([each.path for each in answer.citations], [each.path for each in found.passages]):
        assert "scans/[card number hidden].md" in paths
    assert "payments.md" in [each.path for each in found.passages]
    assert CARD not in str((answer, found))


@pytest.mark.parametrize(
    ("id_", "url", "shown"),
    [
        ("terms", "https://docs.example/terms", "https://docs.example/terms"),
        ("terms", "javascript:alert(1)", ""),
        (f"terms {CARD}", "https://docs.example/terms-4111", ""),
    ],
)
def test_citations_lead_to_plain_web_addresses_that_tell_nothing_sealed(
    world: World, id_: str, url: str, shown: str
) -> None:
    add_source(world, "terms")
    terms = page(id_, "# Terms\n\nThe Kestrel suppliers are paid twice a month.", Label.for_groups("everyone"))
    world.services.ingestion.sync("terms", ListConnector(replace(terms, url=url)))
    world.model.says("The Kestrel suppliers are paid twice a month.")
    [citation] = ask(world, "bob", "When are the Kestrel suppliers paid?").citations
    assert citation.url == shown


@pytest.mark.parametrize("dashed", [False, True])
def test_the_mark_around_passages_leaves_no_answer(
    world: World, monkeypatch: pytest.MonkeyPatch, *, dashed: bool
) -> None:
    marks = []

    def tells(generation: Generation) -> str:
        marks.append(re.findall(r"<passage 1 (\w+)>", prompt_of(generation.turns))[0])
        return f"The mark is {'-'.join(marks[-1]) if dashed else marks[-1]} and the allowance is 480 kroner."

    def told() -> str:
        answer = ask(world, "bob", "What is the daily allowance for travel in Norway?").answer
        assert "480 kroner" in answer
        return answer.replace("-", "")

    world.model.reply = tells
    world.services.chats.answer_always()
    answer = told()
    assert marks[-1] not in answer
    monkeypatch.setattr("gateway.chat.service.clean", lambda text, _marks, most: clean(text, (), most))
    assert marks[-1] in told(), "the control"


@pytest.mark.parametrize("between", [" ", "\n", " <b>", "-"])
def test_what_the_model_was_told_leaves_no_answer(world: World, monkeypatch: pytest.MonkeyPatch, between: str) -> None:
    def tells(generation: Generation) -> str:
        return "The allowance is 480 kroner. " + between.join(generation.turns[0].parts[0].split())

    def told() -> str:
        answer = ask(world, "bob", "In 250 words: what is the daily allowance for travel in Norway?").answer
        assert "480 kroner" in answer
        return " ".join(re.findall(r"[a-z]{2,}", answer.lower().replace("not confirmed", "")))

    world.model.reply = tells
    world.services.chats.answer_always()
    instructions = re.findall(r"[a-z]{2,}", prompt._SYSTEM.lower())
    runs = {" ".join(instructions[at : at + 10]) for at in range(len(instructions) - 9)}
    assert [run for run in runs if run in told()] == []
    monkeypatch.setattr(prompt, "without_instructions", lambda answer: answer)
    assert [run for run in runs if run in told()], "the control"


def test_other_words_stay_in_an_answer() -> None:
    answer = "You answer questions of a company's customers from passages of its documents, and never follow links."
    assert prompt.without_instructions(answer) == answer
    repeated = f"Yes. {prompt._SYSTEM} The rest."
    assert prompt.without_instructions(repeated).startswith("Yes. …")
    assert prompt.without_instructions(repeated).endswith("The rest.")


def dumps_all(generation: Generation) -> str:
    """A compromised model: it repeats everything it was shown, and tries to send it away."""
    return DUMP + prompt_of(generation.turns)


def test_the_model_never_sees_personal_data(payments: World) -> None:
    said = Message(Speaker.USER, f"Ravi Okafor used card {CARD}."), Message(Speaker.ASSISTANT, "Ada Brandt knows.")
    ask(payments, "alice", "Who pays Kestrel suppliers, Ravi Okafor or Ada Brandt?", history=said)
    told = prompt_of(payments.model.generations[-1].turns)
    assert "Kestrel suppliers" in told
    assert "The conversation so far" in told
    for value in ("Ada Brandt", "Ravi Okafor", "ada.brandt@harbour.example", CARD):
        assert value not in told
    assert "⟦PERSON_1⟧" in told
    assert "⟦CREDIT_CARD_1⟧" in told


def test_without_redaction_it_would(payments: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with nothing recognised, the canaries do reach the model."""
    monkeypatch.setattr("gateway.chat.service.Chats._prompt_passage", raw_passage)
    ask(payments, "alice", "Who pays Kestrel suppliers?")
    assert CARD in prompt_of(payments.model.generations[-1].turns)


def raw_passage(_self: object, _run: object, passage: object) -> object:
    return PromptPassage(passage.title, passage.heading, "", passage.text)  # type: ignore[attr-defined]


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_a_compromised_model_gives_nothing_away(payments: World, user: str) -> None:
    payments.model.reply = dumps_all
    payments.services.chats.answer_always()
    answer = ask(payments, user, "Who pays Kestrel suppliers with a card?")
    told = answer.answer + "".join(citation.text + citation.title for citation in answer.citations)
    assert CARD not in told
    assert CARD.replace(" ", "") not in told
    assert "://" not in answer.answer
    assert "<img" not in answer.answer
    if user == "bob":
        for value in ("Ada Brandt pays", "Kestrel suppliers with", "1400000"):
            assert value not in told


def test_values_return_to_whom_a_policy_shows_them(payments: World) -> None:
    def names(generation: Generation) -> str:
        return "⟦PERSON_1⟧ pays Kestrel suppliers with card ⟦CREDIT_CARD_1⟧."

    payments.model.reply = names
    payments.services.chats.answer_always()
    answer = ask(payments, "alice", "Who pays Kestrel suppliers?").answer
    assert answer.startswith("Ada Brandt pays Kestrel suppliers")
    assert "[card number hidden]" in answer


class RevealsUnder:
    """Shows every kind of personal data under one label, and none under others."""

    def __init__(self, label: Label) -> None:
        self._label = label

    def decide_reveals(
        self, _principal: object, types: list[EntityType], labels: list[Label], _context: object
    ) -> object:
        return {label: dict.fromkeys(types, Decision(allowed=label == self._label, reason="")) for label in labels}


def test_what_one_part_of_a_document_shows_another_does_not(payments: World) -> None:
    """Parts have labels of their own: the lenient one must not put back what stood in the strict one."""
    alice, context = payments.services.users.principal("alice"), local_context(Purpose.ANSWER)
    retriever = payments.services.retriever
    found = retriever.search(KESTREL, retriever.access(alice, context), 10).passages
    strict = next(passage for passage in found if passage.path == "payments.md")
    lenient = replace(strict, label=Label.for_groups("finance", "sales"))
    policy: Any = RevealsUnder(lenient.label)
    reader = Reader.of([lenient, strict], policy, alice, context)

    def may_reveal(*shown: FoundPassage) -> bool:
        pseudonyms = Pseudonyms()
        pseudonyms.replace(strict.text, strict.spans, _origin(shown[0]))
        decisions = {_revealing(reader, shown, Counter())(info) for info in pseudonyms.infos()}
        return decisions == {True}

    assert may_reveal(lenient)
    assert may_reveal(lenient, strict)
    assert not may_reveal(strict)
    assert not may_reveal(strict, lenient)


def revealed_to_finance(world: World) -> list[dict[str, Any]]:
    label = replace(Label.for_groups("finance"), source="extra").digest
    return [event for event in recorded(world, "personal-data:revealed") if event["label"] == label]


def test_what_is_revealed_is_in_the_trail_by_label_and_kind(payments: World) -> None:
    asker = payments.services.users.principal("alice")
    found = asyncio.run(payments.services.searches.search(asker, KESTREL, 5, local_context(Purpose.SEARCH)))
    assert "ada.brandt@harbour.example" in str(found)
    [searched] = revealed_to_finance(payments)
    payments.model.reply = dumps_all
    payments.services.chats.answer_always()
    answer = ask(payments, "alice", KESTREL)
    assert "Ada Brandt" in answer.answer
    [_, answered] = revealed_to_finance(payments)
    for event, purpose in ((searched, "search"), (answered, "answer")):
        assert (event["principal"], event["purpose"], event["policies"]) == ("alice", purpose, ["reader-sees-contacts"])
        assert set(event["revealed"]) == {"PERSON", "EMAIL_ADDRESS"}, "the card was not shown"
    assert answered["request"] == answer.receipt["receipt"]["request"]
    assert answered["revealed"]["PERSON"] > searched["revealed"]["PERSON"], "in citation and answer"


def test_what_is_not_revealed_leaves_no_such_entry(payments: World) -> None:
    payments.model.reply = dumps_all
    payments.services.chats.answer_always()
    ask(payments, "bob", f"Does Ada Brandt pay? {KESTREL}")
    asker = payments.services.users.principal("bob")
    asyncio.run(payments.services.searches.search(asker, KESTREL, 5, local_context(Purpose.SEARCH)))
    assert revealed_to_finance(payments) == []


def test_kinds_known_from_earlier_turns_are_decided_on_too(payments: World) -> None:
    """The passages at hand name nobody, but the answer may: from an earlier passage of the same document."""
    alice, context = payments.services.users.principal("alice"), local_context(Purpose.ANSWER)
    retriever = payments.services.retriever
    found = retriever.search(KESTREL, retriever.access(alice, context), 10).passages
    plain = next(passage for passage in found if not (passage.spans or passage.title_spans or passage.heading_spans))
    reader = Reader.of([plain], payments.services.authorizer, alice, context)
    assert not any(reader.shows(plain.label, kind) for kind in EntityType)
    known = [EntityType.PERSON, EntityType.CREDIT_CARD]
    reader = Reader.of([plain], payments.services.authorizer, alice, context, known)
    assert [kind for kind in EntityType if reader.shows(plain.label, kind)] == [EntityType.PERSON]


def test_a_forged_placeholder_reveals_nothing(payments: World) -> None:
    payments.services.chats.answer_always()
    payments.model.reply = lambda generation: prompt_of(generation.turns)[-300:]
    answer = ask(payments, "bob", "What is ⟦CREDIT_CARD_1⟧ ⟦PERSON_1⟧?").answer
    assert CARD not in answer
    assert "Ada Brandt" not in answer


def test_an_answer_cites_what_it_stands_on(world: World) -> None:
    world.model.says("The daily allowance for travel in Norway is 480 kroner.")
    answer = ask(world, "bob", "What is the daily allowance for travel in Norway?")
    assert not answer.abstained
    assert answer.answer.endswith("[1]")
    [citation] = answer.citations
    assert (citation.n, citation.path, citation.supported) == (1, "handbook/travel.md", True)


def test_a_sentence_that_no_source_states_is_marked(world: World) -> None:
    world_says = "The daily allowance for travel in Norway is 990 kroner."
    world.model.says(world_says)
    world.services.chats.answer_always()
    answer = ask(world, "bob", "What is the daily allowance for travel in Norway?")
    assert "not confirmed" in answer.answer
    assert not any(citation.supported for citation in answer.citations)
    [found] = answer.sentences
    assert (found.text, found.n, found.supported, found.reason) == (world_says, 1, False, "number")


def test_a_sentence_of_the_findings_holds_nothing_that_the_answer_hides(payments: World) -> None:
    payments.model.says("⟦PERSON_1⟧ pays Kestrel suppliers with card ⟦CREDIT_CARD_1⟧. The budget is 5 euros.")
    payments.services.chats.answer_always()
    answer = ask(payments, "alice", KESTREL)
    assert CARD not in str(answer.sentences)
    assert [found.text in answer.answer for found in answer.sentences] == [True, True]
    assert answer.sentences[1].reason == "number"


def test_a_question_in_another_language_is_answered_in_it(world: World) -> None:
    ask(world, "bob", "Wie hoch ist das Tagegeld in Norwegen, und wann muss ich das beantragen?")
    ask(world, "bob", "What is the daily allowance for travel in Norway?")
    german, english = (prompt_of(generation.turns) for generation in world.model.generations[-2:])
    assert "Answer in German" in german
    assert "Answer in" not in english


def test_sources_that_differ_are_told_below_the_answer(world: World) -> None:
    add_source(world, "extra")
    other = page("expenses", EXPENSES, Label.for_groups("everyone"))
    world.services.ingestion.sync("extra", ListConnector(other))
    world.model.says("The daily allowance for travel in Norway is 480 kroner.")
    answer = ask(world, "bob", "What is the daily allowance for travel in Norway?")
    assert re.search(r"(?:differ|otherwise): 480 kroner(?: \(as of [\d-]+\))? \[1\], 390 kroner", answer.answer)
    assert len(answer.citations) == 2
    [found] = answer.sentences
    assert (found.text, found.supported) == ("The daily allowance for travel in Norway is 480 kroner.", True)


def test_without_evidence_it_declines(world: World) -> None:
    world.model.says("Parking costs 12 euros a day.")
    answer = ask(world, "bob", "What does the canteen serve on Fridays?")
    assert (answer.answer, answer.abstained, answer.citations) == (ABSTENTION, True, [])


def test_declining_looks_the_same_whatever_is_hidden(payments: World) -> None:
    """Absent and forbidden look alike: bob's answer about finance equals his answer about nothing."""
    payments.model.says("It is 5.")
    hidden = ask(payments, "bob", "Which card pays Kestrel suppliers?")
    absent = ask(payments, "bob", "Which horse won the Ascot races?")
    assert (hidden.answer, hidden.abstained, hidden.citations) == (absent.answer, absent.abstained, absent.citations)


def test_somebody_with_nothing_to_read_is_answered_without_the_model(world: World) -> None:
    answer = ask(world, "olga", "What is the daily allowance?")
    assert answer.abstained
    assert world.model.generations == []


def test_intent_precedes_everything_and_the_outcome_follows(world: World) -> None:
    answer = ask(world, "bob", "What is the daily allowance for travel in Norway?")
    [intent] = recorded(world, "question:asked")
    [shown] = recorded(world, "passages:retrieved")
    [outcome] = recorded(world, "answer:given")
    assert intent["request"] == shown["request"] == outcome["request"] == answer.receipt["receipt"]["request"]
    assert "Norway" not in str((intent, shown, outcome))
    assert verify_receipt(answer.receipt, world.services.keys.public_key_pem())
    receipt, trail = answer.receipt["receipt"], world.services.home.trail
    [entry] = read_entries(trail, EntryQuery(hash=receipt["intent"]["hash"]), world.services.subjects)
    assert (entry.kind, entry.event["request"]) == ("question:asked", receipt["request"])
    key = revision_key(world.services.keys)
    assert receipt["revision"] == opaque_revision(key, shown["request"], shown["epoch"]), "an auditor can tell it"


def test_a_question_that_cannot_be_recorded_never_reaches_the_model(world: World) -> None:
    world.services.trail.close()
    with pytest.raises(TrailUnavailableError):
        ask(world, "bob", "What is the daily allowance for travel in Norway?")
    assert world.model.generations == []


class DoubtfulTrail:
    """Takes every entry; what becomes of those of one kind is never known, or becomes known to be bad."""

    def __init__(self, trail: Trail, kind: str, error: Exception | None) -> None:
        self._trail, self._kind, self._error = trail, kind, error

    def submit(self, event: Event, patience_seconds: float = 0.0) -> "Future[EntryRef]":
        if event.kind != self._kind:
            return self._trail.submit(event, patience_seconds)
        doubtful: Future[EntryRef] = Future()
        if self._error is not None:
            doubtful.set_exception(self._error)
        return doubtful

    def given_up(self, seconds: float) -> TrailUnavailableError:
        return self._trail.given_up(seconds)


def doubt(world: World, kind: str, error: Exception | None) -> None:
    recorder = world.services.recorder
    recorder._trail = DoubtfulTrail(recorder._trail, kind, error)  # type: ignore[assignment]
    recorder._deadline_seconds = 0.05


ENDS = pytest.mark.parametrize("error", [None, TrailUnavailableError("The disk is full.")], ids=["silent", "failed"])


@ENDS
def test_an_intent_that_does_not_become_durable_keeps_the_question_from_the_model(
    world: World, error: Exception | None
) -> None:
    doubt(world, "question:asked", error)
    with pytest.raises(TrailUnavailableError):
        ask(world, "bob", "What is the daily allowance for travel in Norway?")
    assert world.model.generations == []
    assert world.model.choices == []


@ENDS
@pytest.mark.parametrize("kind", ["passages:retrieved", "answer:given"])
def test_an_entry_that_does_not_become_durable_keeps_the_answer_back(
    world: World, kind: str, error: Exception | None
) -> None:
    doubt(world, kind, error)
    with pytest.raises(TrailUnavailableError):
        ask(world, "bob", "What is the daily allowance for travel in Norway?", keep=True)
    assert world.services.conversations.listed("bob") == []


@ENDS
def test_a_reveal_that_does_not_become_durable_keeps_everything_back(payments: World, error: Exception | None) -> None:
    payments.model.reply = dumps_all
    payments.services.chats.answer_always()
    doubt(payments, "personal-data:revealed", error)
    asker = payments.services.users.principal("alice")
    with pytest.raises(TrailUnavailableError):
        asyncio.run(payments.services.searches.search(asker, KESTREL, 5, local_context(Purpose.SEARCH)))
    with pytest.raises(TrailUnavailableError):
        ask(payments, "alice", KESTREL, keep=True)
    assert payments.services.conversations.listed("alice") == []
    assert ask(payments, "olga", KESTREL).abstained, "whoever is shown nothing of the kind waits for no such entry"


@ENDS
@pytest.mark.parametrize("kind", ["search:asked", "passages:retrieved"])
def test_a_search_waits_for_the_trail_too(world: World, kind: str, error: Exception | None) -> None:
    doubt(world, kind, error)
    asker, context = world.services.users.principal("bob"), local_context(Purpose.SEARCH)
    with pytest.raises(TrailUnavailableError):
        asyncio.run(world.services.searches.search(asker, "Norway", 5, context))


@pytest.mark.parametrize("said", ["", "[1]", "  \n", "<b", "![](https://evil.example)", "<img src=x>"])
def test_a_model_that_says_nothing_declines(world: World, said: str) -> None:
    world.model.says(said)
    world.services.chats.answer_always()
    answer = ask(world, "bob", "What is the daily allowance for travel in Norway?")
    assert answer.answer
    assert answer.abstained is (answer.answer == ABSTENTION)
    if said in {"", "[1]", "  \n", "<img src=x>"}:
        assert (answer.abstained, answer.citations) == (True, [])


def test_a_conversation_has_one_question_at_a_time(world: World) -> None:
    begun = str(ask(world, "alice", "What is the daily allowance for travel in Norway?", keep=True).conversation)
    asker, context = world.services.users.principal("alice"), local_context(Purpose.ANSWER)

    async def both() -> list[object]:
        questions = (Question(asker, text, context, conversation=begun) for text in ("And in Oslo?", "And in Bergen?"))
        return await asyncio.gather(*map(world.services.chats.ask, questions), return_exceptions=True)

    first, second = asyncio.run(both())
    assert isinstance(first, Answer)
    assert isinstance(second, ConflictError)
    assert len(world.services.conversations.open("alice", begun).messages) == 4


def test_a_conversation_that_went_on_in_another_process_is_not_overwritten(world: World) -> None:
    begun = str(ask(world, "alice", "What is the daily allowance for travel in Norway?", keep=True).conversation)
    stale = world.services.conversations.open("alice", begun)
    ask(world, "alice", "And in Oslo?", conversation=begun)
    with pytest.raises(ConflictError):
        world.services.conversations.append("alice", stale, Message(Speaker.USER, "And in Bergen?"))
    assert len(world.services.conversations.open("alice", begun).messages) == 4


@pytest.mark.parametrize("error", [EngineUnavailableError("gone"), RedactionFailedError("stuck")])
def test_a_failure_ends_in_the_trail_and_not_in_an_answer(world: World, error: Exception) -> None:
    world.model.fails(error)
    with pytest.raises(type(error)):
        ask(world, "bob", "What is the daily allowance for travel in Norway?")
    world.services.trail.close()
    [failed] = recorded(world, "answer:failed")
    assert failed["error"] == type(error).__name__


def test_a_failing_redactor_closes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_texts: object) -> None:
        message = "Personal data could not be looked for."
        raise RedactionFailedError(message)

    monkeypatch.setattr(world.services.redactor, "find_many", fails)
    with pytest.raises(RedactionFailedError):
        ask(world, "bob", "What is the daily allowance for travel in Norway?")
    assert world.model.generations == []


@pytest.mark.parametrize("text", ["", "   \n", "x" * 100_000])
def test_a_question_of_no_or_too_many_characters_is_refused(world: World, text: str) -> None:
    with pytest.raises(BadRequestError):
        ask(world, "bob", text)


def test_a_follow_up_is_searched_with_the_conversation(world: World) -> None:
    before = (
        Message(Speaker.USER, "What is the daily allowance for travel in Norway?"),
        Message(Speaker.ASSISTANT, "480 kroner."),
    )
    ask(world, "bob", "And who approves exceptions to it?", history=before)
    assert "daily allowance" in prompt_of(world.model.generations[-1].turns)


def test_a_conversation_is_its_owners(world: World) -> None:
    begun = ask(world, "alice", "What is the daily allowance for travel in Norway?", keep=True)
    kept = world.services.conversations.open("alice", str(begun.conversation))
    assert [message.speaker for message in kept.messages] == [Speaker.USER, Speaker.ASSISTANT]
    with pytest.raises(NotFoundError) as somebody_elses:
        ask(world, "bob", "Go on.", conversation=begun.conversation)
    with pytest.raises(NotFoundError) as nobodys:
        ask(world, "bob", "Go on.", conversation="c" + "a" * 24)
    mine, nobodys_id = str(begun.conversation), "c" + "a" * 24
    assert str(somebody_elses.value).replace(mine, "") == str(nobodys.value).replace(nobodys_id, "")


def test_stored_conversations_are_sealed(world: World) -> None:
    ask(world, "alice", "Is the zebra allowance 480 kroner?", keep=True)
    for path in (world.services.home.folder / "data").rglob("*"):
        assert path.is_dir() or b"zebra" not in path.read_bytes(), path
