"""Find personal data: normalise, cut into segments, ask rules, Presidio and the entity recogniser, join the spans.

A segment is judged by itself, by a short look-back and by the names that stood before it, never by what follows;
so a text that arrives in pieces gives the same spans as the whole (`streaming.py`).
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from policies.errors import RedactionFailedError, TextTooLongError
from policies.offline import switch_off
from policies.personal_data import EntityType, KnownTypes, MentionType, Span
from policies.redaction import addresses, credentials, handles, identifiers, mentions, numbers, phones, rules
from policies.redaction.candidates import Entity
from policies.redaction.lexicon import Lexicon
from policies.redaction.names import Name, find_names, may_depend_on_entities, may_hold_names
from policies.redaction.normalise import View, codes, joined, normalise, prose, seen, without_addresses, without_links
from policies.redaction.placeholders import placeholders_of
from policies.redaction.russian import RussianNames, has_russian
from policies.redaction.segments import segments
from policies.redaction.site import SiteRedaction
from policies.redaction.spans import union
from policies.redaction.words import Word, usual_case, words_of

MAX_TEXT_CHARS = 4_000_000
"""A longer text is refused, since it would take minutes; a long book has about a million characters."""

_LOOK_BACK_CHARS = 100
_BATCH = 256
_DIGIT = re.compile(r"\d")
# No word is this long. Encoded data are, and whatever they hold is hidden unread, since patterns are slow on them.
# Links are too, and are read up to some two thousand characters.
_UNBROKEN = re.compile(r"[^\s\u3001\u3002\uff0c]{300,}")
_LONGEST_LINK_SEGMENTS = 5
_LINK_TO_THE_END = re.compile(r"://\S*\Z")
_SPELT_OUT = re.compile(r"\bat\b\W|\s@|@\s", re.IGNORECASE)
_DOT = r"\s?[(\[{]\s?dot\s?[)\]}]\s?|\sdot\s"
_SPELT_OUT_EMAILS = (
    rules.Rule(
        "e-mail, spelt out",
        EntityType.EMAIL_ADDRESS,
        re.compile(
            rf"\b[\w.+-]{{1,64}}\s?(?:(?:[(\[{{]\s?at\s?[)\]}}]\s?"
            rf"|\sat\s)[\w-]{{1,63}}(?:(?:{_DOT})[\w-]{{1,63}}){{1,4}}"
            rf"|[(\[{{]\s?at\s?[)\]}}]\s?[\w-]{{1,63}}(?:(?:\.|{_DOT})[\w-]{{1,63}}){{1,4}})\b",
            re.IGNORECASE,
        ),
        0.7,
    ),
    rules.Rule(
        "e-mail with blanks",
        EntityType.EMAIL_ADDRESS,
        re.compile(
            r"(?<![\w.+-])[\w+-]{1,64}(?:\.[\w+-]{1,64}){0,4}(?: {1,2}@ {1,2}"
            r"|@ {1,2})[A-Za-z0-9-]{1,63}(?: ?\. ?[A-Za-z0-9-]{2,63}){0,3}"
            r" ?\. ?[A-Za-z]{2,12}\b"
        ),
        0.7,
    ),
)

_T = TypeVar("_T")
_NO_SITE = SiteRedaction()
_NOTHING = View("", range(0), range(0))


@dataclass(frozen=True, slots=True)
class _Reading:
    """A segment in the forms that recognisers read.

    `nameable` says that a name may stand in it, `unsure` that the entity recogniser has a say in that; `encoded` that
    it holds encoded data, or nothing, and is not read; `in_link` counts the segments, this one included, of a link that
    goes on at its end.
    """

    text: str
    view: View
    codes: View
    prose: View
    words: list[Word]
    nameable: bool
    unsure: bool
    encoded: bool
    in_link: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What a scanner remembers of what it has read: the end of it, family names, and the segments of a link.

    `codes_before` is the end of it as codes are read; `cut_short` says that encoded data filled the segment before.
    """

    before: str = ""
    known: frozenset[str] = frozenset()
    in_link: int = 0
    codes_before: str = ""
    cut_short: bool = False


