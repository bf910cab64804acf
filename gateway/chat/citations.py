"""How an answer's sentences name their sources."""

import re
from collections.abc import Sequence

from gateway.chat.schemas import CheckedSentence, Citation
from gateway.chat.sentences import split_sentences
from gateway.chat.support import SupportedSentence
from gateway.reading import Reader
from retrieval.retriever import FoundPassage

_LIST = r"\d+(?:\s*(?:,|and|&)\s*\d+)*"
_MARKER = re.compile(
    rf"\s*(?:\[(?:passages?\s*)?{_LIST}(?:: not confirmed)?\]|\((?:see\s+)?passages?\s*{_LIST}\))", re.IGNORECASE
)
_OURS = re.compile(r"\s*\[\d+(?:: not confirmed)?\]")
_TAG = re.compile(r"</?passage[^>]*>", re.IGNORECASE)


def strip_markers(text: str) -> str:
    """An answer without the source marks a model writes by itself: ours are checked, its are not."""
    return _TAG.sub("", _MARKER.sub("", text)).strip()


def shorten(text: str, most_words: int) -> str:
    """The first sentences that fit the words; a first sentence that is longer by itself is cut at a word."""
    kept: list[str] = []
    for sentence in split_sentences(text):
        if len(" ".join([*kept, sentence]).split()) > most_words:
            break
        kept.append(sentence)
    return "\n".join(kept) if kept else " ".join(text.split()[:most_words])


def mark_sentence(sentence: SupportedSentence, number: int) -> str:
    """The sentence with its source's number, or with a warning that the source does not say it."""
    return f"{sentence.text} [{number}]" if sentence.supported else f"{sentence.text} [{number}: not confirmed]"


def findings(text: str, sentences: Sequence[SupportedSentence], numbers: Sequence[int]) -> list[CheckedSentence]:
    """What was found of each sentence, with its text as it stands between the marks of the answer that leaves.

    From the finished text, never from the draft: what was hidden or taken out there must not come back here.
    """
    shown = [piece.strip() for piece in _OURS.split(text)]
    if len(shown) <= len(sentences):
        shown = [""] * len(sentences)
    return [
        CheckedSentence(piece, number, sentence.supported, str(sentence.reason or ""))
        for piece, sentence, number in zip(shown, sentences, numbers, strict=False)
    ]


def cite(passage: FoundPassage, number: int, reader: Reader, *, supported: bool) -> Citation:
    """The source as its reader sees it."""
    return Citation(
        n=number,
        source=passage.source,
        document=passage.document,
        path=reader.shown_path(passage),
        title=reader.shown_title(passage),
        url=reader.shown_url(passage),
        heading=reader.shown_heading(passage),
        page=passage.page,
        modified=passage.modified,
        text=reader.shown(passage),
        supported=supported,
    )
