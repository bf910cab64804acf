"""How long the trail keeps what its entries say: what the settings, holds and exports let go is removed, once a day."""

from collections.abc import Callable
from datetime import UTC, datetime

from gateway.config import RetentionOptions
from gateway.recording import Recorder
from policies.audit.places import TrailPlace
from policies.audit.retention import Held, Removal, plan, remove
from policies.keys import Keys


class Retention:
    """The removal of old entries of one trail.

    `held` says why an entry must stay; `taken` is the last entry that every configured export has, None without any.
    """

    def __init__(
        self,
        place: TrailPlace,
        keys: Keys,
        options: RetentionOptions,
        recorder: Recorder,
        held: Held,
        taken: Callable[[], int | None],
    ) -> None:
        self._place = place
        self._keys = keys
        self._options = options
        self._recorder = recorder
        self._held = held
        self._taken = taken

    def planned(self) -> Removal:
        """What would be removed now.

        Raises:
            TrailUnreadableError: The trail cannot be read.
        """
        return plan(self._place, self._options.days, datetime.now(UTC), self._held, self._taken())

    def reduce(self, by: str) -> Removal:
        """Remove what may be removed now, and say what it was; the rest of very much is left for the next time.

        Raises:
            TrailUnreadableError: The trail cannot be read.
            TrailUnavailableError: The removal could not be recorded or signed, so nothing was removed.
        """
        found = self.planned()
        if found.ids:
            remove(self._place, self._keys, found, by, self._recorder.record_now)
        return found
