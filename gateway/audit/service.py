"""Reading the trail: what was asked for, and a record that somebody asked."""

import asyncio
from pathlib import Path

from gateway.audit.access import Looking
from gateway.audit.filters import asked_for, require_shapes
from gateway.audit.schemas import AuditEntry
from gateway.recording import Recorder
from policies.audit.reader import EntryQuery, read_entries


async def list_entries(trail: Path, recorder: Recorder, looking: Looking, query: EntryQuery) -> list[AuditEntry]:
    """Entries of the trail, newest first.

    Raises:
        TrailUnreadableError: The trail's file cannot be read.
        TrailUnavailableError: That somebody read it could not be recorded, so nothing is shown.
    """
    entries = await asyncio.to_thread(read_entries, trail, require_shapes(query))
    await recorder.record(looking.read("list", len(entries), *asked_for(query)))
    return [AuditEntry.of(entry) for entry in entries]
