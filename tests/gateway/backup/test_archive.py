"""What a backup holds is taken by its list alone, and lands nowhere but in the folder."""

import io
import tarfile
from pathlib import Path

import msgspec
import pytest

from gateway.backup import archive
from gateway.backup.archive import Contents, File
from gateway.backup.sealed import InstallationKey, SealedReader, SealedWriter, new_header, read_header
from gateway.backup.snapshot import Part
from gateway.errors import BackupError

SECRET = b"s" * 32


def part(name: str, content: bytes) -> Part:
    return Part(name, len(content), io.BytesIO(content))


def listed(*files: File) -> Contents:
    return Contents(archive.FORMAT, "0.1.0", "2026-12-01T00:00:00+00:00", "0008", "0" * 16, 1, 0, files)


def reading(written: bytes) -> SealedReader:
    source = io.BytesIO(written)
    header, _ = read_header(source)
    return SealedReader(source, header, SECRET)


def packed(contents: Contents, parts: list[Part]) -> SealedReader:
    out = io.BytesIO()
    writer = SealedWriter(out, new_header(InstallationKey("0" * 16)), SECRET)
    archive.pack(contents, parts, writer, lambda *_: None)
    writer.finish()
    return reading(out.getvalue())


def by_hand(contents: bytes, *members: tuple[tarfile.TarInfo, bytes]) -> SealedReader:
    """An archive of whoever has the key and means harm."""
    tar, out = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as made:
        for member, content in ((tarfile.TarInfo("contents.json"), contents), *members):
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    writer = SealedWriter(out, new_header(InstallationKey("0" * 16)), SECRET)
    writer.write(tar.getvalue())
    writer.finish()
    return reading(out.getvalue())


def unpacked(source: SealedReader, folder: Path) -> dict[str, bytes]:
    archive.unpack(source, folder, lambda _: None, lambda *_: None)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_come_out_as_they_went_in(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(range(256)) * 20_000)
    parts = [part("data/one.db", large.read_bytes()), part("muniment.toml", b""), part("words/n\u00e4mes.txt", b"Ada")]
    contents = listed(*(File(one.name, one.size) for one in parts))
    target = tmp_path / "target"
    target.mkdir()
    assert unpacked(packed(contents, parts), target) == {
        "data/one.db": large.read_bytes(),
        "muniment.toml": b"",
        "words/n\u00e4mes.txt": b"Ada",
    }
    assert {path.stat().st_mode & 0o777 for path in target.rglob("*") if path.is_file()} == {0o600}


OUTSIDE = [
    "../evil",
    "/tmp/evil",
    "a/../../evil",
    "..",
    ".",
    "",
    "a//b",
    "a/./b",
    "a\\..\\b",
    ".hidden",
    "a\0b",
    "a\nb",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / "in" / "target"
    target.mkdir(parents=True)
    contents = msgspec.json.encode(listed(File(name, 4)))
    with pytest.raises(BackupError, match="outside the home"):
        unpacked(by_hand(contents, (tarfile.TarInfo(name), b"evil")), target)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_only_files_are_taken(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("keys")
    member.type, member.linkname = kind, "/etc"
    with pytest.raises(BackupError):
        unpacked(by_hand(msgspec.json.encode(listed(File("keys", 0))), (member, b"")), tmp_path)
    assert list(tmp_path.iterdir()) == []


def one(name: str) -> tarfile.TarInfo:
    return tarfile.TarInfo(name)


@pytest.mark.parametrize(
    ("files", "members"),
    [
        ([File("a", 1)], []),
        ([], [(one("a"), b"1")]),
        ([File("a", 1)], [(one("b"), b"1")]),
        ([File("a", 2)], [(one("a"), b"1")]),
        ([File("a", 1), File("a", 1)], [(one("a"), b"1"), (one("a"), b"1")]),
        ([File("a", 1), File("b", 1)], [(one("b"), b"1"), (one("a"), b"1")]),
        ([File("a", 1), File("a/b", 1)], [(one("a"), b"1"), (one("a/b"), b"1")]),
        ([File("a", -1)], [(one("a"), b"")]),
    ],
)
def test_what_is_not_as_listed_is_refused(
    tmp_path: Path, files: list[File], members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    with pytest.raises((BackupError, OSError)):
        unpacked(by_hand(msgspec.json.encode(listed(*files)), *members), tmp_path)


@pytest.mark.parametrize("contents", [b"", b"{}", b"[]", b'{"format": 1}', b'{"format": "one"}', b"\xff" * 40])
def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path, contents: bytes) -> None:
    with pytest.raises(BackupError):
        unpacked(by_hand(contents), tmp_path)


def test_a_newer_format_is_told_before_the_rest_is_read(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="newer version"):
        unpacked(by_hand(b'{"format": 2, "something": "else"}'), tmp_path)


def test_what_is_refused_by_its_contents_writes_nothing(tmp_path: Path) -> None:
    def refuse(_: Contents) -> None:
        message = "not this one"
        raise BackupError(message)

    parts = [part("a", b"1")]
    with pytest.raises(BackupError, match="not this one"):
        archive.unpack(packed(listed(File("a", 1)), parts), tmp_path, refuse, lambda *_: None)
    assert list(tmp_path.iterdir()) == []