class Redactor:
    """Finds personal data in texts, without ever touching the network; threads may share one.

    `model_folder` holds a spaCy pipeline with an entity recogniser for English, `russian_folder` Natasha's for Russian;
    without it names in Cyrillic letters are found by chance only. `site` is what a site adds: kinds of personal data of
    its own, and words that are never taken for people.
    """

    def __init__(self, model_folder: Path, site: SiteRedaction = _NO_SITE, russian_folder: Path | None = None) -> None:
        self._folder = model_folder
        self._russian_folder = russian_folder
        self._site = site
        self.types: KnownTypes = site.types
        """The kinds of personal data that are looked for."""
        self._lock = threading.Lock()
        self._recognition: _Recognition | None = None

    def load(self) -> None:
        """Load model and recognisers, which takes seconds; later calls do nothing.

        Raises:
            RedactionFailedError: The model is missing or damaged.
        """
        self._loaded()

    def find(self, text: str) -> list[Span]:
        """The personal data in a text: spans in order that do not overlap.

        Raises:
            RedactionFailedError: It could not be looked for; the text must not be used.
        """
        return self.find_many([text])[0]

    def find_many(self, texts: Sequence[str]) -> list[list[Span]]:
        """`find` for many texts at once, which is faster.

        Raises:
            RedactionFailedError: In one of them it could not be looked for.
        """
        require_length(texts)
        recognition = self._loaded()
        return _closed(lambda: _find_many(recognition, texts, recognition.site.also))

    def recognise(self, texts: Sequence[str]) -> list[list[Span]]:
        """`find_many`, and all of `MentionType` too, whose types are not among `types` where they are not masked.

        Raises:
            RedactionFailedError: In one of them it could not be looked for.
        """
        require_length(texts)
        recognition = self._loaded()
        return _closed(lambda: _find_many(recognition, texts, frozenset(MentionType)))

    def close(self) -> None:
        """Let go of the model."""
        with self._lock:
            self._recognition = None

    def scanner(self, memory: Memory = Memory()) -> "Scanner":
        """A scanner for one text that arrives segment by segment, or for the rest of one.

        Raises:
            RedactionFailedError: The model is missing or damaged.
        """
        return Scanner(self._loaded(), memory)

    def _loaded(self) -> "_Recognition":
        with self._lock:
            if self._recognition is None:
                try:
                    self._recognition = _load(self._folder, self._russian_folder, self._site)
                except Exception as error:  # Whatever is wrong with it, nothing may pass unredacted.
                    folders = " and ".join(str(folder) for folder in (self._folder, self._russian_folder) if folder)
                    message = (
                        f"The models that find names could not be loaded from {folders}: {error}. Pull them again."
                    )
                    raise RedactionFailedError(message) from error
            return self._recognition


def require_length(texts: Sequence[str]) -> None:
    """Refuse what is longer than is ever searched.

    Raises:
        TextTooLongError: One of the texts is.
    """
    for text in texts:
        if len(text) > MAX_TEXT_CHARS:
            message = f"A text of {len(text):,} characters is too long to redact; split it below {MAX_TEXT_CHARS:,}."
            raise TextTooLongError(message)


