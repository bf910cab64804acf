"""What a reader is shown of a passage: names and contacts as they stand, sealed personal data masked.

Both search and answers show passages, so both ask here; the decision itself is Cedar's. What is revealed is counted for
the trail.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from policies.audit.events import PersonalDataRevealed
from policies.authorizer import Decider
from policies.context import RequestContext
from policies.decisions import Decision
from policies.labels import Label
from policies.personal_data import Span, SpanType
from policies.principals import Principal
from policies.redaction.placeholders import mask
from retrieval.retriever import FoundPassage

Revealed = Counter[tuple[Label, SpanType]]
"""How many values of each kind are shown, by the label they stand under."""

_MOST_URL_CHARACTERS = 2048
# Browsers drop line ends and tabs, take backslashes for slashes, and read what stands before an at-sign as a user.
_WEB_ADDRESS = re.compile(
    r"https?://[^\s/?#@\\<>\"'`\x00-\x20\x7f-\x9f]+(?:[/?#][^\s\\<>\"'`\x00-\x20\x7f-\x9f]*)?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Reader:
    """A principal looking at some passages; `decided` is what policy says of the kinds in these, by their labels."""

    principal: Principal
    context: RequestContext
    decided: Mapping[Label, Mapping[SpanType, Decision]]

    @classmethod
    def of(
        cls,
        passages: Collection[FoundPassage],
        authorizer: Decider,
        principal: Principal,
        context: RequestContext,
        also: Iterable[SpanType] = (),
    ) -> Self:
        """Decide once for all labels of these passages and all kinds of personal data that stand in them; `also` more.

        The more are those of a conversation: an answer may name what an earlier passage of the same label held.
        """
        kinds = {span.type for passage in passages for span in _spans(passage)}.union(also)
        labels = list(dict.fromkeys(passage.label for passage in passages)) if kinds else []
        decided = authorizer.decide_reveals(principal, sorted(kinds), labels, context) if labels else {}
        return cls(principal, context, decided)

    def shows(self, label: Label, kind: SpanType) -> bool:
        """Whether this reader may see a kind of personal data under a label; no, where it was not decided on."""
        decision = self.decided.get(label, {}).get(kind)
        return decision is not None and decision.allowed

    def counted(self, passages: Iterable[FoundPassage]) -> Revealed:
        """What is shown of personal data where these passages are."""
        return Counter(
            (passage.label, span.type)
            for passage in passages
            for span in _spans(passage)
            if self.shows(passage.label, span.type)
        )

    def entries(self, request: str, revealed: Revealed) -> list[PersonalDataRevealed]:
        """What the trail must hold before what was counted is shown: an entry for each label."""
        by_label: dict[Label, Counter[SpanType]] = {}
        for (label, kind), count in sorted(revealed.items(), key=lambda item: (item[0][0].digest, item[0][1])):
            by_label.setdefault(label, Counter())[kind] = count
        return [
            PersonalDataRevealed(
                request=request,
                principal=self.principal.id,
                purpose=self.context.purpose.value,
                label=label.digest,
                revealed={str(kind): count for kind, count in counts.items()},
                policies=tuple(sorted({rule for kind in counts for rule in self.decided[label][kind].policies})),
            )
            for label, counts in by_label.items()
        ]

    def shown(self, passage: FoundPassage) -> str:
        """The passage's text for this reader."""
        return self._shown(passage.text, passage.spans, passage.label)

    def shown_path(self, passage: FoundPassage) -> str:
        """The document's path for this reader: as it is in the source, unless sealed personal data stands in it."""
        return self._shown(passage.path, passage.path_spans, passage.label)

    def shown_url(self, passage: FoundPassage) -> str:
        """Where this reader may open the document on the web; empty where that is no plain web address.

        An address usually holds the path, so there is none where sealed personal data stands in that.
        """
        return web_address(passage.url) if self.shown_path(passage) == passage.path else ""

    def shown_title(self, passage: FoundPassage) -> str:
        """The document's title for this reader."""
        return self._shown(passage.title, passage.title_spans, passage.label)

    def shown_heading(self, passage: FoundPassage) -> str:
        """The passage's heading for this reader."""
        return self._shown(passage.heading, passage.heading_spans, passage.label)

    def _shown(self, text: str, spans: tuple[Span, ...], label: Label) -> str:
        return mask(text, spans, lambda span: self.shows(label, span.type))


def web_address(url: str) -> str:
    """An address that can be followed without harm: http or https, a host, no user name or password, nothing unseen.

    A connector gives addresses of its source; an author may have had a part in them.
    """
    if len(url) > _MOST_URL_CHARACTERS or not _WEB_ADDRESS.fullmatch(url):
        return ""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return ""
    return url if host else ""


def _spans(passage: FoundPassage) -> tuple[Span, ...]:
    return passage.path_spans + passage.title_spans + passage.heading_spans + passage.spans
