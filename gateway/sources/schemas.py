"""A source as people see it."""

from datetime import datetime

import msgspec


class Source(msgspec.Struct, frozen=True):
    """A configured source and what was read from it.

    Its permissions were last read to the end at `access_read_at`; older than `max_acl_age_seconds` (0 for no limit),
    they deny.
    """

    name: str
    type: str
    settings: dict[str, str]
    documents: int
    skipped: int
    synced_at: datetime | None
    access_read_at: datetime | None = None
    max_acl_age_seconds: int = 0
