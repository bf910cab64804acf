"""Finding personal data in whole texts: canaries, disguises, harmless prose, faults, limits."""

import contextlib
import threading
import time
import traceback
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from policies.errors import RedactionFailedError
from policies.personal_data import EntityType
from policies.redaction import engine, recognition
from policies.redaction.engine import MAX_TEXT_CHARS, Redactor
from policies.redaction.site import SiteRedaction
from tests.timing import cpu_seconds

pytestmark = pytest.mark.models

LONGEST_SECONDS = 10.0
"""Of processor time in this process, whose libraries use several threads; `test_effort.py` measures the product."""
CANARIES = {
    EntityType.ADDRESS: "742 Evergreen Terrace, Springfield, IL 62704",
    EntityType.BANK_ACCOUNT: "account number 31926819",
    EntityType.BIRTH_DATE: "born on 23 June 1912",
    EntityType.CREDIT_CARD: "5555 5555 5555 4444",
    EntityType.CRYPTO: "1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
    EntityType.EMAIL_ADDRESS: "alan.turing@example.org",
    EntityType.IBAN_CODE: "GB82 WEST 1234 5698 7654 32",
    EntityType.IDENTIFIER: "employee ID E-20417",
    EntityType.IP_ADDRESS: "203.0.113.77",
    EntityType.NATIONAL_ID: "passport number X1234567",
    EntityType.PERSON: "Alan Turing",
    EntityType.PHONE_NUMBER: "+44 161 496 0000",
    EntityType.SECRET: "password: Enigma#1940",
}


def found(redactor: Redactor, text: str) -> list[tuple[str, EntityType]]:
    return [(text[span.start : span.end], span.type) for span in redactor.find(text)]


@pytest.mark.parametrize("kind", list(EntityType))
def test_a_canary_of_each_type_is_found(redactor: Redactor, kind: EntityType) -> None:
    text = f"The file says: {CANARIES[kind]}. We decided the budget on Monday."
    hits = found(redactor, text)
    assert [hit for _, hit in hits] == [kind]
    assert hits[0][0].split()[-1] in CANARIES[kind]


def test_all_canaries_in_one_text(redactor: Redactor) -> None:
    text = "\n".join(f"- {canary}." for canary in CANARIES.values())
    assert {kind for _, kind in found(redactor, text)} == set(EntityType)


@pytest.mark.parametrize(
    "text",
    [
        "**Alan** Turing wrote it.",
        "Al\u200ban Tur\u00ading wrote it.",
        "\uff21\uff4c\uff41\uff4e \uff34\uff55\uff52\uff49\uff4e\uff47 wrote it.",
        "please write to alan turing about it",
        "ALAN TURING WROTE IT",
        "| Alan Turing | reviewer |",
        "<td>Alan Turing</td>",
        "[Alan Turing](../team/index.md) wrote it",
        "Alan\nTuring wrote it",
        "\u0410lan Turing wrote it",
        "My name is Turing.",
        "Dear Mr. Turing,",
        "Turing, Alan",
    ],
)
def test_names_are_found_in_disguise(redactor: Redactor, text: str) -> None:
    kinds = [kind for _, kind in found(redactor, text)]
    assert EntityType.PERSON in kinds, found(redactor, text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("mail al\u200ban@example.org", "al\u200ban@example.org"),
        ("mail \uff41\uff4c\uff41\uff4e\uff20example.org", "\uff41\uff4c\uff41\uff4e\uff20example.org"),
        ("mail **alan**@example.org", "alan**@example.org"),
        ("postgres://app:s3cr3t@db.example.com/x", "app:s3cr3t"),
        ("mail alan (at) example (dot) org", "alan (at) example (dot) org"),
        ("card 5555\u00a05555\u00a05555\u00a04444", "5555\u00a05555\u00a05555\u00a04444"),
        ("card \uff15555 5555 5555 4444", "\uff15555 5555 5555 4444"),
        ("[write](mailto:alan@example.org)", "alan@example.org"),
    ],
)
def test_numbers_and_addresses_are_found_in_disguise(redactor: Redactor, text: str, value: str) -> None:
    assert value in [hit for hit, _ in found(redactor, text)]


