"""Guard an answer while it streams: put permitted values back, hide personal data, never show half of either.

The guard holds back the segment it is in (`segments.py`: a sentence, at most 400 characters) and no more; what it
lets out is the same however the text was cut into chunks. Links, images and HTML are the output policy's business.
"""

from collections import Counter

from policies.errors import RedactionFailedError
from policies.personal_data import Sensitivity, Span, SpanType
from policies.redaction.finder import Finder
from policies.redaction.placeholders import MayReveal, Pseudonyms, disarmed, hidden
from policies.redaction.segments import MAX_SEGMENT_CHARS, next_cut
from policies.redaction.spans import union


class StreamGuard:
    """Guards one answer; use a new one for each.

    `may_reveal` says which of the conversation's values this reader may see. `seen` is text that the reader has in
    view already, such as the passages as they were shown: names and contacts that stand in it are not hidden from
    the answer, sealed types are. Once looking for personal data has failed, nothing more comes out.
    """

    def __init__(self, pseudonyms: Pseudonyms, redactor: Finder, may_reveal: MayReveal, seen: str = "") -> None:
        self._pseudonyms = pseudonyms
        self._scanner = redactor.scanner()
        self._types = redactor.types
        self._may_reveal = may_reveal
        self._seen = seen
        self._held = ""
        self._failed = False
        self.hidden: Counter[SpanType] = Counter()
        """How many values of each type the model wrote itself and the reader did not get."""

    def feed(self, chunk: str) -> str:
        """Take the next piece of the model's text and give what may be shown of what was held back.

        Raises:
            RedactionFailedError: Personal data could not be looked for; the answer must end here.
        """
        self._held += chunk
        return self._let_out(final=False)

    def close(self) -> str:
        """The rest, after the last piece.

        Raises:
            RedactionFailedError: Personal data could not be looked for; the rest must not be shown.
        """
        return self._let_out(final=True)

    def _let_out(self, *, final: bool) -> str:
        shown = []
        while self._held and (cut := next_cut(self._held[: MAX_SEGMENT_CHARS + 1], final=final)):
            segment, self._held = self._held[:cut], self._held[cut:]
            shown.append(self._guarded(segment))
        return "".join(shown)

    def _guarded(self, segment: str) -> str:
        if self._failed:
            message = "Personal data could not be looked for in this answer, so the rest is not shown. Ask again."
            raise RedactionFailedError(message)
        self._failed = True  # Until the segment has passed, whatever happens in between.
        found = [*self._scanner.find(segment), *self._pseudonyms.known_in(segment)]
        spans = union(segment, found, self._types)
        pieces, done = [], 0
        for span in spans:
            pieces += [
                self._pseudonyms.restore(segment[done : span.start], self._may_reveal),
                self._shown(segment, span),
            ]
            done = span.end
        pieces.append(self._pseudonyms.restore(segment[done:], self._may_reveal))
        self._failed = False
        return "".join(pieces)

    def _shown(self, segment: str, span: Span) -> str:
        """A value that the model wrote itself, if the reader may see it or has it in view."""
        value = disarmed(segment[span.start : span.end])
        in_view = self._types.sensitivity(span.type) is Sensitivity.CONTACT and value in self._seen
        if in_view or self._pseudonyms.may_show(span.type, value, self._may_reveal):
            return value
        self.hidden[span.type] += 1
        return hidden(span.type)
