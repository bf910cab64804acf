"""Find personal data: normalise, cut into segments, ask rules, Presidio and the entity recogniser, join the spans.

What recognisers say is `recognition.py`'s, what is made of it `scanner.py`'s.
"""

import threading
from collections.abc import Sequence
from pathlib import Path

from policies.errors import RedactionFailedError, TextTooLongError
from policies.personal_data import KnownTypes, MentionType, Span
from policies.redaction.recognition import Recognition, load_recognition
from policies.redaction.scanner import NOTHING_READ, Memory, Scanner, closed
from policies.redaction.segments import segments
from policies.redaction.site import SiteRedaction
from policies.redaction.spans import shifted

MAX_TEXT_CHARS = 4_000_000
"""A longer text is refused, since it would take minutes; a long book has about a million characters."""

_NO_SITE = SiteRedaction()


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
        self._recognition: Recognition | None = None

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
        return closed(lambda: _find_many(recognition, texts, recognition.site.also))

    def recognise(self, texts: Sequence[str]) -> list[list[Span]]:
        """`find_many`, and all of `MentionType` too, whose types are not among `types` where they are not masked.

        Raises:
            RedactionFailedError: In one of them it could not be looked for.
        """
        require_length(texts)
        recognition = self._loaded()
        return closed(lambda: _find_many(recognition, texts, frozenset(MentionType)))

    def close(self) -> None:
        """Let go of the model."""
        with self._lock:
            self._recognition = None

    def scanner(self, memory: Memory = NOTHING_READ) -> "Scanner":
        """A scanner for one text that arrives segment by segment, or for the rest of one.

        Raises:
            RedactionFailedError: The model is missing or damaged.
        """
        return Scanner(self._loaded(), memory)

    def _loaded(self) -> Recognition:
        with self._lock:
            if self._recognition is None:
                try:
                    self._recognition = load_recognition(self._folder, self._russian_folder, self._site)
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


def _find_many(recognition: Recognition, texts: Sequence[str], also: frozenset[MentionType]) -> list[list[Span]]:
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
        found.append([shifted(span, start) for (start, _), spans in zip(ends, judged, strict=True) for span in spans])
    return found
