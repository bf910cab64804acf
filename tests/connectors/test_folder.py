"""The folder connector sees every change, and never anything outside its folder."""

import json
import os
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors import Change, Checkpoint, Delete, Label, Part, Skip, Upsert
from connectors.access import load_access
from connectors.errors import ConfigurationError, SourceUnavailableError
from connectors.folder import walk
from connectors.folder.connector import FolderConnector, FolderOptions
from connectors.folder.cursor import read_cursor, write_cursor

AsNobody = Callable[[], AbstractContextManager[None]]


def folder(root: Path, access: Any = None, **options: Any) -> FolderConnector:
    return FolderConnector(FolderOptions(str(root), **options), access)


def write(root: Path, path: str, content: str | bytes = "text") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def upserts(changes: list[Change]) -> list[str]:
    return [change.path for change in changes if isinstance(change, Upsert)]


def deletes(changes: list[Change]) -> list[str]:
    return [change.id for change in changes if isinstance(change, Delete)]


def skips(changes: list[Change]) -> dict[str, str]:
    return {change.path: change.reason for change in changes if isinstance(change, Skip)}


def run(connector: FolderConnector, since: str | None = None) -> tuple[list[Change], str]:
    changes = list(connector.changes(since))
    assert isinstance(changes[-1], Checkpoint)
    return changes, changes[-1].cursor


def test_files_come_in_order_with_what_is_known_of_them(root: Path) -> None:
    for path in ("b/c.PDF", "a.md", "b/a.csv", "c.unheard-of", "LICENSE"):
        write(root, path, path)
    os.utime(root / "a.md", (1_700_000_000, 1_700_000_000))
    changes, _ = run(folder(root))
    assert upserts(changes) == ["LICENSE", "a.md", "b/a.csv", "b/c.PDF", "c.unheard-of"]
    found = {change.path: change for change in changes if isinstance(change, Upsert)}
    assert found["a.md"] == Upsert(
        id="a.md",
        path="a.md",
        content=b"a.md",
        media_type="text/markdown",
        label=Label.private(),
        modified=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
    )
    kinds = {path: change.media_type for path, change in found.items()}
    assert kinds["b/c.PDF"] == "application/pdf"
    assert kinds["LICENSE"] == kinds["c.unheard-of"] == "application/octet-stream"


def test_only_what_changed_comes_again(root: Path) -> None:
    for name in "abcd":
        write(root, f"{name}.md")
    changes, cursor = run(folder(root))
    assert run(folder(root), cursor) == ([Checkpoint(cursor)], cursor)
    write(root, "b.md", "new text")
    write(root, "e.md")
    (root / "c.md").unlink()
    changes, cursor = run(folder(root), cursor)
    assert (upserts(changes), deletes(changes)) == (["b.md", "e.md"], ["c.md"])
    assert len(run(folder(root), cursor)[0]) == 1


def test_a_change_that_keeps_size_and_time_is_seen(root: Path) -> None:
    file = write(root, "a.md", "one")
    _, cursor = run(folder(root))
    status = file.stat()
    file.write_text("two")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert upserts(run(folder(root), cursor)[0]) == ["a.md"]


def test_a_change_right_after_reading_is_seen(root: Path) -> None:
    """Files that change within one tick of the clock keep their times; reading waits until the tick is over."""
    for attempt in range(5):
        file = write(root, "a.md", f"one {attempt}")
        _, cursor = run(folder(root))
        file.write_text(f"two {attempt}")
        assert upserts(run(folder(root), cursor)[0]) == ["a.md"]


def test_a_moved_file_is_a_new_one_and_the_old_one_goes(root: Path) -> None:
    write(root, "a/x.md")
    _, cursor = run(folder(root))
    (root / "a").rename(root / "b")
    changes, _ = run(folder(root), cursor)
    assert (upserts(changes), deletes(changes)) == (["b/x.md"], ["a/x.md"])


