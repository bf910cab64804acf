"""How old what a directory said may be before nobody who comes from it is let in.

A directory that cannot be read may have dismissed somebody an hour ago. Directories that tell us of changes themselves
(SCIM) cannot be told apart from ones with nothing to say; only what we read ourselves grows old.
"""

from dataclasses import dataclass
from datetime import timedelta

from gateway.identity.memberships import DirectoryRow, Origin
from policies.clock import SteadyClock, is_older, zoned


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the last good read may be, and what time it is.

    A clock set back while the process lives is noticed by the clock; one set back before it began, by the last attempt,
    which then lies ahead. A read in the future counts as none.
    """

    most: timedelta
    clock: SteadyClock

    def is_lost(self, origin: str, directory: DirectoryRow | None) -> bool:
        """Whether nothing may rest on what the directory of that name said last."""
        if origin != Origin.LDAP:
            return False
        if directory is None or directory.read_at is None:
            return True
        now = self.clock.now()
        tried_at = max(now, zoned(directory.tried_at))
        return is_older(directory.read_at, self.most, now) or is_older(directory.read_at, self.most, tried_at)