class Scanner:
    """Reads one text segment by segment, remembering what later segments are judged by."""

    def __init__(
        self, recognition: "_Recognition", memory: Memory = Memory(), also: frozenset[MentionType] | None = None
    ) -> None:
        self._recognition = recognition
        self._also = recognition.site.also if also is None else also
        self._before, self._known, self._in_link = memory.before, memory.known, memory.in_link
        self._codes_before, self._cut_short = memory.codes_before, memory.cut_short

    @property
    def memory(self) -> Memory:
        """What another scanner needs to go on from here."""
        return Memory(self._before, self._known, self._in_link, self._codes_before, self._cut_short)

    def find(self, segment: str) -> list[Span]:
        """The personal data in the next segment of the text, as `segments` cuts it.

        Raises:
            RedactionFailedError: It could not be looked for; the text must not be used.
        """
        return _closed(lambda: self._find(segment))

    def judge(self, reading: _Reading, entities: Sequence[Entity], russian: Sequence[Name]) -> list[Span]:
        """The spans of a segment, given what the entity recogniser says of its prose, and the Russian names in it."""
        lexicon = self._recognition.lexicon
        if reading.encoded:
            self._before = self._codes_before = ""
            self._cut_short = not reading.text[-1:].isspace()
            hidden = len(reading.text.rstrip()) if any(map(str.isalnum, reading.text)) else 0
            return [Span(0, hidden, EntityType.SECRET, 0.5, "encoded data")] if hidden else []
        found = self._found_by_rules(reading)
        if self._cut_short:
            found += _rest_of_code(reading.text)
        self._cut_short = False
        if reading.nameable:
            names = find_names(reading.prose.text, reading.words, entities, lexicon, self._known)
            for name in self._recognition.without_clear(names, reading.prose.text):
                self._known |= name.family
                found.append(_person(name, reading.prose))
        for name in self._recognition.without_clear(russian, reading.prose.text):
            found.append(_person(name, reading.prose))
        if self._also:
            found += self._mentions(reading, entities)
        self._before = (self._before + reading.view.text)[-_LOOK_BACK_CHARS:]
        self._codes_before = (self._codes_before + reading.codes.text)[-_LOOK_BACK_CHARS:]
        types = self._recognition.site.types
        return union(reading.text, _outside_placeholders(reading.text, found, self._recognition.placeholder), types)

    def _found_by_rules(self, reading: _Reading) -> list[Span]:
        ask = self._recognition
        found = [_moved(span, reading.view) for span in ask.streets(reading.view, self._before)]
        found += [_moved(span, reading.codes) for span in ask.patterns(reading.codes, self._codes_before)]
        if "<" in reading.view.text:  # What tags hold, such as the target of a link, is gone from the view of codes.
            found += [_moved(span, reading.view) for span in ask.patterns(reading.view, self._before)]
        if "\n" in reading.codes.text.strip():
            lines = joined(reading.codes)
            ends = [start for sign, start in zip(reading.codes.text, reading.codes.starts, strict=True) if sign == "\n"]
            across = [_moved(span, lines) for span in ask.broken(lines)]
            found += [span for span in across if _goes_on(reading.text, ends, span, found)]
        return found

    def _mentions(self, reading: _Reading, entities: Sequence[Entity]) -> list[Span]:
        by_rules = mentions.by_rules(reading.view.text, self._before, self._recognition.lexicon, self._also)
        by_entities = mentions.by_entities(reading.prose.text, reading.words, entities, self._also)
        return [_moved(span, reading.view) for span in by_rules] + [_moved(span, reading.prose) for span in by_entities]

    def _find(self, segment: str) -> list[Span]:
        reading = self._recognition.read(segment, in_link=self._in_link)
        self._in_link = reading.in_link
        text = reading.prose.text
        entities = self._recognition.entities([reading], self._also)
        russian = self._recognition.russian([reading])
        return self.judge(reading, entities.get(text, []), russian.get(text, []))


