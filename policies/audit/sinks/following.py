"""Following the trail: what comes after a place in it, if what stands at that place is still what stood there."""

from contextlib import closing
from dataclasses import dataclass

from policies.audit.checkpoints import SignedCheckpoint
from policies.audit.people import Names
from policies.audit.places import TrailPlace, open_to_read, unreadable
from policies.audit.reader import Entry, read_on
from policies.audit.sinks.positions import Position
from policies.audit.storage import StorageError
from policies.errors import TrailContradictsError


@dataclass(frozen=True, slots=True)
class Row:
    """An entry's number and hash, which stay when what it says is removed."""

    id: int
    hash: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """What follows a position: all rows up to some number, and those entries among them that still say something."""

    log: str
    rows: list[Row]
    entries: list[Entry]


def read_after(place: TrailPlace, position: Position, limit: int, names: Names | None = None) -> Stretch:
    """At most `limit` entries after a position, oldest first and without a gap; people are called by `names`.

    Raises:
        TrailContradictsError: What stands at the position is not what stood there, or entries are missing.
        TrailUnreadableError: The trail is missing or damaged.
    """
    log, rows = _rows(place, position.at, limit)
    if position.at:
        _require_same(position, log, rows)
    following = rows[1:] if position.at else rows
    expected = range(position.at + 1, position.at + 1 + len(following))
    if [row.id for row in following] != list(expected):
        gap = next(number for number, row in zip(expected, following, strict=True) if row.id != number)
        raise TrailContradictsError(contradiction(f"entry {gap} of it is missing"))
    if not following:
        return Stretch(log, [], [])
    _, entries = read_on(place, position.at, len(following), names)
    return Stretch(log, following, [entry for entry in entries if entry.id <= following[-1].id])


def last_number(place: TrailPlace) -> int:
    """The number of the newest entry.

    Raises:
        TrailUnreadableError: The trail is missing or damaged.
    """
    with closing(open_to_read(place)) as trail:
        try:
            return int(trail.select("SELECT coalesce(max(id), 0) FROM entries")[0][0])
        except StorageError as error:
            raise unreadable(place, error) from error


def newest_checkpoint(place: TrailPlace) -> SignedCheckpoint | None:
    """The newest checkpoint of a trail, if it is one.

    Raises:
        TrailUnreadableError: The trail is missing or damaged.
    """
    with closing(open_to_read(place)) as trail:
        try:
            rows = trail.select("SELECT body, signature FROM checkpoints ORDER BY number DESC LIMIT 1")
            return SignedCheckpoint.from_parts(str(rows[0][0]), bytes(rows[0][1])) if rows else None
        except StorageError as error:
            raise unreadable(place, error) from error
        except ValueError:
            return None  # Told by the writer, and by verification.


def position_at(place: TrailPlace, at: int) -> Position:
    """The position behind an entry, 0 being before the first.

    Raises:
        TrailContradictsError: There is no such entry.
        TrailUnreadableError: The trail is missing or damaged.
    """
    if not at:
        return Position()
    log, rows = _rows(place, at, 0)
    if not rows or rows[0].id != at:
        message = f"The audit trail has no entry {at} to go on behind."
        raise TrailContradictsError(message)
    return Position(log, at, rows[0].hash, told=at)


def contradiction(what: str) -> str:
    """What to say of a trail that is not the one that was sent from."""
    return (
        f"The audit trail was replaced or rolled back: {what}. Nothing is sent. Run `muniment audit verify`; if it is "
        "known why, `muniment audit exports --restart NAME` sends what is there."
    )


def _rows(place: TrailPlace, at: int, limit: int) -> tuple[str, list[Row]]:
    """The trail's id, the row of a position, and at most `limit` after it."""
    query = "SELECT id, hash FROM entries WHERE id >= :first ORDER BY id LIMIT :limit"
    with closing(open_to_read(place)) as trail:
        try:
            found = trail.select(query, {"first": max(at, 1), "limit": limit + (1 if at else 0)})
            return trail.log, [Row(int(id_), bytes(hash_).hex()) for id_, hash_ in found]
        except (StorageError, TypeError) as error:
            raise unreadable(place, error) from error


def _require_same(position: Position, log: str, rows: list[Row]) -> None:
    if position.log != log:
        raise TrailContradictsError(contradiction(f"it is the trail {log}, and {position.log} was sent"))
    if not rows or rows[0] != Row(position.at, position.hash):
        raise TrailContradictsError(
            contradiction(f"entry {position.at}, the last that was sent, is not in it any more")
        )
