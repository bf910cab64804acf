"""Removal, another key and a copy, wherever the trail is; in PostgreSQL its owner alone removes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from policies.audit.chain import encode
from policies.audit.classes import EntryClass
from policies.audit.copying import copy_trail
from policies.audit.places import TrailPlace
from policies.audit.retention import plan, remove
from policies.audit.rotation import rotate_signing_key
from policies.audit.store import Trail
from policies.audit.verifier import verify
from policies.audit.writer import ChainWriter
from policies.keys import create_keys
from tests.policies.test_audit_retention import ENTRIES, NOW
from tests.policies.test_audit_verifier import alone
from tests.policies.trails import owner_of

WAIT_SECONDS = 20.0
DAYS = {EntryClass.QUESTIONS: 200, EntryClass.ACCESS: 300}


def test_a_trail_is_reduced_signed_by_another_key_and_copied(place: TrailPlace, tmp_path: Path) -> None:
    keys = create_keys(tmp_path / "keys")
    first = keys.public_key_pem()
    writer = ChainWriter(place, keys)
    for event, at in ENTRIES:
        writer.append([encode(event, at)])
    writer.seal()
    writer.close()
    with Trail.open(place, keys) as trail:
        found = plan(place, DAYS, NOW)
        assert found.ids == (2, 3, 4, 6, 7, 8, 9, 10)
        remove(owner_of(place), keys, found, "root", lambda event: trail.record(event, WAIT_SECONDS))
        rotate_signing_key(place, keys, "root", lambda event: trail.record(event, WAIT_SECONDS))
        assert plan(place, DAYS, NOW).ids == ()
    report = verify(place, first)
    assert (report.ok, report.removed, report.sealed) == (True, 8, report.entries), report.findings
    copy_trail(place, tmp_path / "copy.db")
    assert verify(tmp_path / "copy.db", first) == report
    assert alone(tmp_path / "copy.db", first, []) == []


def test_entries_to_come_are_not_old(place: TrailPlace, tmp_path: Path) -> None:
    """A clock that is behind removes nothing."""
    keys = create_keys(tmp_path / "keys")
    writer = ChainWriter(place, keys)
    for event, at in ENTRIES:
        writer.append([encode(event, at)])
    writer.seal()
    writer.close()
    assert plan(place, DAYS, datetime.now(UTC) - timedelta(days=3650)).ids == ()
