"""What questions and searches of the past would show under a proposed bundle."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from policies.audit.events import PassagesRetrieved, QuestionAsked, SearchAsked
from policies.audit.people import Names
from policies.audit.places import TrailPlace
from policies.audit.reader import Entry, EntryQuery, read_entries
from policies.authorizer import Authorizer
from policies.context import OTHER_NETWORK, Channel, Purpose, RequestContext
from policies.decisions import Decision
from policies.labels import Label
from policies.principals import Principal

Advance = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""
MOST_LISTED = 200
"""Changes listed one by one; the totals count all."""
_PAGE = 2000
"""Entries of the trail held at once."""


class LostPassages(msgspec.Struct, frozen=True):
    """A question or search of the past that would no longer show all that it showed."""

    request: str
    at: datetime
    principal: str
    documents: list[str]
    policies: list[str]


class Replay(msgspec.Struct, frozen=True):
    """What questions and searches of the past would show; counts are of requests, but for `passages`.

    `already_lost` have passages that the policies in force would not show either; `not_replayable` are of users or
    labels that are gone.
    """

    requests: int
    passages: int
    losing: int
    already_lost: int
    not_replayable: int
    lost: list[LostPassages]


@dataclass(slots=True)
class _Replaying:
    """What replaying has found so far, and what it has decided already."""

    before: Authorizer
    after: Authorizer
    labels: Mapping[int, Label]
    numbers: Mapping[str, int]
    counted: Counter[str] = field(default_factory=Counter)
    lost: list[LostPassages] = field(default_factory=list)
    decided: dict[tuple[str, RequestContext], tuple[dict[int, Decision], dict[int, Decision]]] = field(
        default_factory=dict
    )

    def replay(self, entry: Entry, principal: Principal | None, context: RequestContext) -> None:
        """Decide on everything that one request showed."""
        event = entry.event
        labels = [self.numbers.get(digest) for digest in event["labels"]]
        self.counted["requests"] += 1
        self.counted["passages"] += len(labels)
        if principal is None or None in labels:
            self.counted["not_replayable"] += 1
            return
        now, then = self._decisions(principal, context)
        shown = [(document, number or 0) for document, number in zip(event["documents"], labels, strict=True)]
        losing = [(document, number) for document, number in shown if now[number].allowed and not then[number].allowed]
        self.counted["already_lost"] += any(not now[number].allowed for _, number in shown)
        if losing:
            self.counted["losing"] += 1
            if len(self.lost) < MOST_LISTED:
                documents = sorted({document for document, _ in losing})
                rules = sorted({rule for _, number in losing for rule in then[number].policies})
                self.lost.append(LostPassages(str(event["request"]), entry.at, principal.id, documents, rules))

    def _decisions(
        self, principal: Principal, context: RequestContext
    ) -> tuple[dict[int, Decision], dict[int, Decision]]:
        key = (principal.id, context)
        if key not in self.decided:
            self.decided[key] = (
                self.before.decide_labels(principal, self.labels, context),
                self.after.decide_labels(principal, self.labels, context),
            )
        return self.decided[key]


def replay(
    trail: TrailPlace,
    principals: Mapping[str, Principal],
    labels: Mapping[int, Label],
    before: Authorizer,
    after: Authorizer,
    *,
    since: datetime | None,
    names: Names | None,
    on_progress: Advance,
) -> tuple[Replay, int]:
    """Put what was shown in the past to both bundles; with it, how many entries of the trail were read.

    `labels` are all that documents have or had; `names` says who the trail's people are.

    Raises:
        TrailUnreadableError: The trail's file is missing or damaged.
    """
    asked: dict[str, tuple[str, RequestContext]] = {}
    entries = 0
    for kind, purpose in ((QuestionAsked.kind, Purpose.ANSWER), (SearchAsked.kind, Purpose.SEARCH)):
        for entry in _entries(trail, kind, since, names):
            asked[str(entry.event["request"])] = (str(entry.event["principal"]), _context(entry.event, purpose))
            entries += 1
    replaying = _Replaying(before, after, labels, {label.digest: number for number, label in labels.items()})
    for done, entry in enumerate(_entries(trail, PassagesRetrieved.kind, since, names)):
        if done % _PAGE == 0:
            on_progress("questions and searches", done, len(asked))
        entries += 1
        if (request := asked.get(str(entry.event["request"]))) is not None:
            replaying.replay(entry, principals.get(request[0]), request[1])
    on_progress("questions and searches", len(asked), len(asked))
    counted = replaying.counted
    told = Replay(
        requests=counted["requests"],
        passages=counted["passages"],
        losing=counted["losing"],
        already_lost=counted["already_lost"],
        not_replayable=counted["not_replayable"],
        lost=replaying.lost,
    )
    return told, entries


def _entries(trail: TrailPlace, kind: str, since: datetime | None, names: Names | None) -> Iterator[Entry]:
    """Entries of a kind, newest first, a page at a time."""
    before: int | None = None
    while page := read_entries(trail, EntryQuery(kind=kind, since=since, limit=_PAGE, before=before), names):
        yield from page
        before = page[-1].id


def _context(event: Mapping[str, object], purpose: Purpose) -> RequestContext:
    """The context of a request of the past, as the trail has it."""
    channel = Channel(str(event["channel"]))
    network = str(event.get("network") or OTHER_NETWORK)
    return RequestContext(Purpose.EVALUATION if channel is Channel.EVALUATION else purpose, network, channel)
