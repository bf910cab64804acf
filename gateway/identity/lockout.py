"""How guessing is slowed: a growing wait for each name, and a bucket for each address. No storage here.

A name is locked whether or not it is a user's, so that being locked tells nothing. Locking lets a stranger keep
somebody out for a while; open sessions go on, the wait is at most an hour, and an operator can end it (`muniment users
unlock`).
"""

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

FREE_FAILURES = 5
"""Failures in a row before the first wait: a person mistypes two or three times."""
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
MOST_FAILURES = 100
"""After these nobody gets in until an operator unlocks: the limit of NIST SP 800-63B-4, 3.2.2."""
UNTIL_UNLOCKED = datetime.max.replace(tzinfo=UTC)
_BURST, _PER_SECOND = 30.0, 0.2
"""Tries of one address: an office behind one address mistypes at nine o'clock; after that, one try in five seconds."""
_ADDRESSES = 10_000
_IPV6_SITE_BITS = 64


def locked_until(failures: int, last_at: datetime) -> datetime | None:
    """Until when a name that failed so often in a row, lastly then, is locked; none when it is not."""
    if failures < FREE_FAILURES:
        return None
    if failures >= MOST_FAILURES:
        return UNTIL_UNLOCKED
    # Beyond seven doublings it is the longest anyhow; the exponent is cut so that no number overflows.
    doublings = min(failures - FREE_FAILURES, 10)
    return last_at + min(LONGEST_WAIT, FIRST_WAIT * (1 << doublings))


class AddressThrottle:
    """Tries left to each address, in this process; the addresses unused longest are forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, address: str) -> bool:
        """Use one try; false when none is left."""
        with self._lock:
            left, now = self._now(address)
            allowed = left >= 1
            self._set(address, left - allowed, now)
            return allowed

    def give_back(self, address: str) -> None:
        """Return the try of somebody who succeeded."""
        with self._lock:
            left, now = self._now(address)
            self._set(address, left + 1, now)

    def _now(self, address: str) -> tuple[float, float]:
        now = self._clock()
        left, at = self._left.get(_site(address), (_BURST, now))
        return min(_BURST, left + (now - at) * _PER_SECOND), now

    def _set(self, address: str, left: float, now: float) -> None:
        self._left[_site(address)] = (min(_BURST, left), now)
        self._left.move_to_end(_site(address))
        while len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)


def _site(address: str) -> str:
    """What one party holds: an IPv4 address, or the 64 bits of an IPv6 site."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_SITE_BITS), strict=False))
    return str(parsed)
