"""T16: who was erased after a backup was made does not come back with it."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.backup import passphrase, snapshot
from gateway.backup.erasures import KnownErasures, erased_since
from gateway.backup.making import make_backup
from gateway.backup.restoring import Restored, Unlocking, restore
from gateway.config import Home
from gateway.erasure import Erasures
from gateway.errors import BackupError, LedgerUnusableError
from gateway.identity_file import Identity
from gateway.ledger import ErasedKind, LedgerLine, Step
from policies.audit.verifier import verify
from policies.principals import Role
from tests.gateway.canaries import forms
from tests.gateway.conftest import TRAVEL_ANSWER, World, open_services, question
from tests.gateway.gated_model import GatedModel

WORDS = "several words in a row"
USER = "zebulon.quartermaine"
ASKED = "What is the allowance in Ultima Thule?"
PERSON = Identity(names=("Ada Brandt",), mail_addresses=("ada.brandt@harbour.example",))
OF_THE_USER = (USER, "Ultima Thule", "subject-9271-of-quartermaine")
OF_THE_PERSON = ("Ada Brandt", "ada.brandt@harbour.example")


@pytest.fixture(autouse=True)
def quick_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Argon2id costs is no matter of these tests."""
    monkeypatch.setattr(passphrase, "_PASSES", 1)
    monkeypatch.setattr(passphrase, "_MEMORY_KIB", 64)


def found_in(folder: Path, values: Iterable[str]) -> set[str]:
    """Values that stand in any file of a folder, in whatever form."""
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    wanted = [(value, form) for value in values for form in set(forms(value)) if len(form) > 6]
    return {value for value, form in wanted if any(form in content for content in contents)}


@pytest.fixture
async def backed_up(world: World, client: httpx.AsyncClient, tmp_path: Path) -> World:
    """An installation in which somebody asked, that was backed up, and in which both were erased afterwards."""
    services = world.services
    services.users.add({USER: frozenset({"everyone"})}, frozenset({Role.EMPLOYEE}), by="tests")
    services.users.link(USER, "https://id.example", "subject-9271-of-quartermaine", by="tests")
    _, key = services.users.create_key(USER, by="tests")
    world.model.says(TRAVEL_ANSWER)
    asked = question(ASKED, muniment={"keep": True})
    reply = await client.post("/v1/chat/completions", json=asked, headers={"Authorization": f"Bearer {key}"})
    assert reply.status_code == 200
    make_backup(services, tmp_path / "b", "tests", WORDS)
    return world


def erase_both(world: World) -> None:
    world.services.erasures.erase_user(USER, by="tests")
    world.services.erasures.erase_person(PERSON, by="tests")


def restored(tmp_path: Path, known: KnownErasures, name: str = "new") -> Restored:
    return restore(tmp_path / "b", Home(tmp_path / name), "tests", Unlocking(lambda: WORDS), known)


async def test_the_erased_do_not_come_back(backed_up: World, tmp_path: Path) -> None:
    services = backed_up.services
    erase_both(backed_up)
    shutil.copy(services.home.erasures, tmp_path / "ledger")
    made = restored(tmp_path, KnownErasures(tmp_path / "ledger"))
    assert made.erased == 2
    assert found_in(tmp_path / "new", [*OF_THE_USER, *OF_THE_PERSON]) == set()
    with open_services(tmp_path / "new", GatedModel()) as again:
        assert len(again.index) > 0
        assert USER not in [user.id for user in again.users.listed()]
        assert verify(again.home.trail, again.keys.public_key_pem()).ok
    assert found_in(tmp_path / "new", [*OF_THE_USER, *OF_THE_PERSON]) == set()


async def test_without_the_ledger_they_are_back(backed_up: World, tmp_path: Path) -> None:
    """Negative control: what the ledger prevents, and that the search finds it."""
    erase_both(backed_up)
    assert restored(tmp_path, KnownErasures()).erased == 0
    with open_services(tmp_path / "new", GatedModel()) as again:
        assert USER in [user.id for user in again.users.listed()]
        (conversation, _), *_ = again.conversations.listed(USER)
        assert again.conversations.open(USER, conversation).messages[0].text == ASKED
    assert found_in(tmp_path / "new", [*OF_THE_USER, *OF_THE_PERSON]) >= {USER, *OF_THE_PERSON}