def test_a_changed_access_file_relabels_what_it_concerns(root: Path, tmp_path: Path) -> None:
    access = tmp_path / "access.json"
    rule = '{"groups": ["g", "h"], "rules": [{"prefix": "a/", "groups": ["g"]}, {"prefix": "b/", "groups": ["%s"]}]}'
    access.write_text(rule % "g")
    write(root, "a/x.md")
    write(root, "b/x.md")
    _, cursor = run(folder(root, load_access(access)))
    access.write_text(rule % "h")
    changes, cursor = run(folder(root, load_access(access)), cursor)
    (change,) = [change for change in changes if isinstance(change, Upsert)]
    assert (change.path, change.label) == ("b/x.md", Label.for_groups("h"))
    assert len(run(folder(root, load_access(access)), cursor)[0]) == 1


def test_hidden_files_are_ignored(root: Path) -> None:
    for path in (".git/config", ".env", "a/.hidden/b.md", "a/b.md"):
        write(root, path)
    assert upserts(run(folder(root))[0]) == ["a/b.md"]


def test_globs_choose_files(root: Path) -> None:
    for path in ("a.md", "a.TXT", "drafts/b.md", "drafts/deep/c.md", "keep/drafts.md", "x.log"):
        write(root, path)
    _, cursor = run(folder(root))
    changes, _ = run(folder(root, include="*.md, *.txt", exclude="drafts/*"), cursor)
    assert sorted(read_cursor(changes[-1].cursor)) == ["a.TXT", "a.md", "keep/drafts.md"]  # type: ignore[union-attr]
    assert sorted(deletes(changes)) == ["drafts/b.md", "drafts/deep/c.md", "x.log"]


# What must never be read.


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    write(tmp_path, "outside/secret.md", "SECRET")
    return tmp_path / "outside"


def holds_secret(changes: list[Change]) -> bool:
    return any(b"SECRET" in change.content for change in changes if isinstance(change, Upsert))


@pytest.mark.parametrize(
    "target", ["{outside}/secret.md", "{outside}", "../{name}/a.md", "/dev/zero", ".", "a.md", "x"]
)
def test_links_are_skipped_with_a_reason(root: Path, secret: Path, target: str) -> None:
    write(root, "a.md")
    (root / "link.md").symlink_to(target.format(outside=secret, name=root.name))
    changes, _ = run(folder(root))
    assert upserts(changes) == ["a.md"]
    assert "link" in skips(changes)["link.md"]


