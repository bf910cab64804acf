"""A home is backed up while it is used, and comes back as it was or not at all."""

import itertools
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self

import pytest
from msgspec import structs
from sqlmodel import Session, select

from gateway.backup import making, passphrase, snapshot
from gateway.backup.erasures import KnownErasures
from gateway.backup.making import make_backup
from gateway.backup.restoring import Restored, Unlocking, restore
from gateway.backup.snapshot import Progress
from gateway.chat.store import Message, new_conversation
from gateway.config import Home
from gateway.errors import BackupError, BadRequestError, ConflictError
from gateway.identity.store import SessionRow
from gateway.services import Services
from models.engine import Speaker
from policies.audit.checkpoints import SignedCheckpoint
from policies.audit.events import SourceRemoved, UserUnlocked
from policies.audit.reader import EntryQuery, read_entries
from policies.audit.verifier import verify
from policies.errors import KeysUnusableError, TrailUnavailableError
from retrieval.tables import utc_now
from tests.gateway.conftest import World, open_services, recorded
from tests.gateway.gated_model import GatedModel

WORDS = "several words in a row"
NO_LEDGER = KnownErasures(None)


@pytest.fixture(autouse=True)
def quick_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Argon2id costs is no matter of these tests."""
    monkeypatch.setattr(passphrase, "_PASSES", 1)
    monkeypatch.setattr(passphrase, "_MEMORY_KIB", 64)


def unlocked(words: str = WORDS) -> Unlocking:
    return Unlocking(lambda: words)


def restored_from(file: Path, folder: Path, unlocking: Unlocking | None = None) -> Restored:
    return restore(file, Home(folder), "tests", unlocking or unlocked(), NO_LEDGER)


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Everything in a database."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return {table: sorted(connection.execute(f'SELECT * FROM "{table}"'), key=repr) for table in tables}


def newest(home: Path, kind: str) -> dict[str, object]:
    (entry,) = read_entries(Home(home).trail, EntryQuery(kind=kind, limit=1))
    return dict(entry.event)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_home_comes_back_with_all_it_held(world: World, tmp_path: Path) -> None:
    services = world.services
    conversation = new_conversation()
    services.conversations.append("alice", conversation, Message(Speaker.USER, "What is the Kestrel budget?"))
    (services.home.folder / "words.txt").write_text("Kestrel")
    before = rows(services.home.database)
    made = make_backup(services, tmp_path / "b", "tests", WORDS)
    new = tmp_path / "new"
    restored = restored_from(tmp_path / "b", new)
    assert restored.id == made.id
    assert restored.problems == ()
    assert rows(new / "data" / "muniment.db") == before
    assert (new / "words.txt").read_text() == "Kestrel"
    assert (new / "muniment.toml").read_bytes() == services.home.config_file.read_bytes()
    restored_files = [path for path in new.rglob("*") if path.is_file() and path.name != "trail.seen"]
    assert {path.stat().st_mode & 0o077 for path in [new, *restored_files]} == {0}
    with open_services(new, GatedModel()) as again:
        (message,) = again.conversations.open("alice", conversation.id).messages
        assert message.text == "What is the Kestrel budget?"
        assert len(again.index) == len(services.index)


def test_both_are_in_the_trail(world: World, tmp_path: Path) -> None:
    made = make_backup(world.services, tmp_path / "b", "olga", WORDS)
    (said,) = recorded(world, "backup:made")
    assert said == {"by": "olga", "backup": made.id, "entries": made.entries, "with_keys": True}
    restored_from(tmp_path / "b", tmp_path / "new")
    said = newest(tmp_path / "new", "backup:restored")
    assert (said["backup"], said["entries"], said["ledger"]) == (made.id, made.entries, False)
    assert verify(Home(tmp_path / "new").trail, world.services.keys.public_key_pem()).ok


def test_nothing_of_it_can_be_read_in_the_file(world: World, tmp_path: Path) -> None:
    make_backup(world.services, tmp_path / "b", "tests", WORDS)
    content = (tmp_path / "b").read_bytes()
    master = (world.services.home.keys / "master.key").read_bytes()
    for secret in (b"Kestrel", b"alice", b"PRIVATE KEY", b"SQLite format", b"master.key", master):
        assert secret not in content
    assert b"alice" in world.services.home.database.read_bytes()
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600


def test_without_keys_the_keys_open_it_and_nothing_else(world: World, tmp_path: Path) -> None:
    made = make_backup(world.services, tmp_path / "b", "tests", None)
    assert not made.with_keys
    with pytest.raises(BackupError, match="--keys"):
        restored_from(tmp_path / "b", tmp_path / "new")
    other = tmp_path / "other"
    shutil.copytree(world.services.home.keys, other)
    (other / "master.key").write_bytes(b"x" * 32)
    with pytest.raises(KeysUnusableError, match="is not in"):
        restored_from(tmp_path / "b", tmp_path / "new", Unlocking(lambda: WORDS, other))
    assert not (tmp_path / "new").exists()
    restored_from(tmp_path / "b", tmp_path / "new", Unlocking(lambda: WORDS, world.services.home.keys))
    kept = {path.name: path.read_bytes() for path in world.services.home.keys.iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "new" / "keys").iterdir()} == kept


def test_a_wrong_passphrase_is_told_plainly(world: World, tmp_path: Path) -> None:
    make_backup(world.services, tmp_path / "b", "tests", WORDS)
    with pytest.raises(BackupError, match="The passphrase is wrong"):
        restored_from(tmp_path / "b", tmp_path / "new", unlocked("several words in a roe"))
    assert not (tmp_path / "new").exists()


def test_a_short_passphrase_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(BadRequestError, match="12 characters"):
        make_backup(world.services, tmp_path / "b", "tests", "short")
    assert not (tmp_path / "b").exists()


def test_a_file_that_exists_is_never_replaced(world: World, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("b", "link"):
        with pytest.raises(ConflictError):
            make_backup(world.services, tmp_path / name, "tests", WORDS)
    assert (tmp_path / "b").read_text() == "precious"


def test_a_backup_within_the_home_is_refused(world: World, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(world.services.home.folder / "data")
    for file in (world.services.home.folder / "b", tmp_path / "link" / "b"):
        with pytest.raises(ConflictError, match="within the home"):
            make_backup(world.services, file, "tests", WORDS)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount")
def test_a_disk_that_cannot_be_written_is_told(world: World, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(disk)], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        make_backup(world.services, tmp_path / "good", "tests", WORDS)
        with pytest.raises(BackupError, match="Read-only"):
            make_backup(world.services, disk / "b", "tests", WORDS)
        with pytest.raises(BackupError, match="Read-only"):
            restored_from(tmp_path / "good", disk / "new")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_file_that_comes_meanwhile_is_not_replaced_either(world: World, tmp_path: Path) -> None:
    def come(_done: int, _of: int) -> None:
        (tmp_path / "b").write_text("precious")

    with pytest.raises(ConflictError):
        make_backup(world.services, tmp_path / "b", "tests", WORDS, come)
    assert (tmp_path / "b").read_text() == "precious"
    assert files_in(tmp_path) - files_in(tmp_path / "home") == {
        "b",
        *(f"home/{name}" for name in files_in(tmp_path / "home")),
    }


def test_a_backup_that_cannot_be_recorded_is_not_kept(world: World, tmp_path: Path) -> None:
    world.services.trail.close()
    with pytest.raises(TrailUnavailableError):
        make_backup(world.services, tmp_path / "b", "tests", WORDS)
    assert not list(tmp_path.glob("*b*"))


def test_a_restore_touches_no_folder_that_holds_something(world: World, tmp_path: Path) -> None:
    make_backup(world.services, tmp_path / "b", "tests", WORDS)
    before = files_in(world.services.home.folder)
    for folder in (world.services.home.folder, tmp_path):
        with pytest.raises(ConflictError, match="no new or empty folder"):
            restored_from(tmp_path / "b", folder)
    assert files_in(world.services.home.folder) == before
    (tmp_path / "empty").mkdir()
    restored_from(tmp_path / "b", tmp_path / "empty")
    assert (tmp_path / "empty" / "muniment.toml").exists()


def test_a_damaged_backup_leaves_nothing(world: World, tmp_path: Path) -> None:
    """Cut at each chunk's end, and altered in each chunk: the parts before it were good."""
    make_backup(world.services, tmp_path / "b", "tests", WORDS)
    content = (tmp_path / "b").read_bytes()
    head = len(b"".join(content.splitlines(keepends=True)[:4]))
    ends = [*range(head, len(content), (1 << 16) + 16), len(content) - 1]
    bad = tmp_path / "bad"
    for end in ends:
        for altered in (content[:end], content[:end] + bytes([content[end] ^ 1]) + content[end + 1 :]):
            bad.write_bytes(altered)
            with pytest.raises(BackupError, match="damaged"):
                restored_from(bad, tmp_path / "new")
            assert not (tmp_path / "new").exists()
    assert len(ends) > 4


