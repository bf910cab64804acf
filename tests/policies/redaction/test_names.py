"""Names by their words and surroundings, with what a recogniser says given by hand."""

import random
from collections.abc import Sequence

import pytest

from policies.redaction.candidates import Entity
from policies.redaction.lexicon import Kind, Lexicon
from policies.redaction.names import find_names, may_depend_on_entities
from policies.redaction.segments import segments
from policies.redaction.words import Word, runs_of, usual_case, words_of
from tests.policies.redaction import effort_texts

DICTIONARY = [
    "team",
    "lead",
    "cloud",
    "source",
    "graph",
    "hunt",
    "hope",
    "the",
    "and",
    "ask",
    "he",
    "met",
    "on",
    "is",
    "equity",
    "grant",
    "city",
    "page",
    "bout",
    "for",
    "who",
    "please",
    "mark",
]
LEXICON = Lexicon(DICTIONARY, clear_words=["Corvex"])


def names(text: str, **entities: str) -> list[str]:
    """The names in a text, when the recogniser labels the given pieces of it."""
    said = [Entity(at := text.index(piece), at + len(piece), label) for label, piece in entities.items()]
    return [
        text[name.start : name.end] for name in find_names(text, words_of(text, LEXICON), said, LEXICON, frozenset())
    ]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("Maria", Kind.GIVEN),
        ("Jos\u00e9", Kind.GIVEN),
        ("Gutierrez", Kind.FAMILY),
        ("Hope", Kind.EITHER),
        ("Hunt", Kind.EITHER),
        ("Teams", Kind.CLEAR),
        ("leads", Kind.WORD),
        ("Corvex", Kind.CLEAR),
        ("Quionia", Kind.UNKNOWN),
        ("Anna-Maria", Kind.GIVEN),
        ("on-team", Kind.WORD),
    ],
)
def test_words_are_of_a_kind(word: str, kind: Kind) -> None:
    assert LEXICON.kind(word) is kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ask Maria Quionia on it", ["Maria Quionia"]),
        ("ask Maria's team", ["Maria"]),
        ("Vincent van Gogh met J. R. R. Quionia", ["Vincent van Gogh", "J. R. R. Quionia"]),
        ("Zorbo K. Quionia", ["Zorbo K. Quionia"]),
        ("please ask maria quionia", ["maria quionia"]),
        ("who is maria", ["maria"]),
        ("Please ask maria quionia", ["maria quionia"]),
        ("My name is Quionia and he met", ["Quionia"]),
        ("Mr. Hope met Dr Quionia", ["Hope", "Quionia"]),
        ("Quionia lives on the city", ["Quionia"]),
        ("MARIA QUIONIA", ["MARIA QUIONIA"]),
    ],
)
def test_names_are_found_without_the_recogniser(text: str, expected: list[str]) -> None:
    assert names(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "the Team Lead met",
        "Ask maria team",
        "Hope is on",
        "San Francisco",
        "Quionia is on",
        "API",
        "page MARIA",
        "the Equity Grant",
    ],
)
def test_other_words_are_no_names(text: str) -> None:
    assert names(text) == []


def test_the_recogniser_is_believed_when_the_words_agree() -> None:
    assert names("ask Quionia Zorbo", PERSON="Quionia Zorbo") == ["Quionia Zorbo"]
    assert names("ask Quionia", PERSON="Quionia") == ["Quionia"]
    assert names("ask Maria Hunt", PERSON="Maria Hunt") == ["Maria Hunt"]
    assert names("ask Zorbo Petrovic", ORG="Zorbo Petrovic") == ["Zorbo Petrovic"]


def test_the_recogniser_is_not_believed_when_they_do_not() -> None:
    assert names("the Team Lead", PERSON="Team Lead") == []
    assert names("the Equity Grant", PERSON="Equity Grant") == []
    assert names("Sourcegraph Cloud", PERSON="Sourcegraph Cloud") == []
    assert names("the Corvex team", PERSON="Corvex") == []


def test_a_family_name_is_known_once_the_full_name_stood() -> None:
    assert names("Maria Zorbo met. Zorbo met") == ["Maria Zorbo", "Zorbo"]
    assert names("Zorbo met. Maria Quionia met") == ["Maria Quionia"]


