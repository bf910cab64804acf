"""A site's own kinds of personal data: settings that are refused, what is found, and where it is hidden."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import regex

from policies.authorizer import Authorizer
from policies.errors import PolicyInvalidError, RedactionFailedError, RedactionSettingsError
from policies.labels import Label
from policies.personal_data import EntityType, KnownTypes, Sensitivity, SiteType, Span, span_type
from policies.principals import Principal
from policies.redaction import site_patterns
from policies.redaction.engine import Redactor
from policies.redaction.options import RedactionOptions
from policies.redaction.placeholders import Pseudonyms, mask
from policies.redaction.site import SiteRecogniser, SiteRedaction, read_site
from policies.redaction.spans import union
from policies.redaction.streaming import StreamGuard
from tests.timing import cpu_seconds

CODE, BIRD, DESK = SiteType("PROJECT_CODE"), SiteType("CODE_NAME"), SiteType("DESK")
TYPES: list[dict[str, Any]] = [
    {"name": CODE, "pattern": r"PRJ-\d{5}"},
    {"name": BIRD, "words": ["Bluebird", "Night Jar"], "context": ["project", "codename"]},
    {"name": DESK, "pattern": r"desk (?P<value>[A-Z]\d{2})", "sensitivity": "contact"},
]
ADA = Principal("ada", frozenset({"staff"}))
STAFF = Label.for_groups("staff")
BOARD = """@id("board-sees-codes")
permit (principal in Group::"board", action == Action::"personal-data:reveal", resource)
when { context.entity_type == EntityType::"PROJECT_CODE" };"""


def site(*types: dict[str, Any], home: Path = Path("/nowhere"), **more: Any) -> SiteRedaction:
    return read_site(msgspec.convert({"types": types, **more}, RedactionOptions), home)


SITE = site(*TYPES)


def found(recognisers: SiteRedaction, text: str, begin: int = 0) -> list[tuple[str, str]]:
    spans = [span for each in recognisers.recognisers for span in each.find(text, begin)]
    return [(text[span.start : span.end], span.type) for span in spans]


@pytest.fixture(scope="module")
def own_redactor(recogniser_model: Path) -> Redactor:
    return Redactor(recogniser_model, site(*TYPES, clear_words=["Sourcewell", "Maria Quindel Suite"]))


# Settings


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": "PERSON"}, "built-in"),
        ({"name": "project"}, "capital letters"),
        ({"name": "A" * 41}, "capital letters"),
        ({"name": "X"}, "capital letters"),
        ({"name": "A⟧"}, "capital letters"),
        ({"pattern": ""}, "neither a pattern nor words"),
        ({"pattern": "("}, "it is no pattern"),
        ({"pattern": r"\p{Lu}+"}, "refused"),
        ({"pattern": "x?"}, "empty text"),
        ({"pattern": r"(?=\d)"}, "empty text"),
        ({"pattern": "[[a]"}, "two meanings"),
        ({"pattern": "(?:abc){e<=2}"}, "begins no number"),
        ({"pattern": r"(\w)\1"}, "refers back"),
        ({"pattern": r"(a)?(?(1)b|c)"}, "refers back"),
        ({"pattern": "a" * 1001}, "more than 1000"),
        ({"checksum": "md5"}, "no checksum 'md5'"),
        ({"pattern": "", "words": ["x"], "checksum": "luhn"}, "Add a pattern"),
        ({"words": ["--"]}, "no letter and no digit"),
        ({"context": [""]}, "no letter and no digit"),
        ({"score": 0.0}, "no score"),
        ({"score": float("nan")}, "no score"),
        ({"words_file": "gone.txt"}, "cannot be read"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_with_their_place(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(RedactionSettingsError, match=place) as refused:
        site(TYPES[0] | changes)
    assert "redaction.types" in str(refused.value)
    assert str(refused.value).endswith(".")


SLOW = [
    r"(a+)+!",
    r"(a|a)*!",
    r"(\w+\s?)*!",
    r"(?:a?){30}a{30}",
    r"\w*\w*\w*!",
    r"(?:\w{1,30}){4}!",
    r"(?=(?:a|aa)+!)a",
]


@pytest.mark.parametrize("pattern", SLOW)
def test_a_pattern_that_could_take_long_is_refused(pattern: str) -> None:
    with pytest.raises(RedactionSettingsError, match="could take very long"):
        site({"name": "SLOW", "pattern": pattern})


@pytest.mark.parametrize(
    "pattern",
    [
        r"PRJ-\d{5}",
        r"(?i)\bprj[ -]?\d{3,8}\b",
        r"(?<!\w)[A-Z]{2,4}-\d{2,6}(?:-[a-z]{1,5})?(?!\w)",
        r"(?:[ -]?\d{4}){4}",
        r"(?:ACME|Acme)-\w+",
        r"[A-Z]\w{3,20}\.\d{1,9}",
        r"\w{1,70}\w{1,70}[!?]x",
        r"\w+\w{1,9}[!?]x",
    ],
)
def test_ordinary_patterns_are_taken_and_fast_on_hostile_texts(pattern: str) -> None:
    finder = site_patterns.pattern_finder(pattern)
    for text in ("a" * 496 + " !x", "1" * 500, "A-" * 250, "PRJ-" * 125, "ACME-" * 100):
        assert cpu_seconds(lambda text=text: list(finder(text))) < site_patterns._TIMEOUT_S


def test_a_pattern_that_takes_too_long_fails_the_text() -> None:
    slow = site_patterns.compiled_finder(regex.compile(r"(?:a|aa|b)+[!?]x"))
    with pytest.raises(RedactionFailedError, match="too long"):
        list(slow("a" * 200 + "b" + " !x"))


def test_a_pattern_that_takes_too_long_keeps_a_text_from_use(recogniser_model: Path) -> None:
    finder = site_patterns.compiled_finder(regex.compile(r"(?:a|aa|b)+[!?]x"))
    slow = SiteRecogniser(CODE, Sensitivity.SEALED, "slow", finder, 0.8)
    redactor = Redactor(recogniser_model, SiteRedaction(recognisers=(slow,)))
    hostile = "a" * 200 + "b !x"
    with pytest.raises(RedactionFailedError):
        redactor.find(hostile)
    guard = StreamGuard(Pseudonyms(), redactor, lambda _: True)
    with pytest.raises(RedactionFailedError):
        guard.feed(hostile) + guard.close()


def test_passing_what_took_too_long_would_be_noticed(recogniser_model: Path) -> None:
    """Negative control: a finder that gives up quietly, as Presidio does, lets the text through."""

    def quiet(text: str) -> Any:
        try:
            yield from site_patterns.compiled_finder(regex.compile(r"(?:a|aa|b)+[!?]x"))(text)
        except RedactionFailedError:
            return

    slow = SiteRecogniser(CODE, Sensitivity.SEALED, "slow", quiet, 0.8)
    assert Redactor(recogniser_model, SiteRedaction(recognisers=(slow,))).find("a" * 200 + "b !x") == []


def test_the_same_name_twice_is_refused() -> None:
    with pytest.raises(RedactionSettingsError, match="twice"):
        site(TYPES[0], TYPES[0])


def test_words_come_from_a_file_of_the_home(tmp_path: Path) -> None:
    (tmp_path / "codenames.txt").write_text("\ufeff# Ours\nBluebird\n\n Night  Jar \n", encoding="utf-8")
    own = site({"name": BIRD, "words_file": "codenames.txt"}, home=tmp_path)
    assert found(own, "The bluebird and the NIGHT\nJAR.") == [("bluebird", BIRD), ("NIGHT\nJAR", BIRD)]
    (tmp_path / "codenames.txt").write_text("# none yet\n")
    with pytest.raises(RedactionSettingsError, match="has no words"):
        site({"name": BIRD, "words_file": "codenames.txt"}, home=tmp_path)


def test_the_digest_changes_with_whatever_is_found(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("one\n")
    fromfile = {"name": BIRD, "words_file": "names.txt"}
    made = [
        SiteRedaction(),
        site(TYPES[0]),
        site(TYPES[0] | {"pattern": r"PRJ-\d{6}"}),
        site(TYPES[0] | {"sensitivity": "contact"}),
        site(TYPES[0], clear_words=["Acme"]),
        site(fromfile, home=tmp_path),
    ]
    (tmp_path / "names.txt").write_text("two\n")
    made.append(site(fromfile, home=tmp_path))
    assert made[0].digest == ""
    assert len({each.digest for each in made}) == len(made)
    assert site(TYPES[0]).digest == made[1].digest
    assert read_site(RedactionOptions(), tmp_path).digest == ""


# Finding


@pytest.mark.parametrize(
    ("checksum", "pattern", "good", "bad"),
    [
        ("luhn", r"C-\d{4} \d{4}", "C-7992 7398", "C-7992 7399"),
        ("mod97", r"[A-Z]\d{5}", "A00017", "A00018"),
        ("ean", r"\d{13}", "4006381333931", "4006381333932"),
        ("iban", r"[A-Z]{2}[\d ]{20,30}", "DE89 3704 0044 0532 0130 00", "DE88 3704 0044 0532 0130 00"),
    ],
)
def test_a_checksum_tells_values_from_others(checksum: str, pattern: str, good: str, bad: str) -> None:
    own = site({"name": "CHECKED", "pattern": pattern, "checksum": checksum})
    if checksum == "mod97":
        good = next(f"A{n:05}" for n in range(100) if int(f"10{n:05}") % 97 == 1)
        bad = f"A{(int(good[1:]) + 1):05}"
    assert found(own, f"say {good}") == [(good, "CHECKED")]
    assert found(own, f"say {bad}") == []


def test_a_checksum_of_a_value_without_digits_is_no_failure() -> None:
    for checksum in ("ean", "iban", "luhn", "mod97"):
        assert found(site({"name": "ODD", "pattern": "[A-Z-]{1,9}", "checksum": checksum}), "ABC-DEF --- A") == []


def test_context_is_near_or_it_does_not_count() -> None:
    assert found(SITE, "The bluebird sings.") == []
    assert found(SITE, "Project Bluebird begins.") == [("Bluebird", BIRD)]
    assert found(SITE, "Night-Jar is the codename.") == [("Night-Jar", BIRD)]
    assert found(SITE, f"project {'x ' * 40} bluebird") == []


def test_what_stands_before_is_only_context() -> None:
    assert found(SITE, "project Bluebird", len("project ")) == [("Bluebird", BIRD)]
    assert found(SITE, "PRJ-12345 and", 9) == []


def test_a_long_list_costs_little() -> None:
    own = site({"name": BIRD, "words": [f"project name{n}" for n in range(20_000)]})
    text = "project name19999 and project other. " * 10
    assert len(found(own, text)) == 10
    assert cpu_seconds(lambda: found(own, text)) < 0.05


@pytest.mark.parametrize(
    "text",
    ["see PRJ-12345 now", "see P**RJ-12**345 now", "see PR\u200bJ-12345 now", "see \uff30\uff32\uff2a-12345 now"],
)
def test_texts_are_read_as_readers_see_them(own_redactor: Redactor, text: str) -> None:
    (span,) = [span for span in own_redactor.find(text) if span.type == CODE]
    assert (span.start, span.end, span.recogniser, span.score) == (4, len(text) - 4, "site, pattern", 0.8)


def test_a_phrase_that_is_nobody_is_not_taken_for_people(own_redactor: Redactor) -> None:
    def people(text: str) -> list[str]:
        return [text[s.start : s.end] for s in own_redactor.find(text) if s.type is EntityType.PERSON]

    assert people("We run Maria Quindel Suite on it.") == []
    assert people("Ask Maria Quindel about it.") == ["Maria Quindel"], "the words of a phrase stay names by themselves"


def test_text_in_brackets_of_no_known_type_is_read(own_redactor: Redactor) -> None:
    """Or an author could keep text from being looked at by writing it like a placeholder."""
    assert own_redactor.find("⟦PROJECT_CODE_1⟧ ⟦CODE_NAME_2⟧") == []
    hostile = "⟦OTHER_4111111111111111_1⟧ ⟦PRJ-12345_1⟧"
    assert {span.type for span in own_redactor.find(hostile)} >= {CODE}
    assert {span.type for span in own_redactor.find("⟦X 4111 1111 1111 1111⟧")} == {EntityType.CREDIT_CARD}


def test_what_is_sealed_never_becomes_part_of_what_is_not() -> None:
    text = "desk PRJ-12345 by the door"
    types = SITE.types
    spans = [Span(0, len(text), DESK, 1.0, "wide"), Span(5, 14, CODE, 0.1, "narrow")]
    assert ("PRJ-12345", CODE) in [(text[s.start : s.end], s.type) for s in union(text, spans, types)]
    card = [Span(0, len(text), DESK, 1.0, "wide"), Span(5, 14, EntityType.SECRET, 0.1, "narrow")]
    assert EntityType.SECRET in [s.type for s in union(text, card, types)]
    mail = [Span(0, len(text), EntityType.PERSON, 1.0, "wide"), Span(5, 14, CODE, 0.1, "narrow")]
    assert CODE in [s.type for s in union(text, mail)]


# Hiding


def test_placeholders_masks_and_storing() -> None:
    text = "PRJ-12345 and PRJ-99999"
    spans = [Span(0, 9, CODE, 0.8, "x"), Span(14, 23, CODE, 0.8, "x")]
    pseudonyms = Pseudonyms()
    assert pseudonyms.replace(text, spans, "d1") == "⟦PROJECT_CODE_1⟧ and ⟦PROJECT_CODE_2⟧"
    again = Pseudonyms.load(json.loads(json.dumps(pseudonyms.dump())))
    assert again.restore("⟦PROJECT_CODE_2⟧", lambda info: info.type == CODE) == "PRJ-99999"
    assert again.restore("⟦PROJECT_CODE_2⟧", lambda _: False) == "[project code hidden]"
    assert again.restore("⟦PROJECT_CODE_9⟧ ⟦ELSE_1⟧", lambda _: True) == "[project code hidden] [ELSE_1]"
    assert again.counts() == {CODE: 2}
    assert mask(text, spans, lambda _: False) == "[project code hidden] and [project code hidden]"


def test_an_answer_hides_what_the_model_wrote_itself(own_redactor: Redactor) -> None:
    def answer(*, may_reveal: bool) -> str:
        guard = StreamGuard(pseudonyms, own_redactor, lambda _: may_reveal, seen="desk B12, PRJ-12345")
        return guard.feed("It is ⟦PROJECT_CODE_1⟧, not PRJ-77777, at desk B12; PRJ-12345.") + guard.close()

    pseudonyms = Pseudonyms()
    pseudonyms.replace("PRJ-12345", [Span(0, 9, CODE, 0.8, "x")], "d1")
    hidden = "[project code hidden]"
    assert answer(may_reveal=False) == f"It is {hidden}, not {hidden}, at desk B12; {hidden}."
    assert answer(may_reveal=True) == f"It is PRJ-12345, not {hidden}, at desk B12; PRJ-12345."


# Policy


def revealed(authorizer: Authorizer, principal: Principal = ADA) -> set[str]:
    kinds = [*authorizer.types, SiteType("GONE")]
    return {kind for kind, decision in authorizer.decide_reveal(principal, kinds, STAFF).items() if decision.allowed}


def test_cedar_decides_on_a_sites_types_by_their_sensitivity_and_by_name() -> None:
    board = Principal("bo", frozenset({"staff", "board"}))
    authorizer = Authorizer.load(BOARD, types=SITE.types)
    assert revealed(authorizer) & {*dict(SITE.types.site), "GONE"} == {DESK}
    assert revealed(authorizer, board) & {*dict(SITE.types.site), "GONE"} == {DESK, CODE}
    with pytest.raises(PolicyInvalidError):
        Authorizer.load(BOARD)
    with pytest.raises(PolicyInvalidError):
        Authorizer.load(BOARD.replace("PROJECT_CODE", "PROJECT_CDOE"), types=SITE.types)


EVERYTHING = '@id("all") permit (principal, action == Action::"personal-data:reveal", resource);'


def test_a_type_that_is_configured_no_longer_is_masked_whatever_a_rule_says() -> None:
    authorizer = Authorizer.load(EVERYTHING, types=SITE.types)
    decided = authorizer.decide_reveal(ADA, [EntityType.IBAN_CODE, CODE, SiteType("GONE")], STAFF)
    assert [decision.allowed for decision in decided.values()] == [True, True, False]
    assert not decided[SiteType("GONE")].failed
    assert "GONE" in decided[SiteType("GONE")].reason
    assert KnownTypes().sensitivity(SiteType("GONE")) is Sensitivity.SEALED


def test_an_authorizer_that_believed_stored_types_would_be_noticed() -> None:
    """Negative control: one that takes every stored type for a contact reveals it."""

    class Believing(KnownTypes):
        def __contains__(self, kind: object) -> bool:
            return True

        def sensitivity(self, kind: Any) -> Sensitivity:
            return Sensitivity.CONTACT

    believing = Authorizer.load(types=Believing(((SiteType("GONE"), Sensitivity.CONTACT),)))
    assert "GONE" in revealed(believing)
    assert "GONE" not in revealed(Authorizer.load())


def test_the_revision_changes_with_types_and_their_sensitivity() -> None:
    contact = KnownTypes(((CODE, Sensitivity.CONTACT),))
    sealed = KnownTypes(((CODE, Sensitivity.SEALED),))
    revisions = [Authorizer.load(types=types).revision for types in (KnownTypes(), contact, sealed)]
    assert len(set(revisions)) == 3
    assert revisions[0] == Authorizer.load().revision


def test_built_in_types_are_themselves_when_they_are_read_back() -> None:
    assert all(span_type(str(kind)) is kind for kind in EntityType)
    assert list(KnownTypes()) == list(EntityType)
