"""Parts of a document that fewer people may read than the rest, told by the heading they stand under.

Pure: a document is cut where its parts begin and end, before it is cut into passages, so that no passage holds text of
two parts. What a part's label says counts together with the document's, never instead of it.
"""

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from connectors.contract import Part
from policies.labels import Label
from retrieval.parsing.document import Block, BlockKind, ParsedDocument

Matched = tuple[str, ...]
"""The keys of the parts a piece of text belongs to, sorted; none for what everybody who may read the document may."""


def part_key(heading: str) -> str:
    """A heading as it is compared: case, width of letters and spacing do not matter."""
    return " ".join(unicodedata.normalize("NFKC", heading).casefold().split())


def part_keys(parts: Iterable[Part]) -> frozenset[str]:
    """The keys of some parts."""
    return frozenset(part_key(part.heading) for part in parts)


def cut_by_parts(document: ParsedDocument, keys: Collection[str]) -> list[tuple[Matched, ParsedDocument]]:
    """The document as stretches of one part each, in order; offsets stay those of the whole text."""
    if not keys:
        return [((), document)]
    stretches = groupby(document.blocks, lambda block: _matched(document.text, block, keys))
    return [(matched, replace(document, blocks=tuple(blocks))) for matched, blocks in stretches]


def document_label(label: Label, parts: Sequence[Part], present: Collection[str]) -> Label:
    """The label of a whole document: a part it must have and lacks restricts all of it."""
    return _within(label, (part for part in parts if not part.optional and part_key(part.heading) not in present))


def passage_label(document: Label, parts: Sequence[Part], matched: Collection[str]) -> Label:
    """The label of a passage: the document's, and those of all parts it stands in."""
    return _within(document, (part for part in parts if part_key(part.heading) in matched))


def _within(label: Label, parts: Iterable[Part]) -> Label:
    for part in parts:
        label = replace(part.label, source=label.source, within=label)
    return label


def _matched(text: str, block: Block, keys: Collection[str]) -> Matched:
    own = (text[block.start : block.end],) if block.kind is BlockKind.HEADING else ()
    return tuple(sorted({part_key(heading) for heading in (*block.headings, *own)} & set(keys)))