class _Recognition:
    """What `load` loads, and how to ask it."""

    def __init__(
        self,
        nlp: Any,
        lexicon: Lexicon,
        presidio: dict[str, Sequence[Any]],
        site: SiteRedaction,
        russian: RussianNames | None,
    ) -> None:
        self._nlp = nlp
        self._russian = russian
        self._presidio = presidio
        self._lock = threading.Lock()
        self.lexicon = lexicon
        self.site = site
        self.placeholder = placeholders_of(site.types)

    def read(self, segment: str, *, in_link: int) -> _Reading:
        """A segment in the forms that recognisers read; `in_link` is that of the segment before."""
        link = "://" in segment or 0 < in_link < _LONGEST_LINK_SEGMENTS
        if segment.isspace() or (_UNBROKEN.search(segment) and not link):
            return _Reading(
                segment, _NOTHING, _NOTHING, _NOTHING, [], nameable=False, unsure=False, encoded=True, in_link=0
            )
        goes_on = in_link and not any(map(str.isspace, segment))
        links = in_link + 1 if goes_on else int(bool(_LINK_TO_THE_END.search(segment)))
        view = normalise(segment)
        code = view if view.text.isascii() and "<" not in view.text else codes(seen(segment))
        read = prose(view)
        words = words_of(read.text, self.lexicon)
        cased = usual_case(read.text, words)
        if cased != read.text:
            read = View(cased, read.starts, read.ends)
            words = words_of(cased, self.lexicon)
        nameable = may_hold_names(read.text, words)
        unsure = nameable and may_depend_on_entities(read.text, words, self.lexicon)
        return _Reading(
            segment, view, code, read, words, nameable=nameable, unsure=unsure, encoded=False, in_link=links
        )

    def read_all(self, segments_of_text: Iterable[str]) -> list[_Reading]:
        """The segments of one text in order."""
        readings: list[_Reading] = []
        for segment in segments_of_text:
            readings.append(self.read(segment, in_link=readings[-1].in_link if readings else 0))
        return readings

    def entities(self, readings: Sequence[_Reading], also: frozenset[MentionType]) -> dict[str, list[Entity]]:
        """What the entity recogniser says of each distinct prose in which it has a say, or finds one of `also`."""
        every = not also.isdisjoint(mentions.ENTITY_KINDS)
        texts = sorted({reading.prose.text for reading in readings if reading.unsure or every}, key=len)
        found: dict[str, list[Entity]] = {}
        while texts:
            batch, texts = texts[:_BATCH], texts[_BATCH:]
            # A lock per batch lets a question in between while documents are read; the zone frees what the batch
            # added to spaCy's string store, which otherwise grows for ever.
            with self._lock, self._nlp.memory_zone():
                whole = [text.encode("utf-8", "replace").decode() for text in batch]  # Half characters fail spaCy.
                for text, document in zip(batch, self._nlp.pipe(whole), strict=True):
                    found[text] = [
                        Entity(entity.start_char, entity.end_char, entity.label_) for entity in document.ents
                    ]
        return found

    def without_clear(self, names: Sequence[Name], text: str) -> list[Name]:
        """The names that are no part of a phrase which the site calls nobody's name."""
        clear = list(self.site.clear_phrases.find(text)) if names else []
        return [name for name in names if not any(start <= name.start and name.end <= end for start, end in clear)]

    def russian(self, readings: Sequence[_Reading]) -> dict[str, list[Name]]:
        """The names in each distinct prose that holds Russian."""
        if self._russian is None:
            return {}
        texts = list(dict.fromkeys(reading.prose.text for reading in readings if has_russian(reading.prose.text)))
        return dict(zip(texts, self._russian.find_many(texts), strict=True))

    def patterns(self, view: View, before: str) -> list[Span]:
        """What rules and Presidio find in a segment after `before`; offsets are those of the view."""
        text, begin = before + view.text, len(before)
        found: list[Span] = []
        if "@" in view.text:
            found += self._ask_presidio("at", credentials.without_logins(text), begin)
        if handles.HINTS.search(view.text):
            found += rules.apply(handles.RULES, text, begin)
            found += rules.apply(handles.PROFILES, text, begin)
        if _SPELT_OUT.search(view.text):
            found += rules.apply(_SPELT_OUT_EMAILS, text, begin)
        if credentials.HINTS.search(text):
            found += rules.apply(credentials.RULES, text, begin)
            found += rules.apply(credentials.OUTSIDE_LINKS, without_links(text), begin)
        if _DIGIT.search(view.text):
            found += self._ask_presidio("digit", text, begin)
            bare = before + without_addresses(view)
            found += rules.apply(identifiers.RULES, bare, begin)
            found += numbers.find_numbers(bare, begin)
            found += phones.find_phones(bare, begin)
        for recogniser in self.site.recognisers:
            found += recogniser.find(text, begin)
        return _counted_from(begin, found)

    def streets(self, view: View, before: str) -> list[Span]:
        """The postal addresses of a segment after `before`; offsets are those of the view."""
        chosen: tuple[rules.Rule, ...] = addresses.RULES if _DIGIT.search(view.text) else ()
        chosen += addresses.WITHOUT_DIGITS if addresses.HINTS.search(view.text) else ()
        if not chosen:
            return []
        return _counted_from(len(before), rules.apply(chosen, before + without_addresses(view), len(before)))

    def broken(self, lines: View) -> list[Span]:
        """What stands in a segment whose lines were joined: e-mail addresses and secrets, which have no blanks."""
        found: list[Span] = []
        if "@" in lines.text:
            found += self._ask_presidio("at", lines.text, 0)
        if credentials.HINTS.search(lines.text):
            found += rules.apply(credentials.PREFIXED, lines.text, 0)
        return found

    def _ask_presidio(self, needs: str, text: str, begin: int) -> Iterator[Span]:
        return (span for recogniser in self._presidio[needs] for span in recogniser.find(text, begin))


