"""A site's own redaction, made of its settings: kinds of personal data it adds, and words that are no people.

Settings are read strictly: what cannot be understood, or could slow reading down, is refused with its place, so that a
service never starts with a rule that quietly finds nothing.
"""

import hashlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import msgspec
from msgspec import structs

from policies.errors import RedactionSettingsError
from policies.personal_data import EntityType, KnownTypes, MentionType, Sensitivity, SiteType, Span
from policies.redaction import checksums
from policies.redaction.options import RedactionOptions, TypeOptions
from policies.redaction.phrases import Phrases, words_of_phrase
from policies.redaction.rules import digits_of
from policies.redaction.site_patterns import Finder, context_finder, pattern_finder

_NAME = re.compile(r"[A-Z][A-Z0-9_]{1,39}")
_CONTEXT_CHARS = 60
_MOST_TYPES = 100
"""Each is looked for in every segment of every text."""
_MOST_WORDS = 100_000
_LARGEST_FILE_BYTES = 10_000_000
_FEWEST_DIGITS = 2
_NOTHING = RedactionOptions()


def _of_digits(check: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda value: len(digits := digits_of(value)) >= _FEWEST_DIGITS and check(digits)


def _of_letters_and_digits(check: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda value: check("".join(c for c in value if c.isascii() and c.isalnum()))


CHECKSUMS: dict[str, Callable[[str], bool]] = {
    "ean": _of_digits(checksums.ean),
    "iban": _of_letters_and_digits(checksums.iban),
    "luhn": _of_digits(checksums.luhn),
    "mod97": _of_letters_and_digits(checksums.mod97),
}
"""Those that fit values of any shape, each given the value without what divides it."""


@dataclass(frozen=True, slots=True)
class SiteRecogniser:
    """Finds values of a kind that a site added: where `finder` says, if `accepts` and the words around do, too."""

    type: SiteType
    sensitivity: Sensitivity
    name: str
    finder: Finder
    score: float
    accepts: Callable[[str], bool] = bool
    near: Callable[[str], bool] | None = None

    def find(self, text: str, begin: int) -> Iterator[Span]:
        """Spans in `text` from `begin` on; what stands before serves as context.

        Raises:
            RedactionFailedError: A pattern did not finish in time.
        """
        for start, end in self.finder(text):
            if end > begin and self.accepts(text[start:end]) and self._is_near(text, start, end):
                yield Span(max(start, begin), end, self.type, self.score, self.name)

    def _is_near(self, text: str, start: int, end: int) -> bool:
        return self.near is None or self.near(text[max(0, start - _CONTEXT_CHARS) : end + _CONTEXT_CHARS])


@dataclass(frozen=True)
class SiteRedaction:
    """What a site adds. `digest` changes with all of it, and is empty where nothing is added.

    `told` is what it was made of, with the words of files in their place: who is told it need not read files again.
    """

    clear_words: tuple[str, ...] = ()
    recognisers: tuple[SiteRecogniser, ...] = ()
    also: frozenset[MentionType] = frozenset()
    digest: str = field(default="", compare=False)
    told: RedactionOptions = field(default=_NOTHING, compare=False)

    @cached_property
    def types(self) -> KnownTypes:
        """The kinds of personal data there are with these."""
        own = {each.type: each.sensitivity for each in self.recognisers}
        also = {SiteType(kind.value): Sensitivity.CONTACT for kind in sorted(self.also)}
        return KnownTypes(tuple((own | also).items()))

    @cached_property
    def clear_phrases(self) -> Phrases:
        """Where `clear_words` of several words stand."""
        return Phrases(word for word in self.clear_words if len(words_of_phrase(word)) > 1)


def read_site(options: RedactionOptions, home: Path) -> SiteRedaction:
    """The site's own redaction; files of words are looked for in `home`.

    Raises:
        RedactionSettingsError: A setting cannot be used; the text says which, why, and what to do.
    """
    if not options.clear_words and not options.types and not options.also:
        return SiteRedaction()
    for word in options.clear_words:
        _require_word("redaction.clear_words", word)
    if len(options.types) > _MOST_TYPES:
        message = f"redaction.types: there are more than {_MOST_TYPES} types. Put alike ones into one."
        raise RedactionSettingsError(message)
    digest = hashlib.sha256(
        msgspec.json.encode((options.clear_words, options.types, sorted(set(options.also))), order="deterministic")
    )
    recognisers: list[SiteRecogniser] = []
    told: list[TypeOptions] = []
    for number, each in enumerate(options.types):
        _require_name(number, each.name, {earlier.name for earlier in options.types[:number]})
        from_file = _file_words(each, home) if each.words_file else ()
        digest.update("\n".join(("", *from_file)).encode())
        told.append(structs.replace(each, words=(*each.words, *from_file), words_file=""))
        recognisers += _recognisers(told[-1])
    return SiteRedaction(
        options.clear_words,
        tuple(recognisers),
        frozenset(options.also),
        digest.hexdigest(),
        structs.replace(options, types=tuple(told)),
    )


def _recognisers(options: TypeOptions) -> list[SiteRecogniser]:
    words = options.words
    if not options.pattern and not words:
        raise _wrong(options, "pattern", "there is neither a pattern nor words nor a words_file. Add one of them")
    if not 0 < options.score <= 1 or math.isnan(options.score):
        raise _wrong(options, "score", f"{options.score} is no score. Write one above 0 and up to 1")
    if options.checksum and not options.pattern:
        raise _wrong(options, "checksum", "only values of a pattern have a checksum. Add a pattern, or take it out")
    if options.checksum and options.checksum not in CHECKSUMS:
        raise _wrong(
            options, "checksum", f"there is no checksum {options.checksum!r}. There are {', '.join(CHECKSUMS)}"
        )
    for word in options.context:
        _require_word(_place(options, "context"), word)
    near = context_finder(options.context) if options.context else None
    kind, sensitivity, score = SiteType(options.name), options.sensitivity, options.score
    made: list[SiteRecogniser] = []
    if options.pattern:
        accepts = CHECKSUMS.get(options.checksum, bool)
        made.append(SiteRecogniser(kind, sensitivity, "site, pattern", _finder(options), score, accepts, near))
    if words:
        for word in words:
            _require_word(_place(options, "words"), word)
        if len(words) > _MOST_WORDS:
            raise _wrong(options, "words", f"there are more than {_MOST_WORDS} words. Make several types of them")
        made.append(SiteRecogniser(kind, sensitivity, "site, words", Phrases(words).find, score, near=near))
    return made


def _finder(options: TypeOptions) -> Finder:
    try:
        return pattern_finder(options.pattern)
    except ValueError as error:
        raise _wrong(options, "pattern", f"{options.pattern!r} is refused: {error}") from error


def _file_words(options: TypeOptions, home: Path) -> tuple[str, ...]:
    """The words of a file: one on each line, without empty lines and those that begin with #."""
    path = home / options.words_file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _wrong(options, "words_file", f"{path} cannot be read: {error.strerror}") from error
    if len(content) > _LARGEST_FILE_BYTES:
        raise _wrong(options, "words_file", f"{path} is larger than {_LARGEST_FILE_BYTES} bytes. Split it")
    try:
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise _wrong(options, "words_file", f"{path} is not UTF-8 text. Convert it") from error
    words = tuple(line for line in lines if line and not line.startswith("#"))
    if not words:
        raise _wrong(options, "words_file", f"{path} has no words, so nothing would be found. Write one on each line")
    return words


def _require_name(number: int, name: str, earlier: set[str]) -> None:
    wrong = ""
    if not _NAME.fullmatch(name):
        wrong = "is no name of a type. Write 2 to 40 capital letters, digits and _, a letter first"
    elif name in {*EntityType, *MentionType}:
        wrong = "is a built-in type, which cannot be changed. Choose another name"
    elif name in earlier:
        wrong = "stands there twice. Put both into one: a type may have a pattern and words"
    if wrong:
        message = f"redaction.types[{number}].name: {name!r} {wrong}."
        raise RedactionSettingsError(message)


def _require_word(place: str, word: str) -> None:
    if not words_of_phrase(word):
        message = f"{place}: {word!r} has no letter and no digit. Take it out."
        raise RedactionSettingsError(message)


def _place(options: TypeOptions, key: str) -> str:
    return f"redaction.types, {options.name}, {key}"


def _wrong(options: TypeOptions, key: str, why: str) -> RedactionSettingsError:
    return RedactionSettingsError(f"{_place(options, key)}: {why}.")