@pytest.mark.parametrize(("text", "needed"), [("the Team Lead met on the team", False), ("the Zorbo met", True)])
def test_texts_without_candidates_need_no_recogniser(text: str, *, needed: bool) -> None:
    assert bool(runs_of(text, words_of(text, LEXICON))) is needed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("please ask Quionia on it", ["Quionia"]),
        ("Quionia, can you ask the team", ["Quionia"]),
        ("goalkeeper Quionia met the team", ["Quionia"]),
        ("on the page Quionia, Gutierrez and Zorbo met", ["Quionia", "Gutierrez", "Zorbo"]),
        ("the team met Zorbo Quionia on it", ["Zorbo Quionia"]),
        ("the team is for Kvorbněč", []),
        ("the team and Kvorbněč met", ["Kvorbněč"]),
        ("Quionia, Maria", ["Quionia, Maria"]),
        ("Hunt, Maria - team lead", ["Hunt, Maria"]),
        ("under the name of Quionia", ["Quionia"]),
        ('"name": "Hope Quionia"', ["Hope Quionia"]),
        ("Maria Quionia I ask", ["Maria Quionia"]),
    ],
)
def test_what_stands_around_a_name_tells_it(text: str, expected: list[str]) -> None:
    assert names(text) == expected


@pytest.mark.parametrize(
    "text", ["the team in Zorbo Quionia", "Zorbo Quionia Ltd met", "please ask SourceGraph on it", "Team, Lead"]
)
def test_places_companies_and_products_stand_elsewhere(text: str) -> None:
    assert names(text) == []


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("ASK MARIA QUIONIA ON THE TEAM", "ask Maria Quionia on the team"),
        ("Please ask MARIA K. ZORBO on it", "Please ask Maria K. Zorbo on it"),
        ("the API of the SSO", "the API of the SSO"),
        ("ASK THE API TEAM", "ASK THE API TEAM"),
        ("page MARIA", "page MARIA"),
    ],
)
def test_names_in_capitals_are_read_as_usually_written(text: str, usual: str) -> None:
    assert usual_case(text, words_of(text, LEXICON)) == usual


LABELS = ("PERSON", "PERSON", "ORG", "GPE", "NORP", "DATE", "CARDINAL")


def any_entities(draw: random.Random, words: Sequence[Word]) -> list[Entity]:
    """What a recogniser could say of words, sensible or not; as it does, it says one thing of each piece."""
    found, at = [], 0
    while at < len(words):
        end = min(len(words), at + draw.randint(1, 4))
        if draw.random() < 0.6:
            past = draw.choice([0, 0, 1, 2])
            found.append(Entity(words[at].start, words[end - 1].end + past, draw.choice(LABELS)))
            end += past
        at = end
    return found


def read_otherwise(*, decided: bool) -> tuple[int, int]:
    """How many texts are said to depend on entities or not, and how many of them do so for what was drawn."""
    draw = random.Random(17)
    some = otherwise = 0
    whole = "".join(kind(6_000) for kind in effort_texts.PROSE.values())
    for text in (whole[start:end] for start, end in segments(whole)):
        words = words_of(text, LEXICON)
        if may_depend_on_entities(text, words, LEXICON) is decided:
            continue
        some += 1
        known = frozenset(draw.sample(["hunt", "turing", "report", "markin", "kin"], 2))
        expected = find_names(text, words, (), LEXICON, known)
        drawn = (find_names(text, words, any_entities(draw, words), LEXICON, known) for _ in range(8))
        otherwise += any(names != expected for names in drawn)
    return some, otherwise


def test_where_the_recogniser_is_not_asked_it_would_change_nothing() -> None:
    some, otherwise = read_otherwise(decided=True)
    assert some > 200
    assert otherwise == 0


def test_where_it_is_asked_it_changes_much() -> None:
    some, otherwise = read_otherwise(decided=False)
    assert otherwise > 0.3 * some > 100


def test_a_recogniser_that_is_never_asked_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr("policies.redaction.names._SAID", ())
    assert read_otherwise(decided=True)[1] > 0
