"""How long the trail keeps what its entries say: what the settings, holds and exports let go is removed, once a day."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import partial

from gateway.config import RetentionOptions
from gateway.holds import Covered
from gateway.recording import Recorder
from policies.audit.people import people_of
from policies.audit.places import TrailPlace, open_to_read, unreadable
from policies.audit.reader import Entry
from policies.audit.retention import Held, Removal, nobody_holds, plan, remove
from policies.audit.storage import StorageError
from policies.keys import Keys


def held_by(covered: Covered, place: TrailPlace) -> Held:
    """Whether legal holds cover an entry: itself, its request, or whoever asked there or is named.

    Raises:
        TrailUnreadableError: The trail cannot be read.
    """
    if not (covered.subjects or covered.conversations or covered.requests):
        return nobody_holds
    requests = covered.requests | _requests_of(covered.subjects, place)

    def held(entry: Entry) -> str | None:
        named = entry.event.get("conversation", ""), entry.event.get("request", "")
        people = people_of(entry.kind, entry.event)
        if named[0] in covered.conversations or named[1] in requests or covered.subjects.intersection(people):
            return "a legal hold"
        return None

    return held


def _requests_of(subjects: frozenset[str], place: TrailPlace) -> frozenset[str]:
    """The requests of people: what was found and answered for them does not name them itself."""
    names = {f"actor{number}": token for number, token in enumerate(sorted(subjects))}
    if not names:
        return frozenset()
    query = f"SELECT DISTINCT request FROM entries WHERE actor IN ({', '.join(f':{name}' for name in names)})"  # noqa: S608 - ours
    with closing(open_to_read(place)) as trail:
        try:
            return frozenset(str(request) for (request,) in trail.select(query, names) if request)
        except StorageError as error:
            raise unreadable(place, error) from error


class Retention:
    """The removal of old entries of one trail.

    `covered` is what legal holds cover now; `taken` is the last entry that every configured export has, None without.
    """

    def __init__(
        self,
        place: TrailPlace,
        keys: Keys,
        options: RetentionOptions,
        recorder: Recorder,
        covered: Callable[[], Covered],
        taken: Callable[[], int | None],
    ) -> None:
        self._place = place
        self._keys = keys
        self._options = options
        self._recorder = recorder
        self._covered = covered
        self._taken = taken

    def planned(self) -> Removal:
        """What would be removed now.

        Raises:
            TrailUnreadableError: The trail cannot be read.
        """
        return self._planned(self._covered())

    def _planned(self, covered: Covered) -> Removal:
        held = held_by(covered, self._place)
        return plan(self._place, self._options.days, datetime.now(UTC), held, self._taken())

    def reduce(self, by: str) -> Removal:
        """Remove what may be removed now, and say what it was; the rest of very much is left for the next time.

        Raises:
            TrailUnreadableError: The trail cannot be read.
            TrailUnavailableError: The removal could not be recorded or signed, or a hold was placed or ended
                meanwhile, so nothing was removed. The next time is soon enough.
        """
        covered = self._covered()
        found = self._planned(covered)
        if found.ids:
            still = partial(self._is_covered, covered)
            remove(self._place, self._keys, found, by, self._recorder.record_now, still)
        return found

    def _is_covered(self, covered: Covered) -> bool:
        """Whether holds cover now what they covered then."""
        return self._covered() == covered
