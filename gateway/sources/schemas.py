"""A source as people see it."""

from datetime import datetime

import msgspec


class SourceOwners(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who looks after a source: users by name, and groups whose members all do."""

    users: list[str] = []
    groups: list[str] = []


class Source(msgspec.Struct, frozen=True):
    """A configured source and what was read from it.

    Its permissions were last read to the end at `access_read_at`; older than `max_acl_age_seconds` (0 for no limit),
    they deny, and `access_stale` says that they do. `failed_at` and `failure` tell why the last run broke off.
    """

    name: str
    type: str
    settings: dict[str, str]
    documents: int
    skipped: int
    synced_at: datetime | None
    access_read_at: datetime | None = None
    max_acl_age_seconds: int = 0
    access_stale: bool = False
    failed_at: datetime | None = None
    failure: str = ""
    owners: SourceOwners = msgspec.field(default_factory=SourceOwners)