def test_following_links_would_be_noticed(root: Path, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with the two guards taken out, the secret is read."""
    (root / "link.md").symlink_to(secret / "secret.md")
    assert not holds_secret(run(folder(root))[0])
    monkeypatch.setattr(walk, "_OPEN_FILE", walk._OPEN_FILE & ~os.O_NOFOLLOW)
    monkeypatch.setattr(walk, "_status", lambda folder, name: os.stat(name, dir_fd=folder))
    assert holds_secret(run(folder(root))[0])


@pytest.mark.parametrize("swapped", ["folder", "file"])
def test_a_swap_for_a_link_while_the_run_looks_is_refused(
    root: Path, secret: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    write(root, "a/secret.md", "harmless")
    write(root, "b.md")
    really = walk._status

    def stat_then_swap(folder: int, name: str) -> os.stat_result:
        status = really(folder, name)
        if swapped == "folder" and name == "a":
            (root / "a").rename(root / ".moved")
            (root / "a").symlink_to(secret)
        if swapped == "file" and name == "secret.md":
            (root / "a/secret.md").unlink()
            (root / "a/secret.md").symlink_to(secret / "secret.md")
        return status

    monkeypatch.setattr(walk, "_status", stat_then_swap)
    changes, _ = run(folder(root))
    assert not holds_secret(changes)
    assert upserts(changes) == ["b.md"]


def test_pipes_sockets_and_swapped_pipes_do_not_hold_the_run_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "pipe.md")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket.md"))
        write(root, "swapped.md")
        really = walk._status

        def stat_then_swap(folder: int, name: str) -> os.stat_result:
            status = really(folder, name)
            if name == "swapped.md":
                (root / name).unlink()
                os.mkfifo(root / name)
            return status

        monkeypatch.setattr(walk, "_status", stat_then_swap)
        assert set(skips(run(folder(root))[0])) == {"pipe.md", "socket.md", "swapped.md"}


def test_names_that_break_a_line_or_are_no_text_are_skipped(root: Path) -> None:
    for name in (b"line\nbreak.md", b"\xff.md", "family \U0001f469\u200d\U0001f467.md".encode()):
        Path(os.fsdecode(os.fsencode(root) + b"/" + name)).write_text("text")
    changes, _ = run(folder(root))
    assert upserts(changes) == ["family \U0001f469\u200d\U0001f467.md"]
    assert len(skips(changes)) == 2
    for path in skips(changes):
        assert path.isprintable()
        path.encode()


# What cannot be read.


def test_a_large_file_is_skipped_unread(root: Path) -> None:
    write(root, "small.md", "x" * 10)
    os.truncate(write(root, "large.md"), 10**12)
    changes, cursor = run(folder(root, max_bytes=10))
    assert upserts(changes) == ["small.md"]
    assert "10 bytes" in skips(changes)["large.md"]
    assert len(run(folder(root, max_bytes=10), cursor)[0]) == 1


def test_an_unreadable_file_is_skipped_until_it_can_be_read(root: Path, without_rights: AsNobody) -> None:
    write(root, "a.md")
    file = write(root, "b.md")
    _, cursor = run(folder(root))
    file.chmod(0)
    with without_rights():
        changes, cursor = run(folder(root), cursor)
        assert "right to read" in skips(changes)["b.md"]
        assert len(run(folder(root), cursor)[0]) == 1
    file.chmod(0o644)
    assert upserts(run(folder(root), cursor)[0]) == ["b.md"]


def test_below_a_closed_folder_documents_are_skipped_not_deleted(root: Path, without_rights: AsNobody) -> None:
    write(root, "a.md")
    write(root, "closed/b.md")
    write(root, "closed/deep/c.md")
    _, cursor = run(folder(root))
    (root / "closed").chmod(0)
    with without_rights():
        changes, cursor = run(folder(root), cursor)
    assert set(skips(changes)) == {"closed", "closed/b.md", "closed/deep/c.md"}
    assert deletes(changes) == []
    (root / "closed").chmod(0o755)
    changes, _ = run(folder(root), cursor)
    assert (upserts(changes), deletes(changes)) == (["closed/b.md", "closed/deep/c.md"], ["closed"])


def test_a_skipped_file_that_goes_is_deleted(root: Path) -> None:
    write(root, "a.md")
    (root / "link.md").symlink_to("a.md")
    _, cursor = run(folder(root))
    (root / "link.md").unlink()
    assert deletes(run(folder(root), cursor)[0]) == ["link.md"]


def test_files_that_vanish_during_the_run_are_no_failure(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("a.md", "b/c.md", "d.md"):
        write(root, path)
    really = walk._status

    def stat_then_remove(folder: int, name: str) -> os.stat_result:
        if name == "d.md":
            (root / name).unlink()
        status = really(folder, name)
        if name == "a.md":
            (root / name).unlink()
        if name == "b":
            (root / "b").rename(root / ".b")
        return status

    monkeypatch.setattr(walk, "_status", stat_then_remove)
    assert len(run(folder(root))[0]) == 1


def test_a_missing_or_emptied_root_deletes_nothing(root: Path) -> None:
    write(root, "docs/a.md")
    _, cursor = run(folder(root / "docs"))
    (root / "docs/a.md").unlink()
    with pytest.raises(SourceUnavailableError, match="is empty, though 1 files"):
        list(folder(root / "docs").changes(cursor))
    (root / "docs").rmdir()
    with pytest.raises(SourceUnavailableError, match="No such file"):
        list(folder(root / "docs").changes(cursor))


def test_an_empty_folder_that_never_held_anything_is_fine(root: Path) -> None:
    changes, cursor = run(folder(root))
    assert len(changes) == 1
    write(root, "a.md")
    assert upserts(run(folder(root), cursor)[0]) == ["a.md"]


def test_check_tells_a_wrong_path_before_it_is_saved(root: Path, without_rights: AsNobody) -> None:
    folder(root).check()
    for path in ("absent", write(root, "a.md").name):
        with pytest.raises(ConfigurationError, match=path):
            folder(root / path).check()
    (root / "closed").mkdir(mode=0)
    with without_rights(), pytest.raises(ConfigurationError, match="Permission denied"):
        folder(root / "closed").check()


def test_very_deep_folders_end_with_a_reason(root: Path) -> None:
    write(root, "/".join(["d"] * 99) + "/a.md")
    write(root, "/".join(["d"] * 101) + "/b.md")
    changes, _ = run(folder(root))
    assert len(upserts(changes)) == 1
    assert "deep" in next(iter(skips(changes).values()))


@pytest.mark.parametrize("cursor", ["", "1", "2::", "1:!!:", "1:AAAA:AAAA", "{}", write_cursor({"a": b"123456"})[:-4]])
def test_a_damaged_cursor_is_told(root: Path, cursor: str) -> None:
    with pytest.raises(ConfigurationError, match="Remove and add"):
        list(folder(root).changes(cursor))


# Checkpoints and cost.


def test_a_checkpoint_covers_what_was_yielded_and_nothing_else(root: Path) -> None:
    for number in range(7):
        write(root, f"{number}.md")
    connector = FolderConnector(FolderOptions(str(root)), None, checkpoint_documents=3)
    yielded: set[str] = set()
    checkpoints = 0
    for change in connector.changes(None):
        if isinstance(change, Upsert):
            yielded.add(change.id)
        if isinstance(change, Checkpoint):
            checkpoints += 1
            assert set(read_cursor(change.cursor)) == yielded
    assert checkpoints == 3


def test_large_files_bring_checkpoints_closer(root: Path) -> None:
    for number in range(4):
        write(root, f"{number}.md", "x" * 100)
    connector = FolderConnector(FolderOptions(str(root)), None, checkpoint_bytes=150)
    kinds = [type(change) for change in connector.changes(None)]
    assert kinds == [Upsert, Upsert, Checkpoint, Upsert, Upsert, Checkpoint, Checkpoint]


def test_descriptors_are_closed_when_the_reader_stops_half_way(root: Path) -> None:
    write(root, "a/b/c/d.md")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        changes = folder(root).changes(None)
        next(changes)
        changes.close()  # type: ignore[attr-defined]
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_cursor_of_many_files_stays_small_and_quick() -> None:
    seen = {f"departments/team-{n % 300}/page-{n}.md": n.to_bytes(6, "big") for n in range(100_000)}
    started = time.perf_counter()
    cursor = write_cursor(seen)
    assert read_cursor(cursor) == seen
    assert time.perf_counter() - started < 3
    assert len(cursor) < 3_000_000


def test_a_change_to_a_parts_readers_reads_the_document_again(root: Path, tmp_path: Path) -> None:
    write(root, "offer.md", "# Offer\n\n## Salaries\n\n90000")
    file = tmp_path / "rules.json"

    def rules(*readers: str) -> Any:
        parts = [{"heading": "Salaries", "groups": list(readers)}]
        file.write_text(
            json.dumps({"groups": ["all", "pay"], "rules": [{"prefix": "", "groups": ["all"], "parts": parts}]})
        )
        return load_access(file)

    changes, cursor = run(folder(root, rules("pay")))
    [upsert] = [change for change in changes if isinstance(change, Upsert)]
    assert upsert.parts == (Part("Salaries", Label.for_groups("pay")),)
    assert upserts(run(folder(root, rules("pay")), cursor)[0]) == []
    assert upserts(run(folder(root, rules("pay", "all")), cursor)[0]) == ["offer.md"]