def _load(folder: Path, russian_folder: Path | None, site: SiteRedaction) -> _Recognition:
    switch_off()
    # Here, not above: these imports take seconds, and a command that redacts nothing should not wait for them.
    import spacy  # noqa: PLC0415
    from spacy.lookups import Lookups  # noqa: PLC0415

    from policies.redaction.recognisers import load_recognisers  # noqa: PLC0415

    # The entity recogniser has its own vectors; the other parts would cost as much again and are not asked.
    nlp = spacy.load(folder, exclude=["tok2vec", "tagger", "parser", "senter", "attribute_ruler", "lemmatizer"])
    if nlp.pipe_names != ["ner"]:
        message = f"the pipeline has the parts {nlp.pipe_names}, not an entity recogniser alone"
        raise ValueError(message)
    lookups = Lookups().from_disk(folder / "lemmatizer" / "lookups")
    by_part_of_speech = lookups.get_table("lemma_index")
    dictionary = set(nlp.Defaults.stop_words).union(
        *by_part_of_speech.values(), *lookups.get_table("lemma_exc").values()
    )
    russian = RussianNames(russian_folder) if russian_folder else None
    lexicon = Lexicon(dictionary, site.clear_words, latin_only=russian is not None)
    return _Recognition(nlp, lexicon, load_recognisers(), site, russian)


def _find_many(recognition: _Recognition, texts: Sequence[str], also: frozenset[MentionType]) -> list[list[Span]]:
    cuts = [list(segments(text)) for text in texts]
    readings = [
        recognition.read_all(text[start:end] for start, end in ends) for text, ends in zip(texts, cuts, strict=True)
    ]
    together = [reading for of_text in readings for reading in of_text]
    entities, russian = recognition.entities(together, also), recognition.russian(together)
    found = []
    for ends, of_text in zip(cuts, readings, strict=True):
        scanner = Scanner(recognition, also=also)
        judged = (
            scanner.judge(reading, entities.get(reading.prose.text, []), russian.get(reading.prose.text, []))
            for reading in of_text
        )
        found.append([_shifted(span, start) for (start, _), spans in zip(ends, judged, strict=True) for span in spans])
    return found


def _shifted(span: Span, by: int) -> Span:
    return Span(span.start + by, span.end + by, span.type, span.score, span.recogniser)


def _person(name: Name, view: View) -> Span:
    return _moved(Span(name.start, name.end, EntityType.PERSON, name.score, f"name, {name.evidence}"), view)


def _moved(span: Span, view: View) -> Span:
    start, end = view.original(span.start, span.end)
    return Span(start, end, span.type, span.score, span.recogniser)


def _rest_of_code(text: str) -> list[Span]:
    """What encoded data that filled the segment before goes on with, if it holds a digit as codes do."""
    rest = len(text) if not any(map(str.isspace, text)) else next(at for at, sign in enumerate(text) if sign.isspace())
    return [Span(0, rest, EntityType.SECRET, 0.5, "encoded data")] if any(map(str.isdigit, text[:rest])) else []


def _counted_from(begin: int, found: Iterable[Span]) -> list[Span]:
    return [_shifted(span, -begin) for span in found]


def _goes_on(text: str, line_ends: Sequence[int], span: Span, found: Sequence[Span]) -> bool:
    """Whether a span goes on over the end of a line, and what stands after it is part of the code, not a new word."""
    at = next((at for at in line_ends if span.start <= at < span.end), -1)
    if at < 0:
        return False
    known = [other for other in found if other.start < span.end and span.start < other.end]
    if span.type is EntityType.EMAIL_ADDRESS:  # The end of one is told by its domain, the beginning of one by nothing.
        return not any(other.start > at for other in known)
    found_before = any(other.recogniser == span.recogniser for other in known)
    return not found_before or any(map(str.isdigit, text[at + 1 : span.end]))


def _outside_placeholders(text: str, found: Sequence[Span], placeholder: re.Pattern[str]) -> list[Span]:
    """What of the spans stands outside placeholders, which hold no personal data."""
    kept = [(match.start(), match.end()) for match in placeholder.finditer(text)]
    if not kept:
        return list(found)
    gaps = zip([0, *(end for _, end in kept)], [*(start for start, _ in kept), len(text)], strict=True)
    pieces = [(max(span.start, start), min(span.end, end), span) for start, end in gaps for span in found]
    return [
        Span(start, end, span.type, span.score, span.recogniser)
        for start, end, span in pieces
        if start < end and any(map(str.isalnum, text[start:end]))
    ]


def _closed(work: Callable[[], _T]) -> _T:
    """The result of the work; any failure becomes one that stops the caller."""
    try:
        return work()
    except RedactionFailedError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever breaks, the text must not pass.
        message = (
            f"Personal data could not be looked for ({type(error).__name__}), so the text was not used. Try again."
        )
        raise RedactionFailedError(message) from None  # What broke may quote the text, and tracebacks are logged.
