"""Reading the trail: what was asked for, and a record that somebody asked."""

import asyncio

from gateway.audit.schemas import AuditEntry
from gateway.recording import Recorder
from policies.audit.events import TrailRead
from policies.audit.places import TrailPlace
from policies.audit.reader import EntryQuery, read_entries
from policies.principals import Principal


async def list_entries(
    trail: TrailPlace, recorder: Recorder, principal: Principal, query: EntryQuery
) -> list[AuditEntry]:
    """Entries of the trail, newest first.

    Raises:
        TrailUnreadableError: The trail's file cannot be read.
        TrailUnavailableError: That somebody read it could not be recorded, so nothing is shown.
    """
    entries = await asyncio.to_thread(read_entries, trail, query)
    await recorder.record(TrailRead(by=principal.id, operation="list", entries=len(entries)))
    return [AuditEntry.of(entry) for entry in entries]
