"""An answer guarded while it streams equals the answer guarded whole, and shows nobody more than policy does."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policies.errors import RedactionFailedError
from policies.personal_data import SENSITIVITY, EntityType, Sensitivity, Span
from policies.redaction.engine import Redactor
from policies.redaction.options import RedactionOptions, TypeOptions
from policies.redaction.placeholders import PLACEHOLDER, MayReveal, PlaceholderInfo, Pseudonyms, hidden
from policies.redaction.site import read_site
from policies.redaction.spans import union
from policies.redaction.streaming import StreamGuard

pytestmark = pytest.mark.models

OPEN = {EntityType.PERSON, EntityType.EMAIL_ADDRESS, EntityType.PHONE_NUMBER}


def may_reveal(info: PlaceholderInfo) -> bool:
    return info.type in OPEN


@pytest.fixture
def pseudonyms() -> Pseudonyms:
    known = Pseudonyms()
    values = {
        "Ada Lovelace": EntityType.PERSON,
        "Grace Hopper": EntityType.PERSON,
        "ada@example.com": EntityType.EMAIL_ADDRESS,
        "4111 1111 1111 1111": EntityType.CREDIT_CARD,
        "DE89 3704 0044 0532 0130 00": EntityType.IBAN_CODE,
    }
    for value, kind in values.items():
        known.replace(value, [Span(0, len(value), kind, 1.0, "test")], "d1")
    return known


def streamed(redactor: Redactor, pseudonyms: Pseudonyms, chunks: list[str], seen: str = "") -> str:
    guard = StreamGuard(pseudonyms, redactor, may_reveal, seen)
    return "".join([*(guard.feed(chunk) for chunk in chunks), guard.close()])


def whole(redactor: Redactor, pseudonyms: Pseudonyms, text: str, reveal: MayReveal) -> str:
    """What the stream must equal, by another way: spans of the whole text, then each placeholder."""
    pieces, done = [], 0
    for span in union(text, [*redactor.find(text), *pseudonyms.known_in(text)], redactor.types):
        value = text[span.start : span.end]
        shown = value if pseudonyms.may_show(span.type, value, reveal) else hidden(span.type)
        pieces += [text[done : span.start], shown]
        done = span.end
    redacted = "".join((*pieces, text[done:]))
    return PLACEHOLDER.sub(lambda match: pseudonyms.restore(match[0], reveal), redacted)


PIECES = [
    "⟦PERSON_1⟧", "⟦PERSON_2⟧'s", "⟦CREDIT_CARD_1⟧", "⟦EMAIL_ADDRESS_1⟧", "⟦PERSON_9⟧",
    "Ada Lovelace", "Margaret Hamilton", "Dr. Katherine Johnson", "J. R. Oppenheimer",
    "4111 1111 1111 1111", "5555 5555 5555 4444", "+44 161 496 0000", "ada@example.com", "bob@example.org",
    "DE89 3704 0044 0532 0130 00", "12 Main Street, Springfield, IL 62701", "born on 12 March 1984",
    "passport number X1234567", "password: Enigma#1940", "203.0.113.9",
    "wrote the report", "in the second quarter", "for the team", "costs EUR 4,200", "the plan, which was changed,",
    "e.g. on Monday", "**important**", "(see below)", "a list:",
    "Мария Ивановна Петрова", "Кузнецову А. В.", "на ул. Садовой", "согласно договору", "иванов пётр сергеевич",
    "\u00fcber Gr\u00f6\u00dfe", "na\u00efve \U0001f600 text",
    "PRJ-12345", "⟦PROJECT_CODE_1⟧", "desk B12", "project Bluebird", "Bluebird", "Night\nJar", "item",
    "4006 3813 3393 1",
]  # fmt: skip
JOINTS = [" ", " ", " ", ". ", ", ", "\n", "\n\n", "\n- ", "! ", "? ", "; ", ".\n", " | "]


def composed(source: random.Random) -> str:
    pieces = source.choices(PIECES, k=source.randint(2, 14))
    return "".join(piece + source.choice(JOINTS) for piece in pieces)


def chunked(text: str, source: random.Random) -> list[str]:
    longest = source.choice([1, 2, 4, 9, 30, 1000])
    chunks, at = [], 0
    while at < len(text):
        size = source.randint(1, longest)
        chunks.append(text[at : at + size])
        at += size
    return chunks


SITE = read_site(
    RedactionOptions(
        clear_words=("Sourcewell", "Margaret Hamilton Suite"),
        types=(
            TypeOptions("PROJECT_CODE", pattern=r"PRJ-\d{5}"),
            TypeOptions("DESK", pattern=r"desk (?P<value>[A-Z]\d{2})", sensitivity=Sensitivity.CONTACT),
            TypeOptions("CODE_NAME", words=("Bluebird", "Night Jar"), context=("project",)),
            TypeOptions("ITEM", pattern=r"\d(?:[ -]?\d){12}", checksum="ean", context=("item",)),
        ),
    ),
    Path("/nowhere"),
)
"""Kinds of a site's own of every sort: a pattern, a part of one, words near others, a checksum near words."""


