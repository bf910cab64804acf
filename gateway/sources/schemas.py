"""A source as people see it."""

from datetime import datetime

import msgspec


class Source(msgspec.Struct, frozen=True):
    """A configured source and what was read from it."""

    name: str
    type: str
    settings: dict[str, str]
    documents: int
    skipped: int
    synced_at: datetime | None
