"""Values of people who were erased, known by keyed digests alone: found in texts, and never told.

A value is compared by its letters and digits as a reader sees them (`normalise.py`), in lower case and without what
stands between them: `Ada  BRANDT`, `ada-brandt` and `Ada&nbsp;Brandt` are one, and so are `+49 170 12 34` and
`+491701234`. It is found where whole words make it up, not within a longer word.
"""

import contextlib
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import phonenumbers

from policies.errors import ErasedValueError
from policies.redaction.normalise import View, codes, seen

ERASED = "[erased]"
"""What stands in the place of a value that was taken out."""
FEWEST_SIGNS, MOST_SIGNS = 4, 96
"""Letters and digits of a value: less is found everywhere, more is not looked for."""
_MOST_WORDS = 16
_BEGINS = "~"
"""What the digest of a value's beginning begins with."""
_FORMATS = (phonenumbers.PhoneNumberFormat.E164, phonenumbers.PhoneNumberFormat.NATIONAL)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Erased:
    """The values of people who were erased, by their digests under `key`."""

    key: bytes
    digests: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.digests)

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where such values stand in a text, in order and without overlap; the longest where several begin."""
        if not self.digests or not text:
            return []
        view = codes(seen(text))
        found: list[tuple[int, int]] = []
        for start, end in self._found(view):
            begin, finish = view.original(start, end)
            if found and begin < found[-1][1]:
                found[-1] = (found[-1][0], max(found[-1][1], finish))
            else:
                found.append((begin, finish))
        return found

    def is_in(self, *texts: str) -> bool:
        """Whether such a value stands in one of these."""
        return any(self.places(text) for text in texts)

    def masked(self, text: str) -> str:
        """The text with `[erased]` in the place of such values."""
        pieces: list[str] = []
        done = 0
        for start, end in self.places(text):
            pieces += (text[done:start], ERASED)
            done = end
        return "".join((*pieces, text[done:])) if pieces else text

    def _found(self, view: View) -> Iterator[tuple[int, int]]:
        words = [match.span() for match in _WORD.finditer(view.text)]
        folded = [view.text[start:end].casefold() for start, end in words]
        behind = 0
        for first in range(len(words)):
            if first >= behind and (last := self._last(folded, first)) is not None:
                behind = last + 1
                yield words[first][0], words[last][1]

    def _last(self, folded: list[str], first: int) -> int | None:
        """The last word of the longest value that begins with this word."""
        joined, found = "", None
        for last in range(first, min(len(folded), first + _MOST_WORDS)):
            joined += folded[last]
            if len(joined) > MOST_SIGNS:
                break
            if len(joined) < FEWEST_SIGNS:
                continue
            if beginning(self.key, joined[:FEWEST_SIGNS]) not in self.digests:
                break
            if digest(self.key, joined) in self.digests:
                found = last
        return found


def spellings_of_name(name: str) -> list[str]:
    """A name, and with its last word first, as lists have it."""
    *first, last = name.split() or [name]
    return [name, " ".join([last, *first])] if first else [name]


def spellings_of_phone(number: str) -> list[str]:
    """A telephone number, and one that begins with its country as it is dialled within it."""
    spellings = [number]
    with contextlib.suppress(phonenumbers.NumberParseException):
        parsed = phonenumbers.parse(number, None)
        spellings += [phonenumbers.format_number(parsed, kind) for kind in _FORMATS]
        spellings.append(f"00{parsed.country_code} {parsed.national_number}")
    return spellings


def signs(value: str) -> str:
    """What a value is compared by."""
    return "".join(_WORD.findall(codes(seen(value)).text)).casefold()


def digest(key: bytes, compared: str) -> str:
    """The keyed digest of what a value is compared by."""
    return hmac.digest(key, compared.encode(errors="surrogatepass"), hashlib.sha256)[:16].hex()


@lru_cache(maxsize=200_000)
def beginning(key: bytes, signs_: str) -> str:
    """The keyed digest of how a value begins: words are few, so that almost all of a text is passed over at once."""
    return _BEGINS + hmac.digest(key, f"{_BEGINS}{signs_}".encode(errors="surrogatepass"), hashlib.sha256)[:4].hex()


def digests_of(key: bytes, values: Iterable[str]) -> tuple[str, ...]:
    """The digests of values and of how they begin, for `Erased`, without those that say the same.

    Raises:
        ErasedValueError: One is too short, so that it would be found everywhere, or longer than what is looked for.
    """
    compared = {_checked(value) for value in values}
    begins = {beginning(key, one[:FEWEST_SIGNS]) for one in compared}
    return tuple(sorted({digest(key, one) for one in compared} | begins))


def _checked(value: str) -> str:
    compared = signs(value)
    words = len(_WORD.findall(codes(seen(value)).text))
    if not FEWEST_SIGNS <= len(compared) <= MOST_SIGNS or words > _MOST_WORDS:
        message = (
            f"{value!r} cannot be looked for: a value has {FEWEST_SIGNS} to {MOST_SIGNS} letters and digits, and at "
            f"most {_MOST_WORDS} words. Shorter ones would be found everywhere; write more of it."
        )
        raise ErasedValueError(message)
    return compared


def forget_values(dumped: dict[str, Any], erased: Erased) -> int:
    """Take values out of what `Pseudonyms.dump` gave, in place; returns of how many placeholders.

    They keep their numbers, so that none is given twice, and stand for nothing any more.
    """
    forgotten = [entry for entry in dumped["entries"] if erased.is_in(entry["key"], *entry["spellings"])]
    for entry in forgotten:
        entry["key"], entry["spellings"] = ERASED, {ERASED: []}
    return len(forgotten)
