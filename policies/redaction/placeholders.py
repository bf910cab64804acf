"""Placeholders: what stands for personal data in front of the model, and who gets the values back.

A placeholder reads `⟦PERSON_1⟧`. Its brackets are taken out of every text that comes in, so one that a user types or
a document holds is plain text and never reveals anything. What may not be shown reads `[name hidden]`.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from policies.personal_data import EntityType, KnownTypes, Span, SpanType, span_type
from policies.redaction.lexicon import LISTS, fold
from policies.redaction.spans import union

PLACEHOLDER = re.compile(r"⟦([A-Z][A-Z0-9_]{1,39})_(\d{1,6})⟧")
"""What may be a placeholder, with its type and number; it is one only where the type is known."""

_DISARMED = str.maketrans("⟦⟧", "[]")
_NAMES = {
    EntityType.ADDRESS: "address",
    EntityType.BANK_ACCOUNT: "account number",
    EntityType.BIRTH_DATE: "date of birth",
    EntityType.CREDIT_CARD: "card number",
    EntityType.CRYPTO: "wallet address",
    EntityType.EMAIL_ADDRESS: "e-mail address",
    EntityType.IBAN_CODE: "account number",
    EntityType.IDENTIFIER: "identifier",
    EntityType.IP_ADDRESS: "IP address",
    EntityType.NATIONAL_ID: "national identifier",
    EntityType.PERSON: "name",
    EntityType.PHONE_NUMBER: "phone number",
    EntityType.SECRET: "secret",
}
_KEPT_CASE = frozenset({EntityType.SECRET, EntityType.CRYPTO})
_LETTERS_AND_DIGITS = frozenset(
    {
        EntityType.BANK_ACCOUNT,
        EntityType.CREDIT_CARD,
        EntityType.IBAN_CODE,
        EntityType.IDENTIFIER,
        EntityType.NATIONAL_ID,
        EntityType.PHONE_NUMBER,
    }
)
_SHORTEST_KNOWN_CHARS = 6
_SHORTEST_STEM = 3
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_CASE_ENDING = re.compile(r"(?:[аеиоуыэюя]?(?:го|му|ми|м|х|й|ю|я)|[аеиоуыэюяь])?[аеиоуыэюяйь]*$")  # noqa: RUF001 - Russian letters are meant


@dataclass(frozen=True, slots=True)
class PlaceholderInfo:
    """One spelling of what a placeholder stands for, and where that spelling stood.

    `origins` are what callers of `Pseudonyms.replace` named: where in documents, or `user` for what was typed.
    """

    placeholder: str
    type: SpanType
    value: str
    origins: frozenset[str]


MayReveal = Callable[[PlaceholderInfo], bool]
"""Answers: may the reader see this value, given where it stood?"""


def disarmed(text: str) -> str:
    """The text without the brackets of placeholders."""
    return text.translate(_DISARMED)


def placeholders_of(types: KnownTypes) -> re.Pattern[str]:
    """What is a placeholder of one of these types. Text in such brackets with another word in them is read as text."""
    return re.compile(rf"⟦({'|'.join(types)})_(\d{{1,6}})⟧")


def hidden(kind: SpanType) -> str:
    """What a reader sees instead of a value: `[card number hidden]`; a site's own type is named as it calls it."""
    name = _NAMES[kind] if isinstance(kind, EntityType) else kind.lower().replace("_", " ")
    return f"[{name} hidden]"


def mask(text: str, spans: Iterable[Span], reveal: Callable[[Span], bool]) -> str:
    """A text for a reader: spans that `reveal` does not allow read as masks, the rest stands as it is."""
    pieces, done = [], 0
    for span in union(text, spans):
        if not reveal(span):
            pieces += [text[done : span.start], hidden(span.type)]
            done = span.end
    return "".join((*pieces, text[done:]))


@dataclass(slots=True)
class _Entry:
    """Something a placeholder stands for: its spellings with their origins, and for people their longest key."""

    type: SpanType
    number: int
    key: str
    spellings: dict[str, set[str]] = field(default_factory=dict)

    @property
    def placeholder(self) -> str:
        return f"⟦{self.type}_{self.number}⟧"

    def infos(self) -> Iterator[PlaceholderInfo]:
        """What is known of it, the fullest spelling first."""
        for value in sorted(self.spellings, key=_fullness, reverse=True):
            yield PlaceholderInfo(self.placeholder, self.type, value, frozenset(self.spellings[value]))