class Remembering(Redactor):
    """The redactor with a site's own kinds; answers about segments are kept, so that thousands of streams take minutes.

    A segment that a chunking cuts otherwise than the whole is a new one, and is looked at afresh.
    """

    def __init__(self, redactor: Redactor) -> None:
        recognition = redactor._loaded()
        super().__init__(redactor._folder, SITE)
        kept: dict[Any, Any] = {}

        def remembered(key: Any, work: Callable[[], Any]) -> Any:
            if key not in kept:
                kept[key] = work()
            return kept[key]

        recognition = type(recognition)(
            recognition._nlp, recognition.lexicon, recognition._presidio, SITE, recognition._russian
        )

        class Kept(type(recognition)):  # type: ignore[misc]
            def read(self, segment: str, *, in_link: int) -> Any:
                return remembered((segment, in_link), lambda: recognition.read(segment, in_link=in_link))

            def entities(self, readings: Any, also: Any) -> Any:
                return {each.prose.text: self.entities_of(each, also) for each in readings}

            def entities_of(self, reading: Any, also: Any) -> Any:
                text = reading.prose.text
                return remembered((text, also), lambda: recognition.entities([reading], also).get(text, []))

            def patterns(self, view: Any, before: str) -> Any:
                return remembered((view.text, before), lambda: recognition.patterns(view, before))

            def russian(self, readings: Any) -> Any:
                return {each.prose.text: self.russian_of(each) for each in readings}

            def russian_of(self, reading: Any) -> Any:
                text = reading.prose.text
                return remembered(("russian", text), lambda: recognition.russian([reading]).get(text, []))

        self._recognition = Kept(
            recognition._nlp, recognition.lexicon, recognition._presidio, SITE, recognition._russian
        )


def assert_equal_at_every_chunking(redactor: Redactor, pseudonyms: Pseudonyms, texts: int, chunkings: int) -> None:
    source = random.Random(20_261)
    remembering = Remembering(redactor)
    for _ in range(texts):
        text = composed(source)
        expected = whole(remembering, pseudonyms, text, may_reveal)
        for _ in range(chunkings):
            assert streamed(remembering, pseudonyms, chunked(text, source)) == expected, text


def test_the_stream_equals_the_whole_at_every_chunking(redactor: Redactor, pseudonyms: Pseudonyms) -> None:
    assert_equal_at_every_chunking(redactor, pseudonyms, texts=150, chunkings=4)


@pytest.mark.deep
@pytest.mark.timeout(3_600)
def test_the_stream_equals_the_whole_two_thousand_times_64(redactor: Redactor, pseudonyms: Pseudonyms) -> None:
    assert_equal_at_every_chunking(redactor, pseudonyms, texts=2_000, chunkings=64)


def test_redacting_each_chunk_by_itself_leaks(redactor: Redactor, pseudonyms: Pseudonyms) -> None:
    """Negative control: the naive way shows numbers that the guard hides."""
    text = "The card of Margaret Hamilton is 5555 5555 5555 4444."
    chunks = [text[at : at + 8] for at in range(0, len(text), 8)]
    naive = "".join(whole(redactor, pseudonyms, chunk, may_reveal) for chunk in chunks)
    guarded = streamed(redactor, pseudonyms, chunks)
    assert naive != whole(redactor, pseudonyms, text, may_reveal)
    assert "5555" in naive
    assert guarded == "The card of [name hidden] is [card number hidden]."


def test_placeholders_split_between_chunks_come_back(redactor: Redactor, pseudonyms: Pseudonyms) -> None:
    text = "⟦PERSON_1⟧ paid with ⟦CREDIT_CARD_1⟧."
    assert streamed(redactor, pseudonyms, list(text)) == "Ada Lovelace paid with [card number hidden]."


def test_little_is_held_back(redactor: Redactor, pseudonyms: Pseudonyms) -> None:
    guard = StreamGuard(pseudonyms, redactor, may_reveal)
    text = "This sentence is short. " * 5 + "word " * 300
    shown = 0
    for sent, character in enumerate(text, start=1):
        shown += len(guard.feed(character))
        assert sent - shown <= 400
    assert guard.feed("One sentence. ") == "" or shown
    assert shown + len(guard.close()) >= len(text)


def test_a_sentence_is_shown_when_the_next_begins(redactor: Redactor, pseudonyms: Pseudonyms) -> None:
    guard = StreamGuard(pseudonyms, redactor, may_reveal)
    assert guard.feed("It costs less. ") == ""
    assert guard.feed("N") == "It costs less. "


def test_what_the_model_writes_itself_is_hidden_and_counted(redactor: Redactor, pseudonyms: Pseudonyms) -> None:
    guard = StreamGuard(pseudonyms, redactor, may_reveal)
    shown = guard.feed("Ask Margaret Hamilton or Ada Lovelace, card 4111 1111 1111 1111.") + guard.close()
    assert shown == "Ask [name hidden] or Ada Lovelace, card [card number hidden]."
    assert guard.hidden == {EntityType.PERSON: 1, EntityType.CREDIT_CARD: 1}


def test_contacts_that_the_reader_has_in_view_are_not_hidden(redactor: Redactor, pseudonyms: Pseudonyms) -> None:
    text = "Ask Margaret Hamilton, card 5555 5555 5555 4444."
    seen = "Margaret Hamilton leads it; card 5555 5555 5555 4444"
    assert streamed(redactor, pseudonyms, [text], seen) == "Ask Margaret Hamilton, card [card number hidden]."
    assert SENSITIVITY[EntityType.CREDIT_CARD] is Sensitivity.SEALED


def test_nothing_comes_out_after_a_fault(
    redactor: Redactor, pseudonyms: Pseudonyms, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard = StreamGuard(pseudonyms, redactor, may_reveal)
    assert guard.feed("First sentence. Se") == "First sentence. "
    with monkeypatch.context() as broken:
        broken.setattr("policies.redaction.recognition.Recognition.entities", lambda *_: 1 / 0)
        with pytest.raises(RedactionFailedError):
            guard.feed("cond one names Ada Lovelace. T")
    with pytest.raises(RedactionFailedError, match="not shown"):
        guard.feed("hird sentence. F")
    with pytest.raises(RedactionFailedError):
        guard.close()
