"""What a reader is shown of a passage: names and contacts as they stand, sealed personal data masked.

Both search and answers show passages, so both ask here; the decision itself is Cedar's.
"""

from dataclasses import dataclass, field

from policies.authorizer import Decider
from policies.context import RequestContext
from policies.labels import Label
from policies.personal_data import EntityType, Span
from policies.principals import Principal
from policies.redaction.placeholders import mask
from retrieval.retriever import FoundPassage


@dataclass(frozen=True, slots=True)
class Reader:
    """A principal looking at passages; asks the policy once for each label."""

    authorizer: Decider
    principal: Principal
    context: RequestContext
    _revealed: dict[Label, frozenset[EntityType]] = field(default_factory=dict)

    def revealed(self, label: Label) -> frozenset[EntityType]:
        """The kinds of personal data this reader may see in documents of a label."""
        if label not in self._revealed:
            decisions = self.authorizer.decide_reveal(self.principal, tuple(EntityType), label, self.context)
            self._revealed[label] = frozenset(type_ for type_, decision in decisions.items() if decision.allowed)
        return self._revealed[label]

    def shown(self, passage: FoundPassage) -> str:
        """The passage's text for this reader."""
        return self._shown(passage.text, passage.spans, passage.label)

    def shown_title(self, passage: FoundPassage) -> str:
        """The document's title for this reader."""
        return self._shown(passage.title, passage.title_spans, passage.label)

    def shown_heading(self, passage: FoundPassage) -> str:
        """The passage's heading for this reader."""
        return self._shown(passage.heading, passage.heading_spans, passage.label)

    def _shown(self, text: str, spans: tuple[Span, ...], label: Label) -> str:
        revealed = self.revealed(label)
        return mask(text, spans, lambda span: span.type in revealed)
