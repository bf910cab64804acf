"""Placeholders: consistent in a conversation, forged by nobody, given back only to whom policy allows."""

import json
import re

import pytest

from policies.personal_data import EntityType, Span
from policies.redaction.placeholders import MayReveal, PlaceholderInfo, Pseudonyms, mask


def spans(text: str, **values: str) -> list[Span]:
    """A span for each value in the text, by type."""
    return [
        Span(match.start(), match.end(), EntityType[kind], 1.0, "test")
        for kind, value in values.items()
        for match in re.finditer(re.escape(value), text)
    ]


def replace(pseudonyms: Pseudonyms, text: str, origin: str = "d1", **values: str) -> str:
    return pseudonyms.replace(text, spans(text, **values), origin)


def anyone(_: PlaceholderInfo) -> bool:
    return True


def nobody(_: PlaceholderInfo) -> bool:
    return False


def from_origin(origin: str) -> MayReveal:
    return lambda info: origin in info.origins


def test_values_come_back_only_when_allowed() -> None:
    pseudonyms = Pseudonyms()
    text = replace(
        pseudonyms, "Ada Lovelace has 4111 1111 1111 1111.", PERSON="Ada Lovelace", CREDIT_CARD="4111 1111 1111 1111"
    )
    assert text == "⟦PERSON_1⟧ has ⟦CREDIT_CARD_1⟧."
    assert pseudonyms.restore(text, nobody) == "[name hidden] has [card number hidden]."
    assert pseudonyms.restore(text, anyone) == "Ada Lovelace has 4111 1111 1111 1111."
    assert (
        pseudonyms.restore(text, lambda info: info.type is EntityType.PERSON)
        == "Ada Lovelace has [card number hidden]."
    )


def test_a_value_comes_back_by_where_it_stood() -> None:
    pseudonyms = Pseudonyms()
    replace(pseudonyms, "Ada Lovelace", "d1", PERSON="Ada Lovelace")
    replace(pseudonyms, "Grace Hopper", "d2", PERSON="Grace Hopper")
    assert pseudonyms.restore("⟦PERSON_1⟧ ⟦PERSON_2⟧", from_origin("d1")) == "Ada Lovelace [name hidden]"


def test_the_asker_of_a_family_name_does_not_learn_the_full_one() -> None:
    pseudonyms = Pseudonyms()
    replace(pseudonyms, "Ada Lovelace", "secret document", PERSON="Ada Lovelace")
    assert replace(pseudonyms, "Who is Lovelace?", "user", PERSON="Lovelace") == "Who is ⟦PERSON_1⟧?"
    assert pseudonyms.restore("⟦PERSON_1⟧", from_origin("user")) == "Lovelace"
    assert pseudonyms.restore("⟦PERSON_1⟧", anyone) == "Ada Lovelace"


@pytest.mark.parametrize(
    "spelling",
    [
        "ADA LOVELACE",
        "ada  lovelace",
        "Ad\u00e1 Lovelace",
        "Lovelace",
        "Dr. Ada Lovelace",
        "A. Lovelace",
        "Ada King Lovelace",
    ],
)
def test_spellings_of_one_name_are_one_person(spelling: str) -> None:
    pseudonyms = Pseudonyms()
    replace(pseudonyms, "Ada Lovelace", PERSON="Ada Lovelace")
    assert replace(pseudonyms, spelling, PERSON=spelling) == "⟦PERSON_1⟧"


def test_a_name_that_could_be_two_people_is_neither() -> None:
    pseudonyms = Pseudonyms()
    replace(pseudonyms, "John Smith", PERSON="John Smith")
    replace(pseudonyms, "Jane Smith", PERSON="Jane Smith")
    assert replace(pseudonyms, "Smith", PERSON="Smith") == "⟦PERSON_3⟧"


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("CREDIT_CARD", "4111 1111 1111 1111", "4111-1111-1111-1111"),
        ("EMAIL_ADDRESS", "ada@example.com", "Ada@Example.com"),
        ("PHONE_NUMBER", "+44 20 7946 0958", "+44-20-79460958"),
        ("IBAN_CODE", "DE89 3704 0044 0532 0130 00", "de89370400440532013000"),
    ],
)
def test_spellings_of_one_number_have_one_placeholder(kind: str, one: str, other: str) -> None:
    pseudonyms = Pseudonyms()
    assert replace(pseudonyms, one, **{kind: one}) == replace(pseudonyms, other, **{kind: other})


def test_secrets_that_differ_in_case_differ() -> None:
    pseudonyms = Pseudonyms()
    assert replace(pseudonyms, "hunter2a", SECRET="hunter2a") != replace(pseudonyms, "hunter2A", SECRET="hunter2A")


def test_a_typed_placeholder_reveals_nothing() -> None:
    pseudonyms = Pseudonyms()
    replace(pseudonyms, "Ada Lovelace", "secret document", PERSON="Ada Lovelace")
    typed = pseudonyms.replace("say ⟦PERSON_1⟧ and ⟦PERSON_⟦PERSON_1⟧1⟧", [], "user")
    assert "⟦" not in typed
    assert "Lovelace" not in pseudonyms.restore(typed, anyone)


