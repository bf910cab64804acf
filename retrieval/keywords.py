"""Keyword search (BM25) whose statistics come from what the asker may read, and from nothing else.

Document frequencies and lengths are kept per label and summed over the allowed ones at each question: a word's weight
never tells how often it stands in documents the asker may not see.
Scoring: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), with their usual
k1 and b, and the non-negative idf of Lucene.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

_K1 = 1.2
_B = 0.75


@dataclass
class _Segment:
    """The postings of one label."""

    postings: defaultdict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    lengths: dict[int, int] = field(default_factory=dict)
    total_length: int = 0


class KeywordIndex:
    """Term counts of passages by label. Not safe across threads: its owner holds a lock."""

    def __init__(self) -> None:
        self._segments: defaultdict[int, _Segment] = defaultdict(_Segment)

    def add(self, label_id: int, passage_id: int, counts: Mapping[str, int]) -> None:
        """Put a new passage into a label's segment."""
        segment = self._segments[label_id]
        for term, count in counts.items():
            segment.postings[term][passage_id] = count
        segment.lengths[passage_id] = length = sum(counts.values())
        segment.total_length += length

    def remove(self, label_id: int, passage_id: int, counts: Mapping[str, int]) -> None:
        """Take out a passage that was added with these counts."""
        segment = self._segments[label_id]
        for term in counts:
            del segment.postings[term][passage_id]
            if not segment.postings[term]:
                del segment.postings[term]
        segment.total_length -= segment.lengths.pop(passage_id)
        if not segment.lengths:
            del self._segments[label_id]

    def search(self, terms: Iterable[str], label_ids: Collection[int]) -> dict[int, float]:
        """The BM25 score of every allowed passage that holds one of the terms."""
        segments = [self._segments[label_id] for label_id in sorted(label_ids) if label_id in self._segments]
        passages = sum(len(segment.lengths) for segment in segments)
        if not passages:
            return {}
        mean_length = sum(segment.total_length for segment in segments) / passages or 1.0
        scores: defaultdict[int, float] = defaultdict(float)
        for term in sorted(set(terms)):
            held_by = sum(len(segment.postings.get(term, ())) for segment in segments)
            weight = math.log(1 + (passages - held_by + 0.5) / (held_by + 0.5)) * (_K1 + 1)
            for segment in segments:
                for passage_id, count in segment.postings.get(term, {}).items():
                    norm = _K1 * (1 - _B + _B * segment.lengths[passage_id] / mean_length)
                    scores[passage_id] += weight * count / (count + norm)
        return dict(scores)