def test_a_backup_of_a_newer_version_is_refused(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = making._contents
    monkeypatch.setattr(making, "_contents", lambda *args: _as_newer(real(*args)))
    make_backup(world.services, tmp_path / "b", "tests", WORDS)
    with pytest.raises(BackupError, match="newer version of Muniment"):
        restored_from(tmp_path / "b", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def _as_newer(contents: making.Contents) -> making.Contents:
    return structs.replace(contents, schema="9999", version="9.0")


def test_sessions_that_the_backup_holds_are_ended(world: World, tmp_path: Path) -> None:
    services = world.services
    with Session(services.database) as session:
        now = utc_now()
        session.add(
            SessionRow(
                id="s1",
                user_id="alice",
                token_sha256="t",
                rotated_at=now,
                created_at=now,
                seen_at=now,
                expires_at=now,
                method="password",
            )
        )
        session.commit()
    make_backup(services, tmp_path / "b", "tests", WORDS)
    assert restored_from(tmp_path / "b", tmp_path / "new").sessions_ended == 1
    with Services(Home(tmp_path / "new")) as again, Session(again.database) as session:
        assert [row.ended_at is not None for row in session.exec(select(SessionRow))] == [True]


def test_what_the_trail_lacks_is_told_by_a_kept_checkpoint(world: World, tmp_path: Path) -> None:
    services = world.services
    made = make_backup(services, tmp_path / "b", "tests", WORDS)
    services.recorder.record_now(UserUnlocked("tests", "alice"))
    services.close()
    kept = _last_checkpoint(services.home.trail)
    assert kept.checkpoint.count == made.entries + 2  # The backup's own entry came after its copy of the trail.
    restored = restore(tmp_path / "b", Home(tmp_path / "new"), "tests", unlocked(), NO_LEDGER, kept=kept)
    assert restored.missing is not None
    assert (restored.missing.first, restored.missing.last) == (made.entries + 1, made.entries + 2)
    assert newest(tmp_path / "new", "backup:restored")["entries_missing"] == 2
    report = verify(Home(tmp_path / "new").trail, services.keys.public_key_pem(), kept)
    assert not report.ok
    assert verify(Home(tmp_path / "new").trail, services.keys.public_key_pem()).ok


def _last_checkpoint(trail: Path) -> SignedCheckpoint:
    with closing(sqlite3.connect(trail)) as connection:
        row = connection.execute("SELECT body, signature FROM checkpoints ORDER BY number DESC LIMIT 1").fetchone()
    return SignedCheckpoint.from_parts(*row)


def test_a_checkpoint_of_another_trail_is_refused(
    world: World, tmp_path: Path, built_home: tuple[Path, object]
) -> None:
    make_backup(world.services, tmp_path / "b", "tests", WORDS)
    signed = _last_checkpoint(Home(built_home[0]).trail)
    other = SignedCheckpoint.from_line(signed.line().replace(signed.checkpoint.log, "f" * 16))
    with pytest.raises(BackupError, match="is of trail"):
        restore(tmp_path / "b", Home(tmp_path / "new"), "tests", unlocked(), NO_LEDGER, kept=other)
    assert not (tmp_path / "new").exists()


def test_copies_of_the_databases_never_have_a_name(world: World, tmp_path: Path) -> None:
    names: set[str] = set()

    def look(_done: int, _of: int) -> None:
        names.update(path.name for path in (world.services.home.folder / "data").iterdir())

    make_backup(world.services, tmp_path / "b", "tests", WORDS, look)
    assert {name for name in names if "backup" in name} == set()
    assert "muniment.db" in names


def test_what_tells_how_far_the_trail_was_stays_behind(world: World, tmp_path: Path) -> None:
    """A restored trail is older than what they say, and would be taken for one that was cut."""
    home = world.services.home
    home.copies.mkdir(exist_ok=True)
    (home.copies / "elsewhere.json").write_text("{}")
    make_backup(world.services, tmp_path / "b", "tests", WORDS)
    assert home.trail_seen.exists()
    restored_from(tmp_path / "b", tmp_path / "new")
    assert not (tmp_path / "new" / "data" / "copies").exists()
    with Services(Home(tmp_path / "new")) as again:
        assert again.trail.health.ready


def test_a_restore_sends_nothing(world: World, tmp_path: Path) -> None:
    """Checkpoints of a copy would be taken for those of the installation."""
    home, kept = world.services.home, tmp_path / "kept.jsonl"
    home.config_file.write_text(f'[audit]\ndeadline_seconds = 60\ncheckpoint_file = "{kept}"\n')
    with Services(home) as services:
        make_backup(services, tmp_path / "b", "tests", WORDS)
    before = kept.read_bytes()
    restored_from(tmp_path / "b", tmp_path / "new")
    assert kept.read_bytes() == before
    with Services(Home(tmp_path / "new")) as again:
        again.recorder.record_now(UserUnlocked("tests", "alice"))
    assert kept.read_bytes() != before  # Negative control: in use it sends.


def test_two_at_once_are_both_whole(world: World, tmp_path: Path) -> None:
    def another(_done: int, _of: int) -> None:
        if not (tmp_path / "c").exists():
            make_backup(world.services, tmp_path / "c", "tests", WORDS)

    make_backup(world.services, tmp_path / "b", "tests", WORDS, another)
    for name in ("b", "c"):
        assert restored_from(tmp_path / name, tmp_path / f"new-{name}").problems == ()


def test_keys_that_are_exchanged_meanwhile_are_noticed(world: World, tmp_path: Path) -> None:
    numbers = itertools.count()
    pem = world.services.home.keys / "note"

    def exchange(_done: int, _of: int) -> None:
        pem.write_text(str(next(numbers)))

    with pytest.raises(BackupError, match="exchanged"):
        make_backup(world.services, tmp_path / "b", "tests", WORDS, exchange)
    assert not (tmp_path / "b").exists()


def test_a_damaged_database_is_not_backed_up(world: World, tmp_path: Path) -> None:
    services = world.services
    _ = services.recorder, services.keys
    services.database.dispose()
    path = services.home.database
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 20_000)
    with pytest.raises(BackupError, match=r"damaged|malformed"):
        make_backup(services, tmp_path / "b", "tests", WORDS)
    assert not (tmp_path / "b").exists()


def test_keys_that_cannot_be_read_are_told(world: World, tmp_path: Path) -> None:
    home = world.services.home
    (home.keys / "signing.pem").chmod(0o644)
    with Services(home) as services, pytest.raises(KeysUnusableError, match="chmod 600"):
        make_backup(services, tmp_path / "b", "tests", WORDS)
    (home.keys / "signing.pem").unlink()
    with Services(home) as services, pytest.raises(KeysUnusableError):
        make_backup(services, tmp_path / "b", "tests", WORDS)
    assert not (tmp_path / "b").exists()


@pytest.fixture
def largest_file() -> Iterator[Callable[[int], None]]:
    """Lets no file grow beyond a size, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_disk_that_fills_up_leaves_no_backup(
    world: World, tmp_path: Path, largest_file: Callable[[int], None], size: int
) -> None:
    _ = world.services.recorder
    before = files_in(tmp_path)
    largest_file(size)
    with pytest.raises(BackupError, match=r"full|too large|large"):
        make_backup(world.services, tmp_path / "b", "tests", WORDS)
    assert {name for name in files_in(tmp_path) - before if "muniment.db-" not in name} == set()


@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_disk_that_fills_up_leaves_no_home(
    world: World, tmp_path: Path, largest_file: Callable[[int], None], size: int
) -> None:
    make_backup(world.services, tmp_path / "b", "tests", WORDS)
    largest_file(size)
    with pytest.raises(BackupError, match="cannot be written"):
        restored_from(tmp_path / "b", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_too_little_room_is_told_before_anything_is_written(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_backup(world.services, tmp_path / "b", "tests", WORDS)
    little = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: little)
    with pytest.raises(BackupError, match="Free some space"):
        make_backup(world.services, tmp_path / "c", "tests", WORDS)
    with pytest.raises(BackupError, match="Free some space"):
        restored_from(tmp_path / "b", tmp_path / "new")
    assert not (tmp_path / "new").exists()


class Writing:
    """Writes to the home as the service does, as fast as it can: into the trail first, then into the database."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._going = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.written = 0

    def __enter__(self) -> Self:
        with closing(sqlite3.connect(self._services.home.database)) as connection:
            connection.execute("CREATE TABLE written (id INTEGER PRIMARY KEY, name TEXT, again TEXT)")
        self._going.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._going.clear()
        self._thread.join()

    def wait_for_more(self, _done: int, _of: int) -> None:
        """Return once something more was written, however slow the machine is."""
        seen = self.written
        for _ in range(12_000):
            if self.written > seen:
                return
            threading.Event().wait(0.005)
        pytest.fail("nothing was written beside a backup for a minute")

    def _run(self) -> None:
        with closing(sqlite3.connect(self._services.home.database, timeout=30, isolation_level=None)) as connection:
            while self._going.is_set():
                name = f"w{self.written}"
                self._services.recorder.record_now(SourceRemoved("tests", name))
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("INSERT INTO written (name, again) VALUES (?, ?)", (name, name * 500))
                connection.execute("COMMIT")
                self.written += 1


def unrecorded(home: Path) -> set[str]:
    """What the database holds and the trail does not tell of."""
    with closing(sqlite3.connect(Home(home).database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        held = {name for (name,) in connection.execute("SELECT name FROM written")}
    entries = read_entries(Home(home).trail, EntryQuery(kind="source:removed", limit=100_000))
    return held - {str(entry.event["source"]) for entry in entries}


@pytest.mark.parametrize("rounds", [3, pytest.param(60, marks=pytest.mark.deep)])
def test_what_the_database_holds_the_trail_tells_of(world: World, tmp_path: Path, rounds: int) -> None:
    services = world.services
    with Writing(services) as writing:
        for number in range(rounds):
            make_backup(services, tmp_path / f"b{number}", "tests", WORDS, writing.wait_for_more)
            new = tmp_path / f"new{number}"
            assert restored_from(tmp_path / f"b{number}", new).problems == ()
            assert unrecorded(new) == set()
            shutil.rmtree(new)


def test_the_other_order_is_noticed(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the trail first, and the database after it."""

    def both(home: Home, _: object, copies: ExitStack, progress: Progress) -> list[snapshot._Copy]:
        trail = snapshot._copy_database(home.trail, snapshot._OF_THE_TRAIL, copies, progress)
        seen = writing.written
        while writing.written < seen + 3:
            threading.Event().wait(0.01)
        return [snapshot._copy_database(home.database, snapshot._OF_THE_DATABASE, copies, progress), trail]

    monkeypatch.setattr(snapshot, "_databases", both)
    with Writing(world.services) as writing:
        make_backup(world.services, tmp_path / "b", "tests", WORDS)
    restored_from(tmp_path / "b", tmp_path / "new")
    assert unrecorded(tmp_path / "new") != set()


KILLED = """
import os, signal, sys
from pathlib import Path
from gateway.backup import erasures, making, passphrase, restoring
from gateway.config import Home
from gateway.services import Services
what, at, home, file, into = sys.argv[1], int(sys.argv[2]), *map(Path, sys.argv[3:])
passphrase._PASSES, passphrase._MEMORY_KIB = 1, 64
calls = 0
real = os.fsync
def fsync(descriptor):
    global calls
    calls += 1
    if calls == at:
        os.kill(os.getpid(), signal.SIGKILL)
    real(descriptor)
if what == "backup":
    with Services(Home(home)) as services:
        _ = services.recorder
        os.fsync = fsync
        making.make_backup(services, file, "tests", "several words in a row")
else:
    os.fsync = fsync
    restoring.restore(
        file, Home(into), "tests", restoring.Unlocking(lambda: "several words in a row"), erasures.KnownErasures()
    )
"""


ALL_MOMENTS = pytest.param(range(1, 100), marks=[pytest.mark.deep, pytest.mark.timeout(1200)])


@pytest.mark.parametrize("moments", [(2, 5, 8), ALL_MOMENTS])
@pytest.mark.parametrize("what", ["backup", "restore"])
def test_killed_anywhere_it_leaves_nothing_that_looks_whole(
    world: World, tmp_path: Path, what: str, moments: Iterable[int]
) -> None:
    """`kill -9` at each moment at which something has just been brought to disk."""
    make_backup(world.services, tmp_path / "good", "tests", WORDS)
    world.services.close()
    for at in moments:
        file = tmp_path / ("good" if what == "restore" else f"b{at}")
        into = tmp_path / f"new{at}"
        arguments = [sys.executable, "-c", KILLED, what, str(at), str(world.services.home), str(file), str(into)]
        ended = subprocess.run(arguments, check=False, env=os.environ | {"PYTHONPATH": str(Path.cwd())})
        if what == "backup" and file.exists():
            restored_from(file, tmp_path / f"again{at}")
        if what == "restore" and (into / "muniment.toml").exists():
            assert verify(Home(into).trail, world.services.keys.public_key_pem()).ok
            assert newest(into, "backup:restored")
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
    assert at > 4
    make_backup(Services(world.services.home), tmp_path / "last", "tests", WORDS)
    assert [path for path in world.services.home.folder.rglob(".*") if path.stat().st_size] == []