@pytest.mark.parametrize(
    "text",
    [
        "# Onboarding Checklist for Account Executives",
        "The Kubernetes cluster runs Grafana 9.5.2 and Prometheus since March 2023.",
        "Revenue grew by 12.5 % to EUR 4,200,000 in Germany and France.",
        "See https://docs.example.com/handbook/2024/engineering?id=1234567890#teams",
        "Employees get 25 days of leave; the notice period is 3 months.",
        "`const maxRetries = 5` in src/lib/client.ts, line 1024",
        "Meetings take place every Tuesday at 10:30 in San Francisco.",
        "The Sourcewell platform and the Team Lead role are described below.",
        "Invoices from 2019-2020 are kept for 10 years (order 4500012345).",
    ],
)
def test_business_prose_is_left_alone(redactor: Redactor, text: str) -> None:
    assert found(redactor, text) == []


def test_a_site_s_own_words_are_never_people(redactor: Redactor, recogniser_model: Path) -> None:
    text = "Maria Quindel wrote it."
    assert found(redactor, text) == [("Maria Quindel", EntityType.PERSON)]
    assert found(Redactor(recogniser_model, SiteRedaction(clear_words=("maria", "quindel"))), text) == []


def test_many_texts_give_the_same_as_each(redactor: Redactor) -> None:
    texts = [f"{canary} and Maria Gomez number {n}." for n, canary in enumerate(CANARIES.values())]
    assert redactor.find_many(texts) == [redactor.find(text) for text in texts]
    assert redactor.find_many(["", " \n"]) == [[], []]


def test_spans_are_in_order_and_apart(redactor: Redactor) -> None:
    text = " ".join(CANARIES.values()) * 3
    spans = redactor.find(text)
    assert all(left.end <= right.start for left, right in pairwise(spans))
    assert all(text[span.start : span.end].strip() for span in spans)


def test_our_own_placeholders_are_no_personal_data(redactor: Redactor) -> None:
    text = "⟦PERSON_1⟧ wrote to Alan Turing and ⟦EMAIL_ADDRESS_12⟧."
    assert [hit for hit, _ in found(redactor, text)] == ["Alan Turing"]


def test_a_text_in_forged_brackets_is_still_searched(redactor: Redactor) -> None:
    assert ("alan@example.org", EntityType.EMAIL_ADDRESS) in found(redactor, "⟦alan@example.org⟧ ⟦JOHN_1⟧")


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, "1" * 1_000_000, "\n" * 1_000_000, "." * 1_000_000, "\u4e00" * 1_000_000]
)
def test_a_megabyte_of_one_character_is_handled_or_refused_in_time(redactor: Redactor, text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(RedactionFailedError):
        redactor.find(text)
    assert time.process_time() - began < LONGEST_SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "a." * 5_000,
        "@" * 10_000,
        "1-" * 5_000,
        "A " * 5_000,
        "Ab " * 3_400,
        "<a" * 5_000,
        "[](" * 3_400,
        "**" * 5_000,
        "x://" + "a1" * 20_000,
    ],
)
def test_hostile_text_is_quick(redactor: Redactor, text: str) -> None:
    began = time.process_time()
    redactor.find(text)
    assert time.process_time() - began < LONGEST_SECONDS


def test_encoded_data_are_hidden_unread_and_links_are_read(redactor: Redactor) -> None:
    text = "Logo: " + "iVBORw0KGgo" * 60 + " by Alan Turing"
    kinds = [kind for _, kind in found(redactor, text)]
    assert EntityType.SECRET in kinds
    assert kinds[-1] is EntityType.PERSON
    link = "See https://example.org/" + "section-" * 60 + "?to=alan@example.org for more."
    assert found(redactor, link) == [("alan@example.org", EntityType.EMAIL_ADDRESS)]
    assert found(redactor, "| " + "-" * 700 + " |") == []


def test_too_long_a_text_is_refused(redactor: Redactor) -> None:
    with pytest.raises(RedactionFailedError, match="too long"):
        redactor.find("x" * (MAX_TEXT_CHARS + 1))