@dataclass(frozen=True, slots=True)
class _Known:
    """What is searched for word for word; made once for all texts between two new spellings."""

    types: Mapping[str, SpanType]
    pattern: re.Pattern[str] | None

    @classmethod
    def of(cls, entries: Iterable[_Entry]) -> Self:
        types = {
            value: entry.type for entry in entries for value in entry.spellings if _is_distinctive(entry.type, value)
        }
        longest_first = sorted(types, key=len, reverse=True)
        pattern = rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)"
        return cls(types, re.compile(pattern) if types else None)

    def find(self, text: str) -> list[Span]:
        matches = self.pattern.finditer(text) if self.pattern else ()
        return [Span(match.start(), match.end(), self.types[match[0]], 1.0, "known") for match in matches]


class Pseudonyms:
    """The placeholders of one conversation: the same value has the same one in every text and spelling."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._by_key: dict[tuple[SpanType, str], _Entry] = {}
        self._by_placeholder: dict[str, _Entry] = {}
        self._people: dict[str, list[_Entry]] = {}
        self._counts: Counter[SpanType] = Counter()
        self._known: _Known | None = None

    def replace(self, text: str, spans: Sequence[Span], origin: str) -> str:
        """The text for the model. `origin` is where the text stands: in a document, or `user` for what was typed.

        Values that this conversation knows already are replaced too where recognition missed them. Give passages
        before the question, so that a family name in the question finds its person or is seen to be ambiguous.
        """
        for span in spans:
            self._entry(span.type, disarmed(text[span.start : span.end]), origin)
        pieces, done = [], 0
        for span in union(text, [*spans, *self.known_in(text)]):
            entry = self._entry(span.type, disarmed(text[span.start : span.end]), origin)
            pieces += [disarmed(text[done : span.start]), entry.placeholder]
            done = span.end
        return "".join((*pieces, disarmed(text[done:])))

    def restore(self, text: str, may_reveal: MayReveal) -> str:
        """The text for a reader: values that may be revealed return, other placeholders read as masks."""
        pieces, done = [], 0
        for match in PLACEHOLDER.finditer(text):
            pieces += [disarmed(text[done : match.start()]), self._value(match, may_reveal)]
            done = match.end()
        return "".join((*pieces, disarmed(text[done:])))

    def may_show(self, kind: SpanType, value: str, may_reveal: MayReveal) -> bool:
        """Whether a value that the model wrote itself is one that this reader may see."""
        key = _key(kind, value)
        entry = self._by_key.get((kind, key)) or (self._person(key) if kind is EntityType.PERSON else None)
        infos = entry.infos() if entry else ()
        return any(_says_no_more(kind, key, _key(kind, info.value)) and may_reveal(info) for info in infos)

    def known_in(self, text: str) -> list[Span]:
        """Where values of this conversation stand in a text word for word; single names are left to recognition."""
        if self._known is None:
            self._known = _Known.of(self._entries)
        return self._known.find(text)

    def infos(self) -> list[PlaceholderInfo]:
        """Every spelling of every value, in the order in which placeholders were given."""
        return [info for entry in self._entries for info in entry.infos()]

    def counts(self) -> dict[SpanType, int]:
        """How many different values of each type were replaced."""
        return dict(self._counts)

    def dump(self) -> dict[str, Any]:
        """Everything, as plain data for the vault; it holds personal data and must not be stored unsealed."""
        return {
            "version": 1,
            "entries": [
                {
                    "type": str(entry.type),
                    "number": entry.number,
                    "key": entry.key,
                    "spellings": {value: sorted(origins) for value, origins in entry.spellings.items()},
                }
                for entry in self._entries
            ],
        }

    @classmethod
    def load(cls, data: dict[str, Any]) -> Self:
        """What `dump` gave.

        Raises:
            ValueError: The data are not of that form.
        """
        pseudonyms = cls()
        try:
            if data["version"] != 1:
                message = f"placeholders of version {data['version']} are not known here"
                raise ValueError(message)
            for item in data["entries"]:
                spellings = {value: set(origins) for value, origins in item["spellings"].items()}
                pseudonyms._add(_Entry(span_type(item["type"]), int(item["number"]), str(item["key"]), spellings))
        except (KeyError, TypeError, AttributeError) as error:
            message = f"not placeholders: {error!r}"
            raise ValueError(message) from error
        return pseudonyms

    def _entry(self, kind: SpanType, value: str, origin: str) -> _Entry:
        """What a value belongs to, noted under this spelling and origin."""
        key = _key(kind, value)
        entry = self._by_key.get((kind, key)) or (self._person(key) if kind is EntityType.PERSON else None)
        if entry is None:
            entry = self._add(_Entry(kind, 1 + self._counts[kind], key))
        if len(key) > len(entry.key):
            entry.key = key
            self._note_person(entry)
        if value not in entry.spellings:
            entry.spellings[value] = set()
            self._known = None
        entry.spellings[value].add(origin)
        self._by_key[kind, key] = entry
        return entry

    def _add(self, entry: _Entry) -> _Entry:
        self._entries.append(entry)
        self._counts[entry.type] += 1
        self._known = None
        self._note_person(entry)
        self._by_placeholder[entry.placeholder] = entry
        for key in (entry.key, *(_key(entry.type, value) for value in entry.spellings)):
            self._by_key[entry.type, key] = entry
        return entry

    def _person(self, key: str) -> _Entry | None:
        """The one known person that a name can belong to, if there is exactly one."""
        near = {id(entry): entry for word in _ends(key) for entry in self._people.get(word, ())}
        fitting = [entry for entry in near.values() if _same_person(entry.key, key)]
        return fitting[0] if len(fitting) == 1 else None

    def _note_person(self, entry: _Entry) -> None:
        """Let a person be found by the first and the last word of the key; one of them is in every name of theirs."""
        if entry.type is EntityType.PERSON:
            for word in _ends(entry.key):
                self._people.setdefault(word, []).append(entry)

    def _value(self, match: re.Match[str], may_reveal: MayReveal) -> str:
        entry = self._by_placeholder.get(match[0])
        if entry is None:
            kind = span_type(match[1])
            invented = isinstance(kind, EntityType) or kind in self._counts
            return hidden(kind) if invented else disarmed(match[0])
        return next((info.value for info in entry.infos() if may_reveal(info)), hidden(entry.type))


def _key(kind: SpanType, value: str) -> str:
    """What spellings of one value have in common."""
    if kind in _KEPT_CASE:
        return value
    if kind in _LETTERS_AND_DIGITS:
        return "".join(character for character in value.casefold() if character.isalnum())
    if kind is EntityType.PERSON:
        return _key_of_person(value)
    return " ".join(value.casefold().split())


def _key_of_person(value: str) -> str:
    """The words of a name as usually ordered, without titles; Russian ones without the endings of their cases."""
    family, comma, given = value.partition(", ")
    words = re.findall(r"[^\W_]+", fold(f"{given} {family}" if comma else value))
    if _CYRILLIC.search(value):
        words = [_uninflected(word) for word in words]
        initials = [word for word in words[1:] if len(word) == 1]
        if initials and len(words[0]) > 1 and words[1:] == initials:  # As in lists: the family name, then initials.
            words = [*initials, words[0]]
    return " ".join(word for word in words if word not in LISTS["titles"]) or " ".join(words)


def _uninflected(word: str) -> str:
    """A folded Russian name without the ending of its case. Men and women of one family name read alike."""
    stem = _CASE_ENDING.sub("", word)
    return stem if len(stem) >= _SHORTEST_STEM else word


def _same_person(one: str, other: str) -> bool:
    """Whether two keys can name one person: a family or given name alone, middle names, or an initial."""
    short, long = sorted((one.split(), other.split()), key=len)
    if len(short) <= 1:
        return len(long) > 1 and len(one) > 1 < len(other) and short[:1] in (long[:1], long[-1:])
    if _CYRILLIC.search(one) and len(long) == 2 and short == long[::-1]:  # noqa: PLR2004 - either order is usual
        return True
    first = short[0] == long[0] or (1 in {len(short[0]), len(long[0])} and short[0][0] == long[0][0])
    return first and short[-1] == long[-1]


def _ends(key: str) -> set[str]:
    """The first and the last word of a person's key."""
    words = key.split()
    return {*words[:1], *words[-1:]}


def _says_no_more(kind: SpanType, key: str, revealed: str) -> bool:
    """Whether a value tells only what a revealed one tells: the same, or for people some of its words."""
    return key == revealed or (kind is EntityType.PERSON and set(key.split()) <= set(revealed.split()))


def _fullness(value: str) -> tuple[int, int, int]:
    """More words, then capitals, then letters make a spelling fuller."""
    return len(value.split()), sum(map(str.isupper, value[:1])), len(value)


def _is_distinctive(kind: SpanType, value: str) -> bool:
    """Whether a value can be searched for without its surroundings: not a single name, not a few digits."""
    return len(value) >= _SHORTEST_KNOWN_CHARS and (kind is not EntityType.PERSON or " " in value)
