"""Questions and searches as one thing each: who asked, what was found, what they were shown of it, how it ended.

The trail says it in several entries of one request; here they are put together. Pure functions of these entries.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import groupby
from typing import Any

import msgspec

from policies.audit.events import (
    AnswerFailed,
    AnswerGiven,
    AnswerUnknown,
    PassagesRetrieved,
    QuestionAsked,
    SearchAsked,
)
from policies.audit.reader import Entry, Outcome

_RUNNING = "running"
"""A question without an end whose process may still be at it."""


class How(StrEnum):
    """What became of a passage that was found for somebody."""

    CITED = "cited"
    FOUND = "found"
    READ = "read"
    SHOWN = "shown"


SEEN = frozenset({How.CITED, How.READ, How.SHOWN})
"""What somebody was shown, or was told from: a passage that the model read may be in its words without being cited."""


class FoundPassage(msgspec.Struct, frozen=True):
    """A passage that was found: its digest, its document, the label that allowed it, and what became of it."""

    passage: str
    document: str
    label: str
    how: How


class Exchange(msgspec.Struct, frozen=True):
    """One question or search. `outcome` is `running` where no end is recorded yet."""

    request: str
    at: datetime
    principal: str
    question: bool
    channel: str
    network: str
    os_user: str
    outcome: str
    rules: list[str]
    policy_revision: str
    passages: list[FoundPassage]

    def about(self, document: str) -> "Exchange":
        """The same, with the passages of one document alone."""
        return msgspec.structs.replace(self, passages=[one for one in self.passages if one.document == document])


def exchanges(entries: Iterable[Entry]) -> list[Exchange]:
    """The questions and searches of which these are all entries, newest first; what else there is is left out."""
    ordered = sorted(entries, key=lambda entry: (str(entry.event.get("request", "")), entry.id))
    grouped = [list(group) for _, group in groupby(ordered, key=lambda entry: entry.event.get("request"))]
    found = [(group[0].id, exchange) for group in grouped if (exchange := _exchange(group)) is not None]
    return [exchange for _, exchange in sorted(found, key=lambda pair: pair[0], reverse=True)]


def seen(found: Exchange) -> bool:
    """Whether the asker was shown anything of the passages, or told from them."""
    return any(one.how in SEEN for one in found.passages)


def outdated(found: Exchange, document: str, current: Collection[str]) -> Exchange | None:
    """An answer with its passages of a document that are not in it any more; none where it rests on no such."""
    if not found.question or found.outcome != Outcome.ANSWERED:
        return None
    old = [one for one in found.passages if one.document == document and one.how in SEEN and one.passage not in current]
    return msgspec.structs.replace(found, passages=old) if old else None


def _exchange(entries: Sequence[Entry]) -> Exchange | None:
    by_kind = {entry.kind: entry for entry in reversed(entries)}
    asked = by_kind.get(QuestionAsked.kind) or by_kind.get(SearchAsked.kind)
    if asked is None:
        return None
    event, question = asked.event, asked.kind == QuestionAsked.kind
    retrieved = by_kind[PassagesRetrieved.kind].event if PassagesRetrieved.kind in by_kind else {}
    return Exchange(
        request=str(event.get("request", "")),
        at=asked.at,
        principal=str(event.get("principal", "")),
        question=question,
        channel=str(event.get("channel", "")),
        network=str(event.get("network", "")),
        os_user=str(event.get("os_user", "")),
        outcome=_outcome(by_kind) if question else (Outcome.ANSWERED if retrieved else _RUNNING),
        rules=list(retrieved.get("policies", ())),
        policy_revision=str(retrieved.get("policy_revision", event.get("policy_revision", ""))),
        passages=_passages(retrieved, by_kind.get(AnswerGiven.kind), question=question),
    )


def _outcome(by_kind: Mapping[str, Entry]) -> str:
    if AnswerGiven.kind in by_kind:
        return Outcome.DECLINED if by_kind[AnswerGiven.kind].event["abstained"] else Outcome.ANSWERED
    if AnswerFailed.kind in by_kind:
        return Outcome.FAILED
    return Outcome.UNKNOWN if AnswerUnknown.kind in by_kind else _RUNNING


def _passages(retrieved: Mapping[str, Any], given: Entry | None, *, question: bool) -> list[FoundPassage]:
    columns = (retrieved.get(name, ()) for name in ("passages", "documents", "labels"))
    answer = given.event if given is not None and not given.event["abstained"] else None
    return [
        FoundPassage(passage, document, label, _how(passage, document, answer) if question else How.SHOWN)
        for passage, document, label in zip(*columns, strict=True)
    ]


def _how(passage: str, document: str, answer: Mapping[str, Any] | None) -> How:
    """What became of a passage in an answer; entries of before they named what the model read tell documents alone."""
    if answer is None:
        return How.FOUND
    read = answer.get("passages", ())
    if read and passage not in read:
        return How.FOUND
    if document in answer.get("cited", ()):
        return How.CITED
    return How.READ if read else How.FOUND