def test_prose_of_64_kb_is_never_refused(redactor: Redactor) -> None:
    text = ("Alan Turing wrote to the committee that the plan should be changed before the end of the year. " * 700)[
        :65_536
    ]
    began = time.process_time()
    assert len(redactor.find(text)) >= 680
    assert time.process_time() - began < LONGEST_SECONDS


FAULTS = {
    "entity recogniser": ("recognition.Recognition.entities", RuntimeError),
    "patterns": ("recognition.Recognition.patterns", TimeoutError),
    "reading": ("recognition.Recognition.read", MemoryError),
    "segments": ("engine.segments", RecursionError),
    "union": ("scanner.union", KeyError),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_any_fault_closes(redactor: Redactor, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    name, error = FAULTS[fault]
    assert redactor.find("Alan Turing")

    def broken(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr(f"policies.redaction.{name}", broken)
    with pytest.raises(RedactionFailedError):
        redactor.find("Alan Turing")
    with pytest.raises(RedactionFailedError):
        redactor.find_many(["nothing here", "Alan Turing"])


def test_a_fault_does_not_quote_the_text(redactor: Redactor, monkeypatch: pytest.MonkeyPatch) -> None:
    def quoting(_: object, view: Any, *__: object) -> Any:
        message = f"cannot read {view.text!r}"
        raise ValueError(message)

    monkeypatch.setattr(recognition.Recognition, "patterns", quoting)
    text = CANARIES[EntityType.PERSON]
    with pytest.raises(RedactionFailedError) as caught:
        redactor.find(text)
    assert text not in "".join(traceback.format_exception(caught.value))


def test_a_lone_surrogate_closes_or_is_searched(redactor: Redactor) -> None:
    with contextlib.suppress(RedactionFailedError):
        assert ("alan@example.org", EntityType.EMAIL_ADDRESS) in found(redactor, "\ud800 alan@example.org")


def test_swallowing_faults_would_let_text_pass(redactor: Redactor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a guard that returns what it has found so far lets a name through."""

    def open_guard(work: Callable[[], list[Any]]) -> list[Any]:
        try:
            return work()
        except Exception:  # noqa: BLE001 - this is the mistake
            return [[]]

    monkeypatch.setattr(engine, "closed", open_guard)
    monkeypatch.setattr(recognition.Recognition, "entities", lambda *_: 1 / 0)
    assert redactor.find("Alan Turing") == []


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_model_that_cannot_be_loaded_closes(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    redactor = Redactor(tmp_path / folder)
    with pytest.raises(RedactionFailedError, match="Pull them again"):
        redactor.load()
    with pytest.raises(RedactionFailedError):
        redactor.find("text")
    with pytest.raises(RedactionFailedError):
        redactor.scanner()


def test_making_one_is_cheap(tmp_path: Path) -> None:
    assert cpu_seconds(lambda: Redactor(tmp_path)) < 0.1


def test_threads_share_one(redactor: Redactor) -> None:
    texts = [f"{canary} for Maria Gomez, part {n}." for n, canary in enumerate(CANARIES.values())]
    expected = [redactor.find(text) for text in texts]
    results: dict[int, Any] = {}

    def work(worker: int) -> None:
        results[worker] = [redactor.find(text) for text in texts]

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(results[worker] == expected for worker in range(4))


def test_memory_does_not_grow_with_new_words(redactor: Redactor) -> None:
    """spaCy keeps every string it has seen unless told otherwise."""
    store = redactor._loaded()._nlp.vocab.strings
    redactor.find("Alan Turing met Zyxword0 Quuxword0.")
    before = len(store)
    redactor.find_many([f"Alan Turing met Zyxword{n} Quuxword{n} at Blubword{n}." for n in range(300)])
    assert len(store) - before < 20


@pytest.mark.parametrize(
    "text",
    ["J<b>oh</b>n Smi<!-- x -->th called", "<i>J</i>ohn Smith called", "Joh<wbr>n S<span class='a'>mith</span> called"],
)
def test_names_are_found_across_tags_within_words(redactor: Redactor, text: str) -> None:
    [span] = redactor.find(text)
    assert span.type is EntityType.PERSON
    assert span.start <= text.index("J")
    assert span.end >= text.index("th") + 2
