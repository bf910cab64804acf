"""Removing what old entries say, once their time is over; their hashes stay, so the rest can be checked as before.

What may go is decided here, entry by entry: old enough for its class, signed, taken by every export, of no question
that is still open, and held by nobody. It is announced in the trail before it is done.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from policies.audit.chain import timestamp
from policies.audit.checkpoints import SignedCheckpoint
from policies.audit.classes import CLASSES, EntryClass
from policies.audit.events import AnswerFailed, AnswerGiven, AnswerUnknown, Event, QuestionAsked, TrailReduced
from policies.audit.places import TrailPlace, open_to_read, unreadable
from policies.audit.ranges import ids_of, ranges_of
from policies.audit.reader import Entry
from policies.audit.storage import ReadableTrail, StorageError, Values
from policies.audit.writer import ChainWriter
from policies.errors import SignatureRefusedError
from policies.keys import Keys

_MOST_AT_ONCE = 20_000
"""Entries removed together; more are left for the next time, so that nobody who writes waits long."""

Held = Callable[[Entry], str | None]
"""Why an entry must stay although its time is over; None when nobody holds it. Names of people are as in the trail."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What would be removed: entries by their ids, how many of which class, and how many stay since they are held."""

    ids: tuple[int, ...]
    classes: Mapping[str, int] = field(default_factory=dict)
    held: int = 0

    def event(self, by: str) -> TrailReduced:
        """What announces it."""
        return TrailReduced(by, len(self.ids), ranges_of(self.ids), dict(self.classes), self.held)


def nobody_holds(_: Entry) -> str | None:
    """Nothing is held."""
    return None


def plan(
    place: TrailPlace,
    days: Mapping[EntryClass, int],
    now: datetime,
    held: Held = nobody_holds,
    taken: int | None = None,
) -> Removal:
    """What may be removed now; `days` says how long each class is kept, and classes that it lacks are kept for good.

    `taken` is the last entry that every configured export has; None where there is no export.

    Raises:
        TrailUnreadableError: The trail cannot be read.
    """
    ids: list[int] = []
    classes: Counter[str] = Counter()
    kept = 0
    with closing(open_to_read(place)) as trail:
        try:
            signed = _signed(trail)
            last = signed if taken is None else min(signed, taken)
            for class_, kept_days in days.items():
                for entry in _over(trail, class_, now - timedelta(days=kept_days), last):
                    if held(entry):
                        kept += 1
                    elif len(ids) < _MOST_AT_ONCE:
                        ids.append(entry.id)
                        classes[class_.value] += 1
        except (StorageError, ValueError, KeyError) as error:
            raise unreadable(place, error) from error
    return Removal(tuple(sorted(ids)), dict(classes), kept)


def remove(
    place: TrailPlace,
    keys: Keys,
    removal: Removal,
    by: str,
    record: Callable[[Event], object],
    still: Callable[[], bool] = lambda: True,
) -> None:
    """Announce a removal, and do it if what it was planned by is `still` so.

    Raises:
        TrailUnavailableError: It was not announced, not signed, or may not be done any more; nothing was removed.
    """
    writer = ChainWriter(place, keys)
    try:
        writer.require_untouched()
        record(removal.event(by))
        try:
            writer.remove(removal.ids, still)
        except SignatureRefusedError:
            # A signer signed an earlier removal that did not come to its end, and signs no other before that.
            writer.remove(_announced_before(place))
            writer.remove(removal.ids, still)
    finally:
        writer.close()


def _over(trail: ReadableTrail, class_: EntryClass, before: datetime, last: int) -> list[Entry]:
    """The entries of a class whose time is over, but for those of questions without an end."""
    kinds = {f"kind{number}": event.kind for number, event in enumerate(CLASSES[class_])}
    of_class = ", ".join(f":{name}" for name in kinds)
    query = f"""SELECT id, writer, seq, hash, body FROM entries
        WHERE id <= :last AND at < :before AND kind IN ({of_class}) AND (request IS NULL OR request NOT IN (
            SELECT request FROM entries WHERE kind = :asked AND request NOT IN (
                SELECT request FROM entries WHERE kind IN (:given, :failed, :unknown))))
        ORDER BY id"""  # noqa: S608 - ours
    ends = {"given": AnswerGiven.kind, "failed": AnswerFailed.kind, "unknown": AnswerUnknown.kind}
    values: Values = {"last": last, "before": timestamp(before), "asked": QuestionAsked.kind, **ends, **kinds}
    return [_entry(*row) for row in trail.select(query, values)]


def _entry(id_: int, writer: str, seq: int, hash_: bytes, body: str) -> Entry:
    fields = json.loads(body)
    return Entry(id_, writer, seq, hash_.hex(), datetime.fromisoformat(fields["at"]), fields["kind"], fields["event"])


def _signed(trail: ReadableTrail) -> int:
    rows = trail.select("SELECT body, signature FROM checkpoints ORDER BY number DESC LIMIT 1")
    return SignedCheckpoint.from_parts(*rows[0]).checkpoint.count if rows else 0


def _announced_before(place: TrailPlace) -> list[int]:
    """The entries of the last removal but one that was announced."""
    query = "SELECT id, body FROM entries WHERE kind = :kind ORDER BY id DESC LIMIT 2"
    with closing(open_to_read(place)) as trail:
        *_, (last, body) = trail.select(query, {"kind": TrailReduced.kind})
        return sorted(ids_of(json.loads(body)["event"]["entries"], int(last)))
