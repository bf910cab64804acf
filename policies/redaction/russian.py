"""Names of people in Russian text: Slovnet's entity recogniser, and rules for initials, patronymics and small letters.

The recogniser was trained on news: it expects capitals where they belong, so text without them is shown to it as in a
heading, and believed only where a given name or a patronymic is. Asking it is `slovnet_people.py`'s work.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from policies.redaction.names import Name
from policies.redaction.slovnet_people import SlovnetPeople

_CYRILLIC = re.compile(r"[\u0400-\u04ff]{2,}")
_CAP = r"[А-ЯЁ][а-яё]+(?:-[А-ЯЁ][а-яё]+)?"
_SHOUTED = r"[А-ЯЁ]{2,}(?:-[А-ЯЁ]{2,})?"
_SURNAME = rf"(?:{_CAP}|{_SHOUTED})"
_INITIALS = r"[А-ЯЁ]\.\s?(?:[А-ЯЁ]\.)?"
_WITH_INITIALS = re.compile(rf"(?<![\w.])(?:{_SURNAME}\s{_INITIALS}|{_INITIALS}\s?{_SURNAME}(?!\w))")
# What is abbreviated so and no initial: a year, a town, a house, a page.
_NO_INITIALS = re.compile(r"(?i:\b(?:г|гг|д|стр|с|п|ст|рис|т|ул|кв|оф|корп|табл|гл|обл)\.)")
_PATRONYMIC_STEMS = (
    r"(?:[а-яё]{2,}(?:ович|евич)|ильич|кузьмич|фомич|лукич|саввич|никитич)(?:а|у|ем|ом|е)?"
    r"|[а-яё]{2,}(?:овн|евн|иничн|ичн)(?:а|ы|е|у|ой|ою)"
)
_PATRONYMIC = re.compile(rf"(?<!\w)(?:{_PATRONYMIC_STEMS})(?!\w)", re.IGNORECASE)
_SURNAME_ENDING = re.compile(
    r"(?:ов|ев|ёв|ин|ын)(?:а|у|ым|е|ой|ых)?$|(?:ск|цк)(?:ий|ого|ому|им|ом|ая|ой|ую)$"
    r"|(?:енко|чук|швили|дзе|янц?|ян)(?:а|у|ом|е)?$",
    re.IGNORECASE,
)
_TITLED = re.compile(
    rf"(?<!\w)(?i:г-н[ауе]?|г-ж[аиуе]|господин(?:а|у|ом|е)?|госпож(?:а|и|е|у|ой)|гражданин(?:а|у|ом)?"
    rf"|гражданк(?:а|и|е|у|ой)|гр\.|товарищ[ауе]?)\s(?P<name>{_CAP}(?:\s{_CAP}){{0,2}})(?!\w)"
)
_CALLED = re.compile(
    rf"(?i:зовут|зовите|обращайтесь к|с уважением,?|меня зовут)\s+(?P<name>{_CAP}(?:\s{_CAP}){{0,2}})(?!\w)"
)
_WORD = re.compile(r"[\u0400-\u04ff]+(?:-[\u0400-\u04ff]+)*")
_MOST_KEPT = 16_384
"""Words of which is kept whether they are given names: some 2 MB."""
_SHORTEST_STEM = 3
_NAME_ENDINGS = ("", "а", "я", "й", "ь")
_CASE_ENDINGS = ("", "а", "у", "ом", "ем", "е", "ы", "и", "ой", "ей", "ю", "я")


def has_russian(text: str) -> bool:
    """Whether a text holds a Cyrillic word."""
    return bool(_CYRILLIC.search(text))


@dataclass(frozen=True, slots=True)
class _Seen:
    start: int
    end: int


class RussianNames:
    """Finds names in Russian text; threads may share one.

    `folder` holds Slovnet's model, Navec's vectors and Natasha's list of given names, as `models pull` leaves them.
    """

    def __init__(self, folder: Path) -> None:
        self._recogniser = SlovnetPeople(
            folder / "model/slovnet_ner_news_v1.tar", folder / "emb/navec_news_v1_1B_250K_300d_100q.tar"
        )
        self._given = frozenset((folder / "dict/first.txt").read_text(encoding="utf-8").split())
        self._is_given_name = lru_cache(_MOST_KEPT)(self._stands_in_list)

    def find(self, text: str) -> list[Name]:
        """The names in a text."""
        return self.find_many([text])[0]

    def find_many(self, texts: Sequence[str]) -> list[list[Name]]:
        """The names in each text; what it says of a text never depends on another."""
        seen = self._recogniser.find(texts)
        # Where capitals tell nothing, only names with a given name or a patronymic are believed.
        headed = [at for at, text in enumerate(texts) if _without_capitals(text) and self._holds_first_name(text)]
        headed = [at for at in headed if len(texts[at].title()) == len(texts[at])]
        seen_headed = dict(zip(headed, self._recogniser.find([texts[at].title() for at in headed]), strict=True))
        return [
            sorted(
                [
                    *self._by_rules(text),
                    *(_name(*span, 0.7, "entity recogniser") for span in seen[at]),
                    *self._by_first_names(text, seen_headed.get(at, ())),
                ],
                key=lambda name: name.start,
            )
            for at, text in enumerate(texts)
        ]

    def _by_rules(self, text: str) -> Iterator[Name]:
        for match in _WITH_INITIALS.finditer(text):
            if not _NO_INITIALS.match(match[0]) or match[0].count(".") > 1:
                yield _name(*match.span(), 0.8, "initials")
        for pattern in (_TITLED, _CALLED):
            for match in pattern.finditer(text):
                yield _name(*match.span("name"), 0.85, "title")
        yield from self._around_given_names(text)

    def _around_given_names(self, text: str) -> Iterator[Name]:
        """A patronymic with the given name before it, and family names beside these, whatever letters are capitals."""
        words = [_Seen(*match.span()) for match in _WORD.finditer(text)]
        tell = not _without_capitals(text)

        def capital(word: _Seen) -> bool:
            return tell and text[word.start].isupper()

        for at, word in enumerate(words):
            if not _PATRONYMIC.fullmatch(text, word.start, word.end):
                continue
            first = last = at
            if at and self._is_given(text, words[at - 1]) and _touch(text, words[at - 1], word):
                first = at - 1
            elif not capital(word):
                continue  # Words in small letters end like patronymics, too.
            if (
                first
                and _touch(text, words[first - 1], words[first])
                and (capital(words[first - 1]) or _has_surname_ending(text, words[first - 1]))
            ):
                first -= 1
            after = words[at + 1] if at + 1 < len(words) else None
            if after and _touch(text, word, after) and (capital(after) or _has_surname_ending(text, after)):
                last += 1
            yield _name(words[first].start, words[last].end, 0.85, "patronymic")
        for left, right in pairwise(words):
            if _touch(text, left, right) and (self._is_full(text, left, right) or self._is_full(text, right, left)):
                yield _name(left.start, right.end, 0.7, "given name")

    def _is_full(self, text: str, given: _Seen, family: _Seen) -> bool:
        return _has_surname_ending(text, family) and self._is_given(text, given)

    def _by_first_names(self, text: str, seen: Sequence[tuple[int, int]]) -> Iterator[Name]:
        """What the recogniser saw in a heading, where a given name or a patronymic is in it."""
        for start, end in seen:
            if self._holds_first_name(text, start, end):
                yield _name(start, end, 0.6, "entity recogniser")

    def _holds_first_name(self, text: str, start: int = 0, end: int | None = None) -> bool:
        inside = (_Seen(*match.span()) for match in _WORD.finditer(text, start, len(text) if end is None else end))
        return any(self._is_given(text, word) or _PATRONYMIC.fullmatch(text, word.start, word.end) for word in inside)

    def _is_given(self, text: str, word: _Seen) -> bool:
        """Whether a word is a given name, in any case."""
        return self._is_given_name(text[word.start : word.end].lower())

    def _stands_in_list(self, word: str) -> bool:
        """Whether the list of given names has a word: as it is, or with the ending of another case."""
        if word in self._given:
            return True
        stems = {word.removesuffix(ending) for ending in _CASE_ENDINGS}
        return any(
            stem + ending in self._given for stem in stems for ending in _NAME_ENDINGS if len(stem) >= _SHORTEST_STEM
        )


def _has_surname_ending(text: str, word: _Seen) -> bool:
    return bool(_SURNAME_ENDING.search(text, word.start, word.end))


def _touch(text: str, left: _Seen, right: _Seen) -> bool:
    return text[left.end : right.start] in {" ", "  "}


def _without_capitals(text: str) -> bool:
    """Whether capitals tell nothing: there are none, or there is nothing else."""
    return not any(map(str.isupper, text)) or not any(map(str.islower, text))


def _name(start: int, end: int, score: float, evidence: str) -> Name:
    return Name(start, end, score, evidence, frozenset())