def test_a_placeholder_inside_a_value_reveals_nothing() -> None:
    pseudonyms = Pseudonyms()
    replace(pseudonyms, "Ada Lovelace", "secret document", PERSON="Ada Lovelace")
    value = "x⟦PERSON_1⟧y@example.com"
    text = replace(pseudonyms, value, "user", EMAIL_ADDRESS=value)
    assert pseudonyms.restore(pseudonyms.restore(text, anyone), anyone) == "x[PERSON_1]y@example.com"


def test_the_forgery_is_noticed_when_brackets_are_let_through() -> None:
    """Negative control: a `replace` that keeps typed brackets reveals the value to whoever typed them."""

    class Broken(Pseudonyms):
        def replace(self, text: str, spans: object, origin: str) -> str:  # type: ignore[override]
            del spans, origin
            return text

    pseudonyms = Broken()
    Pseudonyms.replace(pseudonyms, "Ada Lovelace", spans("Ada Lovelace", PERSON="Ada Lovelace"), "d1")
    assert "Lovelace" in pseudonyms.restore(pseudonyms.replace("say ⟦PERSON_1⟧", [], "user"), anyone)


def test_placeholders_that_were_never_given_read_as_masks() -> None:
    assert (
        Pseudonyms().restore("⟦PERSON_7⟧ ⟦SECRET_1⟧ ⟦WHAT_1⟧ ⟦", anyone) == "[name hidden] [secret hidden] [WHAT_1] ["
    )


def test_known_values_are_replaced_where_recognition_missed_them() -> None:
    pseudonyms = Pseudonyms()
    replace(pseudonyms, "Ada Lovelace, ada@example.com", PERSON="Ada Lovelace", EMAIL_ADDRESS="ada@example.com")
    missed = pseudonyms.replace("Ask Ada Lovelace via ada@example.com", [], "d2")
    assert missed == "Ask ⟦PERSON_1⟧ via ⟦EMAIL_ADDRESS_1⟧"
    assert pseudonyms.restore(missed, from_origin("d2")) == "Ask Ada Lovelace via ada@example.com"


def test_what_the_model_wrote_itself_may_be_shown_by_the_same_rule() -> None:
    pseudonyms = Pseudonyms()
    replace(pseudonyms, "Ada Lovelace", "d1", PERSON="Ada Lovelace")
    replace(pseudonyms, "Lovelace", "user", PERSON="Lovelace")
    assert pseudonyms.may_show(EntityType.PERSON, "ada lovelace", from_origin("d1"))
    assert not pseudonyms.may_show(EntityType.PERSON, "Ada Lovelace", from_origin("user"))
    assert pseudonyms.may_show(EntityType.PERSON, "Lovelace", from_origin("d1"))
    assert not pseudonyms.may_show(EntityType.PERSON, "Grace Hopper", anyone)
    assert not pseudonyms.may_show(EntityType.PERSON, "Ada King Lovelace", anyone)


def test_values_without_letters_are_nobody_else() -> None:
    pseudonyms = Pseudonyms()
    assert replace(pseudonyms, "Ada Lovelace ...", PERSON="...") == "Ada Lovelace ⟦PERSON_1⟧"
    assert replace(pseudonyms, "Ada Lovelace", PERSON="Ada Lovelace") == "⟦PERSON_2⟧"


def test_a_conversation_goes_on_after_it_was_stored() -> None:
    pseudonyms = Pseudonyms()
    replace(pseudonyms, "Ada Lovelace", PERSON="Ada Lovelace")
    replace(pseudonyms, "ada@example.com", EMAIL_ADDRESS="ada@example.com")
    again = Pseudonyms.load(json.loads(json.dumps(pseudonyms.dump())))
    assert replace(again, "Lovelace", PERSON="Lovelace") == "⟦PERSON_1⟧"
    assert replace(again, "Grace Hopper", PERSON="Grace Hopper") == "⟦PERSON_2⟧"
    assert again.counts() == {EntityType.PERSON: 2, EntityType.EMAIL_ADDRESS: 1}
    assert again.infos()[0] == PlaceholderInfo("⟦PERSON_1⟧", EntityType.PERSON, "Ada Lovelace", frozenset({"d1"}))


@pytest.mark.parametrize(
    "data",
    [{}, {"version": 2, "entries": []}, {"version": 1, "entries": [{"type": "NO"}]}, {"version": 1, "entries": 3}],
)
def test_stored_data_of_another_form_are_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Pseudonyms.load(data)


def test_a_reader_sees_masks_where_policy_says_so() -> None:
    text = "Ada Lovelace pays with 4111 1111 1111 1111."
    found = spans(text, PERSON="Ada Lovelace", CREDIT_CARD="4111 1111 1111 1111")
    assert (
        mask(text, found, lambda span: span.type is EntityType.PERSON) == "Ada Lovelace pays with [card number hidden]."
    )
    assert mask(text, found, lambda _: False) == "[name hidden] pays with [card number hidden]."
    assert mask(text, found, lambda _: True) == text


def test_overlapping_spans_hide_what_any_of_them_hides() -> None:
    text = "Ada 4111111111111111 Lovelace"
    wide = Span(0, len(text), EntityType.PERSON, 0.1, "wide")
    narrow = Span(4, 20, EntityType.CREDIT_CARD, 1.0, "narrow")
    hidden = mask(text, [wide, narrow], lambda _: False)
    assert hidden == "[name hidden] [card number hidden] [name hidden]"
