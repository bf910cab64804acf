"""Which passages are kept out of searches for what is odd about them.

Pure. It depends on the passage and on whether somebody let it out, and on nothing else there is: so what somebody finds
is still what an index of only their documents would give.
"""

from dataclasses import dataclass

from retrieval.flags import QUARANTINED, Flag, read_flags


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Keeps out passages with any of these flags."""

    flags: frozenset[Flag] = frozenset(QUARANTINED)

    def holds(self, stored: str, *, released: bool) -> bool:
        """Whether a passage with these stored flags is kept out; not when it was `released`."""
        return not released and not self.flags.isdisjoint(read_flags(stored))

    @property
    def name(self) -> str:
        """What an index was made with; another one holds other passages."""
        return "+".join(sorted(self.flags)) or "none"