async def test_a_replay_that_does_nothing_is_noticed(
    backed_up: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the first test."""
    erase_both(backed_up)
    monkeypatch.setattr(Erasures, "replay", lambda self, lines, by: list(lines))
    restored(tmp_path, KnownErasures(backed_up.services.home.erasures))
    assert found_in(tmp_path / "new", [*OF_THE_USER, *OF_THE_PERSON]) >= {USER, *OF_THE_PERSON}


async def test_the_restored_home_keeps_the_ledger(backed_up: World, tmp_path: Path) -> None:
    """The next backup is older than these erasures, too."""
    erase_both(backed_up)
    known = backed_up.services.ledger.lines()
    restored(tmp_path, KnownErasures(backed_up.services.home.erasures))
    again = restored(tmp_path, KnownErasures(tmp_path / "new" / "data" / "erasures.jsonl"), "once-more")
    assert again.erased == 2
    with open_services(tmp_path / "once-more", GatedModel()) as services:
        assert services.ledger.lines()[: len(known)] == known
    assert found_in(tmp_path / "once-more", [*OF_THE_USER, *OF_THE_PERSON]) == set()


async def test_a_ledger_that_was_altered_or_is_older_or_another_is_refused(
    backed_up: World, tmp_path: Path, built_home: tuple[Path, object]
) -> None:
    services = backed_up.services
    services.erasures.erase_user(USER, by="tests")
    ledger = tmp_path / "ledger"
    shutil.copy(services.home.erasures, ledger)
    lines = ledger.read_bytes().splitlines(keepends=True)
    services.erasures.erase_person(PERSON, by="tests")
    make_backup(services, tmp_path / "later", "tests", WORDS)
    with pytest.raises(BackupError, match="older than the one in the backup"):
        restore(tmp_path / "later", Home(tmp_path / "new"), "tests", Unlocking(lambda: WORDS), KnownErasures(ledger))
    ledger.write_bytes(lines[0].replace(b"user", b"person"))
    with pytest.raises(LedgerUnusableError):
        restored(tmp_path, KnownErasures(ledger))
    ledger.write_bytes(b"".join(lines[1:]))
    with pytest.raises(LedgerUnusableError):
        restored(tmp_path, KnownErasures(ledger))
    with pytest.raises(BackupError, match="no ledger"):
        restored(tmp_path, KnownErasures(tmp_path / "nowhere"))
    assert not (tmp_path / "new").exists()


async def test_a_newer_trail_tells_of_users(backed_up: World, tmp_path: Path) -> None:
    services = backed_up.services
    services.erasures.erase_user(USER, by="tests")
    services.close()
    made = restored(tmp_path, KnownErasures(trail=services.home.trail))
    assert made.erased == 1
    assert found_in(tmp_path / "new", OF_THE_USER) == set()


async def test_a_newer_trail_shows_that_a_ledger_is_too_old(backed_up: World, tmp_path: Path) -> None:
    services = backed_up.services
    services.erasures.erase_user(USER, by="tests")
    shutil.copy(services.home.erasures, tmp_path / "ledger")
    services.erasures.erase_person(PERSON, by="tests")
    services.close()
    with pytest.raises(BackupError, match="lacks"):
        restored(tmp_path, KnownErasures(tmp_path / "ledger", services.home.trail))
    with pytest.raises(BackupError, match="only the ledger knows"):
        restored(tmp_path, KnownErasures(trail=services.home.trail))
    assert not (tmp_path / "new").exists()
    assert restored(tmp_path, KnownErasures(services.home.erasures, services.home.trail)).erased == 2


async def test_a_trail_that_is_not_sound_tells_nothing(backed_up: World, tmp_path: Path) -> None:
    backed_up.services.close()
    copy = tmp_path / "trail.db"
    shutil.copy(backed_up.services.home.trail, copy)
    content = bytearray(copy.read_bytes())
    at = content.index(b'"kind":"question:asked"')
    content[at + 10] ^= 1
    copy.write_bytes(content)
    with pytest.raises(BackupError, match="no sound copy"):
        restored(tmp_path, KnownErasures(trail=copy))


def line(number: int, step: Step, token: str) -> LedgerLine:
    return LedgerLine(number, "", step, ErasedKind.USER, token, (), "")


def test_what_was_completed_before_the_copy_is_not_done_again() -> None:
    lines = [line(1, Step.BEGUN, "a"), line(2, Step.DONE, "a"), line(3, Step.BEGUN, "b"), line(4, Step.DONE, "b")]
    assert [one.token for one in erased_since(lines, 4)] == []
    assert [one.token for one in erased_since(lines, 3)] == ["b"]  # Carried out after the database was copied.
    assert [one.token for one in erased_since(lines, 2)] == ["b"]
    assert [one.token for one in erased_since(lines, 0)] == ["a", "b"]


async def test_one_who_is_erased_while_the_backup_is_made_is_not_in_it(
    backed_up: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database was copied before, the ledger after it: the backup itself tells of them."""
    services, real = backed_up.services, snapshot._copy_database

    def copied(source: Path, *more: Any) -> Any:
        if source == services.home.trail:
            services.erasures.erase_user(USER, by="tests")
        return real(source, *more)

    monkeypatch.setattr(snapshot, "_copy_database", copied)
    (tmp_path / "b").unlink()
    make_backup(services, tmp_path / "b", "tests", WORDS)
    assert restored(tmp_path, KnownErasures()).erased == 1
    assert found_in(tmp_path / "new", OF_THE_USER) == set()
