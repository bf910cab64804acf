"""What is recognised and no personal data: listed on request, masked where a site says so, and else not looked for."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from policies.errors import RedactionSettingsError
from policies.personal_data import EntityType, MentionType, Sensitivity, SiteType
from policies.redaction.engine import Redactor
from policies.redaction.options import RedactionOptions, TypeOptions
from policies.redaction.placeholders import Pseudonyms
from policies.redaction.site import SiteRedaction, read_site

pytestmark = pytest.mark.models

TEXT = "Maria Gutierrez, aged 34, joined Velmont Foundry Ltd in Norway on Tuesday, see https://velmont.example/jobs."


def mentions(redactor: Redactor, text: str) -> list[tuple[str, str]]:
    (spans,) = redactor.recognise([text])
    return [(text[span.start : span.end], str(span.type)) for span in spans if span.type not in redactor.types]


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("She is 34 years old.", "34", "AGE"),
        ("a 7-year-old boy", "7", "AGE"),
        ("I just turned 61", "61", "AGE"),
        ("we met when he was 19.", "19", "AGE"),
        ("a man in his 40s", "40", "AGE"),
        ("due on 3 May 2024 at 14:30", "3 May 2024 at 14:30", "DATE_TIME"),
        ("Logged 2024-05-03T14:30:00 here", "2024-05-03T14:30:00", "DATE_TIME"),
        ("it was built in 1987, they say", "1987", "DATE_TIME"),
        ("come by on friday", "friday", "DATE_TIME"),
        ("he flew to Madagascar", "Madagascar", "LOCATION"),
        ("a workshop in Quellendorf", "Quellendorf", "LOCATION"),
        ("a ghanaian sculptor", "ghanaian", "NRP"),
        ("paid by Orvane Tooling GmbH yesterday", "Orvane Tooling GmbH", "ORGANIZATION"),
        ("I work for Tarn & Kells", "Tarn & Kells", "ORGANIZATION"),
        ("ask Mrs. Gutierrez about it", "Mrs.", "TITLE"),
        ("Maria Gutierrez\nSenior pattern cutter\n", "Senior pattern cutter", "TITLE"),
        ("have a look at www.orvane.example/shop.", "www.orvane.example/shop", "URL"),
        ("it is on orvane.co.uk now", "orvane.co.uk", "URL"),
    ],
)
def test_mentions_are_recognised(redactor: Redactor, text: str, value: str, kind: str) -> None:
    assert (value, kind) in mentions(redactor, text)
    assert value not in [text[span.start : span.end] for span in redactor.find(text)]


@pytest.mark.parametrize(
    "text",
    [
        "We sold 34 chairs and 7 tables.",
        "the file main.py and README.md",
        "Is the printer under the window",
        "version 2019.4 costs $1987",
    ],
)
def test_other_words_and_numbers_are_no_mentions(redactor: Redactor, text: str) -> None:
    assert mentions(redactor, text) == []


def test_mentions_take_nothing_from_personal_data(redactor: Redactor) -> None:
    text = "Born 3 May 1984, of 12 Tannery Lane, London: Maria Gutierrez of Gutierrez & Sons Ltd."
    (every,) = redactor.recognise([text])
    assert [span for span in every if span.type in redactor.types] == redactor.find(text)
    assert all(left.end <= right.start for left, right in pairwise(every))


def test_half_characters_do_not_matter(redactor: Redactor) -> None:
    text = "\ud800 Maria Gutierrez moved to Norway \udfff"
    assert [text[span.start : span.end] for span in redactor.find(text)] == ["Maria Gutierrez"]
    assert ("Norway", "LOCATION") in mentions(redactor, text)


class Counting:
    """A recogniser that counts the texts which it is asked about."""

    def __init__(self, nlp: object) -> None:
        self._nlp = nlp
        self.texts = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._nlp, name)

    def pipe(self, texts: list[str]) -> Iterator[object]:
        self.texts += len(texts)
        return self._nlp.pipe(texts)  # type: ignore[attr-defined, no-any-return]


def test_the_recogniser_is_asked_no_more_than_names_need(redactor: Redactor, monkeypatch: pytest.MonkeyPatch) -> None:
    recognition = redactor._loaded()
    counting = Counting(recognition._nlp)
    monkeypatch.setattr(recognition, "_nlp", counting)
    text = "the order was paid on friday by a customer in norway"
    redactor.find(text)
    assert counting.texts == 0
    redactor.recognise([text])
    assert counting.texts == 1


def test_a_site_masks_what_it_names(recogniser_model: Path) -> None:
    site = read_site(RedactionOptions(also=(MentionType.ORGANIZATION, MentionType.AGE)), Path())
    redactor = Redactor(recogniser_model, site)
    spans = redactor.find(TEXT)
    replaced = Pseudonyms().replace(TEXT, spans, "text")
    assert replaced.startswith("⟦PERSON_1⟧, aged ⟦AGE_1⟧, joined ⟦ORGANIZATION_1⟧ in Norway on Tuesday")
    assert site.types.sensitivity(SiteType("ORGANIZATION")) is Sensitivity.CONTACT
    scanner = redactor.scanner()
    assert [span.type for span in scanner.find(TEXT)] == [span.type for span in spans]


def test_without_the_setting_they_stay(redactor: Redactor) -> None:
    """Negative control: what the setting masks is there to be masked."""
    assert {span.type for span in redactor.find(TEXT)} == {EntityType.PERSON}
    assert {kind for _, kind in mentions(redactor, TEXT)} == {"AGE", "ORGANIZATION", "LOCATION", "DATE_TIME", "URL"}


def test_the_setting_changes_what_documents_are_read_with() -> None:
    digests = {
        read_site(RedactionOptions(also=also), Path()).digest for also in ((), (MentionType.AGE,), tuple(MentionType))
    }
    assert len(digests) == 3
    assert replace(SiteRedaction(), also=frozenset(MentionType)).types != SiteRedaction().types


def test_a_site_calls_no_type_of_its_own_like_one_of_them() -> None:
    with pytest.raises(RedactionSettingsError, match="built-in type"):
        read_site(RedactionOptions(types=(TypeOptions("AGE", pattern="a"),)), Path())
