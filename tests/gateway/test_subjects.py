"""Everybody has one token, whichever process or thread asks first; it leads to a name only while their row is there."""

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, delete, select

from gateway.config import Home
from gateway.database import open_database
from gateway.errors import BadRequestError, NotAuthenticatedError, NotFoundError
from gateway.identity.names import require_user_id
from gateway.identity.store import UserRow
from gateway.ledger import ErasedKind, Ledger, Step
from gateway.services import Services
from gateway.subjects import SubjectRow, Subjects
from policies.audit.people import hidden, is_token
from policies.errors import TrailUnavailableError
from policies.keys import Keys, create_keys
from tests.gateway.conftest import World

NAME = "ada.brandt@harbour.example"


class Place:
    """A database and a ledger, as several processes see them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.keys = folder, create_keys(folder / "keys")
        self.database: Engine = open_database(folder / "muniment.db")
        self.ledger = Ledger(folder / "erasures.jsonl", self.keys)

    def subjects(self, keys: Keys | None = None) -> Subjects:
        """As another process has them."""
        return Subjects(lambda: self.database, lambda: keys or self.keys, lambda: self.ledger)

    def rows(self) -> list[SubjectRow]:
        with Session(self.database) as session:
            return list(session.exec(select(SubjectRow)))

    def erase(self, token: str, hmac: str) -> None:
        with Session(self.database) as session:
            session.exec(delete(SubjectRow).where(SubjectRow.token == token))  # type: ignore[arg-type]
            session.commit()
        self.ledger.append(Step.BEGUN, ErasedKind.USER, token, (hmac,))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.database.dispose()


def test_a_token_is_the_same_everywhere_and_leads_to_the_name(place: Place) -> None:
    first, second = place.subjects(), place.subjects()
    token = first.tokens([NAME])[NAME]
    assert is_token(token)
    assert second.tokens([NAME, "bob"])[NAME] == token == second.find(NAME)
    assert place.subjects().names([token, "p" + "0" * 16]) == {token: NAME}
    assert len(place.rows()) == 2


def test_nobody_is_made_by_looking(place: Place) -> None:
    assert place.subjects().find(NAME) is None
    assert place.rows() == []


def test_the_database_holds_no_name(place: Place) -> None:
    place.subjects().tokens([NAME])
    place.database.dispose()
    assert all(NAME.encode() not in path.read_bytes() for path in place.folder.glob("muniment.db*"))


def test_threads_that_ask_at_once_get_one_token(place: Place) -> None:
    together, many = threading.Barrier(8), [place.subjects() for _ in range(8)]

    def ask(subjects: Subjects) -> str:
        together.wait()
        return subjects.tokens([NAME])[NAME]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, many))) == 1
    assert len(place.rows()) == 1


def test_another_installation_knows_nobody(place: Place, tmp_path: Path) -> None:
    token = place.subjects().tokens([NAME])[NAME]
    other = place.subjects(create_keys(tmp_path / "other"))
    assert other.find(NAME) is None
    assert other.names([token]) == {}


def test_whoever_is_erased_is_forgotten_by_every_process_at_once(place: Place) -> None:
    running = place.subjects()
    token = running.tokens([NAME])[NAME]
    assert running.names([token]) == {token: NAME}
    place.erase(token, running.name_hmac(NAME))
    assert running.names([token]) == {}
    assert running.tokens([NAME])[NAME] == token, "what still runs for them is recorded as theirs"
    assert place.rows() == []


def test_a_process_that_looks_not_at_the_ledger_is_noticed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(Ledger, "stamp", None)
    with pytest.raises(AssertionError):
        test_whoever_is_erased_is_forgotten_by_every_process_at_once(place)


def test_somebody_made_a_user_again_is_somebody_new(place: Place) -> None:
    running = place.subjects()
    token = running.tokens([NAME])[NAME]
    place.erase(token, running.name_hmac(NAME))
    running.introduce([NAME])
    again = running.tokens([NAME])[NAME]
    assert again != token
    assert running.names([token, again]) == {again: NAME}


def test_a_user_of_the_name_is_never_taken_for_who_was_erased(place: Place) -> None:
    running = place.subjects()
    token = running.tokens([NAME])[NAME]
    place.erase(token, running.name_hmac(NAME))
    with Session(place.database) as session:
        session.add(UserRow(id=NAME))
        session.commit()
    assert running.tokens([NAME])[NAME] != token


def test_without_a_database_nothing_is_recorded_and_the_trail_can_be_read(place: Place) -> None:
    token = place.subjects().tokens([NAME])[NAME]

    def gone() -> Engine:
        return open_database(place.folder / "keys" / "master.key")

    lost = Subjects(gone, lambda: place.keys, lambda: place.ledger)
    with pytest.raises(TrailUnavailableError, match="cannot be looked up"):
        lost.tokens([NAME])
    assert lost.names([token]) == {}
    assert lost.find(NAME) is None


@pytest.mark.parametrize("name", ["p0123456789abcdef"])
def test_nobody_is_called_like_a_token(name: str) -> None:
    with pytest.raises(BadRequestError, match="the trail calls people so"):
        require_user_id(name)


def bodies(home: Home) -> list[str]:
    with closing(sqlite3.connect(home.trail)) as connection:
        return [body for (body,) in connection.execute("SELECT body FROM entries ORDER BY id")]


def everybody(services: Services) -> set[str]:
    return {user.id for user in services.users.listed()} | {"test", "tests"}


def named_in(texts: list[str], names: set[str]) -> set[str]:
    """The names that stand in these texts as a whole value, or as an owner."""
    return {name for name in names if re.search(rf'"(?:user:)?{re.escape(name)}"', "\n".join(texts))}


def test_names_typed_by_strangers_make_nobody(world: World) -> None:
    with Session(world.services.database) as session:
        before = len(session.exec(select(SubjectRow)).all())
    with pytest.raises(NotAuthenticatedError):
        world.services.password_sign_in.sign_in("nobody.here", "whatever it may be 7")
    with pytest.raises(NotFoundError):
        world.services.explanations.explain("nobody.here", "handbook/travel.md", by="test")
    with Session(world.services.database) as session:
        assert len(session.exec(select(SubjectRow)).all()) == before
    assert named_in(bodies(world.services.home), {"nobody.here"}) == set()


def test_the_trail_of_an_installation_holds_no_name(world: World) -> None:
    texts = bodies(world.services.home)
    assert len(texts) > 10
    assert named_in(texts, everybody(world.services)) == set()


def test_a_name_in_the_trail_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr("policies.audit.store.hidden", without_names())
    world.services.users.add({"zoe": frozenset()}, frozenset(), by="test")
    assert named_in(bodies(world.services.home), everybody(world.services)) == {"test", "zoe"}


def without_names() -> Callable[..., str]:
    return lambda event, _names: hidden(event, None)
