"""A home whose trail is in PostgreSQL: the backup holds it as the file that auditors take."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.backup import passphrase
from gateway.backup.erasures import KnownErasures
from gateway.backup.making import make_backup
from gateway.backup.restoring import Unlocking, restore
from gateway.config import Home
from policies.audit.reader import EntryQuery, read_entries
from policies.audit.verifier import verify
from tests.gateway.conftest import SETTINGS, World
from tests.policies.trails import made_in
from tests.postgres import Server

WORDS = "several words in a row"


def test_it_is_copied_as_a_file_that_verifies(
    world: World, tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passphrase, "_PASSES", 1)
    monkeypatch.setattr(passphrase, "_MEMORY_KIB", 64)
    with ExitStack() as stack:
        place = stack.enter_context(made_in(postgres))
        host = place.host.replace("/", "%2F")
        address = f'database = "postgresql://{place.user}@{host}/{place.database}"\n'
        home = world.services.home
        home.config_file.write_text(f'{SETTINGS}{address}database_schema = "{place.schema}"\n')
        home.trail_seen.unlink(missing_ok=True)
        home.trail.unlink()  # What was written before is another trail's.
        services = world.services
        services.users.add({"zoe": frozenset({"everyone"})}, frozenset(), by="tests")
        made = make_backup(services, tmp_path / "b", "tests", WORDS)
        assert made.entries > 0
        restored = restore(tmp_path / "b", Home(tmp_path / "new"), "tests", Unlocking(lambda: WORDS), KnownErasures())
        assert restored.problems == ()
        copy = Home(tmp_path / "new").trail
        assert verify(copy, services.keys.public_key_pem()).ok
        kept = read_entries(copy, EntryQuery(limit=1000))
        assert len(kept) == made.entries
        there = read_entries(place, EntryQuery(limit=1000))
        assert there[-len(kept) :] == kept
        assert [entry.kind for entry in there[: -len(kept)]] == ["backup:restored", "backup:made"]
        assert [path.name for path in home.trail.parent.iterdir() if path.name.startswith(".")] == []
