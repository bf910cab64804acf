"""After a rotation of the master key everything opens as before, the old one is destroyed, and no value needs it."""

import os
import re
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlmodel import Session, select

from gateway import resealing
from gateway.audit.store import InvestigationRow, Reasons
from gateway.chat.store import ConversationRow
from gateway.config import Home
from gateway.database import open_database
from gateway.holds import HoldKind
from gateway.installation import create_home
from gateway.resealing import WRAPPED, reseal
from gateway.services import Services
from gateway.subjects import SubjectRow
from policies.errors import VaultUnreadableError
from policies.keys import open_keys, rotate_master
from policies.redaction.vault import Place
from policies.wrapping import wrapped_by
from retrieval.sessions import writing
from retrieval.tables import utc_now

REASON = "proceeding 12 of the works council"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    create_home(home, "root")
    with Services(home) as services:
        services.users.add({"ada": frozenset(), "bob": frozenset()}, frozenset(), "root")
        services.holds.add(HoldKind.SUBJECT, "ada", REASON, "root")
        with Session(services.database) as session:
            sealed = Reasons(services.keys).seal("i1", REASON)
            row = InvestigationRow(
                id="i1", by="p0", channel="cli", reason=sealed, begun_at=utc_now(), ends_at=utc_now()
            )
            session.add(row)
            session.commit()
    return home


def masters(home: Home) -> set[str]:
    database = open_database(home.database)
    with Session(database) as session:
        found = {
            wrapped_by(getattr(row, wrapped.column))
            for wrapped in WRAPPED
            for row in session.exec(select(wrapped.table)).all()
        }
    database.dispose()
    return found


def all_opens(home: Home) -> bool:
    with Services(home) as services:
        [hold] = services.holds.listed()
        with Session(services.database) as session:
            tokens = [row.token for row in session.exec(select(SubjectRow)).all()]
            keys = [services.subjects.key(session, token) for token in tokens]
            reason = Reasons(services.keys).unseal("i1", session.get_one(InvestigationRow, "i1").reason)
        return hold.reason == REASON == reason and hold.target == "ada" and len(set(keys)) == len(tokens) >= 3


def make_older(home: Home) -> None:
    past = time.time() - 3600
    os.utime(home.keys / "master.key", (past, past))


def test_everything_is_sealed_anew_and_the_old_master_destroyed(home: Home) -> None:
    before = open_keys(home.keys).master_id
    assert masters(home) == {before}
    after = rotate_master(home.keys)
    assert all_opens(home), "while both are there"
    with Services(home) as services:
        done = reseal(services.database, services.keys, home.keys, services.conversations)
        assert (done.values, done.destroyed, done.kept) == (len_of(home), (), (before,)), "not at once"
        make_older(home)
        done = reseal(services.database, services.keys, home.keys, services.conversations)
        assert (done.values, done.destroyed, done.kept) == (0, (before,), ())
    assert masters(home) == {after}
    assert not (home.keys / f"master-{before}.key").exists()
    assert all_opens(home)


def a_conversation_of_before(services: Services) -> None:
    """As version 2 of the vault sealed it: under a key that derives from the master."""
    place = Place("ada", "c1", "vault")
    key, nonce = services.keys.derive(place.encoded().decode()), os.urandom(12)
    said = AESGCM(key).encrypt(nonce, b'{"version": 1, "entries": []}', b"\x02" + place.encoded())
    with writing(services.database) as session:
        session.add(ConversationRow(id="c1", user_id="ada", vault=b"\x02" + nonce + said))
        session.commit()


def test_conversations_of_before_open_once_the_old_master_is_gone(home: Home) -> None:
    with Services(home) as services:
        a_conversation_of_before(services)
    before = open_keys(home.keys).master_id
    rotate_master(home.keys)
    make_older(home)
    with Services(home) as services:
        done = reseal(services.database, services.keys, home.keys, services.conversations)
        assert (done.values, done.destroyed) == (len_of(home) + 1, (before,))
    with Services(home) as services:
        assert services.conversations.open("ada", "c1").messages == ()


def test_one_that_does_not_open_keeps_the_old_master(home: Home) -> None:
    with Services(home) as services:
        a_conversation_of_before(services)
        with writing(services.database) as session:
            row = session.get_one(ConversationRow, "c1")
            row.vault = row.vault[:-1] + bytes([row.vault[-1] ^ 1])
            session.add(row)
            session.commit()
    before = open_keys(home.keys).master_id
    rotate_master(home.keys)
    make_older(home)
    with Services(home) as services, pytest.raises(VaultUnreadableError):
        reseal(services.database, services.keys, home.keys, services.conversations)
    assert (home.keys / f"master-{before}.key").exists()


def len_of(home: Home) -> int:
    database = open_database(home.database)
    with Session(database) as session:
        count = sum(len(session.exec(select(wrapped.table)).all()) for wrapped in WRAPPED)
    database.dispose()
    return count


def test_many_are_sealed_in_parts(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resealing, "_TOGETHER", 1)
    rotate_master(home.keys)
    with Services(home) as services:
        assert reseal(services.database, services.keys, home.keys, services.conversations).values == len_of(home)
    assert all_opens(home)


def test_a_value_that_does_not_open_keeps_the_old_master(home: Home) -> None:
    database = open_database(home.database)
    with Session(database) as session:
        row = session.exec(select(SubjectRow)).first()
        assert row is not None
        row.key = row.key[:-1] + bytes([row.key[-1] ^ 1])
        session.add(row)
        session.commit()
    database.dispose()
    before = open_keys(home.keys).master_id
    rotate_master(home.keys)
    make_older(home)
    with Services(home) as services, pytest.raises(VaultUnreadableError):
        reseal(services.database, services.keys, home.keys, services.conversations)
    assert (home.keys / f"master-{before}.key").exists()


def test_destroying_the_old_master_without_sealing_anew_would_lose_all(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    rotate_master(home.keys)
    make_older(home)
    monkeypatch.setattr(resealing, "_reseal", lambda *_: 0)
    monkeypatch.setattr(resealing, "_masters_of", lambda *_: set())
    with Services(home) as services:
        reseal(services.database, services.keys, home.keys, services.conversations)
    with Services(home) as services, Session(services.database) as session:
        token = session.exec(select(SubjectRow)).first()
        assert token is not None
        with pytest.raises(VaultUnreadableError):
            services.subjects.key(session, token.token)


def test_every_column_that_the_master_wraps_is_listed() -> None:
    """Whoever wraps something else with the master adds it to the list."""
    source = Path(resealing.__file__).parent
    texts = {path: path.read_text(encoding="utf-8") for path in source.rglob("*.py")}
    callers = {path.relative_to(source).as_posix() for path, text in texts.items() if re.search(r"\bwrap\(", text)}
    assert callers == {"audit/store.py", "holds.py", "subjects.py"}
