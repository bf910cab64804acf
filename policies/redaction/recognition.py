"""What a segment holds in the eyes of each recogniser: rules, Presidio, the entity recogniser, Natasha's for Russian.

Each is asked only about what it could find something in; what is made of all they say is `scanner.py`'s.
"""

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.offline import switch_off
from policies.personal_data import EntityType, MentionType, Span
from policies.redaction import addresses, credentials, handles, identifiers, mentions, numbers, phones, rules
from policies.redaction.candidates import Entity
from policies.redaction.lexicon import Lexicon
from policies.redaction.names import Name, may_depend_on_entities, may_hold_names
from policies.redaction.normalise import View, codes, normalise, prose, seen, without_addresses, without_links
from policies.redaction.placeholders import placeholders_of
from policies.redaction.russian import RussianNames, has_russian
from policies.redaction.site import SiteRedaction
from policies.redaction.spans import shifted
from policies.redaction.words import Word, usual_case, words_of

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

_NOTHING = View("", range(0), range(0))


@dataclass(frozen=True, slots=True)
class Reading:
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


class Recognition:
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

    def read(self, segment: str, *, in_link: int) -> Reading:
        """A segment in the forms that recognisers read; `in_link` is that of the segment before."""
        link = "://" in segment or 0 < in_link < _LONGEST_LINK_SEGMENTS
        if segment.isspace() or (_UNBROKEN.search(segment) and not link):
            return Reading(
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
        return Reading(segment, view, code, read, words, nameable=nameable, unsure=unsure, encoded=False, in_link=links)

    def read_all(self, segments_of_text: Iterable[str]) -> list[Reading]:
        """The segments of one text in order."""
        readings: list[Reading] = []
        for segment in segments_of_text:
            readings.append(self.read(segment, in_link=readings[-1].in_link if readings else 0))
        return readings

    def entities(self, readings: Sequence[Reading], also: frozenset[MentionType]) -> dict[str, list[Entity]]:
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

    def russian(self, readings: Sequence[Reading]) -> dict[str, list[Name]]:
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


def load_recognition(folder: Path, russian_folder: Path | None, site: SiteRedaction) -> Recognition:
    """Load models and recognisers, which takes seconds."""
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
    return Recognition(nlp, lexicon, load_recognisers(), site, russian)


def _counted_from(begin: int, found: Iterable[Span]) -> list[Span]:
    return [shifted(span, -begin) for span in found]
