"""The ledger says who was erased without naming them, notices every change, and survives being cut off."""

from pathlib import Path

import pytest

from gateway.errors import LedgerUnusableError
from gateway.ledger import ErasedKind, Ledger, Step
from policies.keys import create_keys

TOKEN, OTHER = "p0123456789abcdef", "p0000000000000000"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "erasures.jsonl", create_keys(tmp_path / "keys"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "erasures.jsonl"


def test_there_is_none_at_first(ledger: Ledger, file: Path) -> None:
    assert ledger.lines() == ()
    assert ledger.unfinished() == []
    assert ledger.stamp is None
    assert not file.exists()


def test_what_was_begun_and_not_completed_is_told(ledger: Ledger) -> None:
    begun = ledger.append(Step.BEGUN, ErasedKind.USER, TOKEN, ("h1",))
    ledger.append(Step.BEGUN, ErasedKind.PERSON, OTHER, ("h2", "h3"))
    assert [line.token for line in ledger.unfinished()] == [TOKEN, OTHER]
    ledger.append(Step.DONE, ErasedKind.PERSON, OTHER)
    assert ledger.unfinished() == [begun]
    assert [line.number for line in ledger.lines()] == [1, 2, 3]


def test_one_that_cannot_be_looked_at_is_told_in_a_sentence(file: Path, tmp_path: Path) -> None:
    file.touch()
    unreachable = Ledger(file / "erasures.jsonl", create_keys(tmp_path / "keys"))
    with pytest.raises(LedgerUnusableError, match="Check its owner and mode"):
        unreachable.lines()


def test_every_line_changes_its_stamp(ledger: Ledger) -> None:
    stamps = [ledger.stamp]
    for step in Step:
        ledger.append(step, ErasedKind.USER, TOKEN)
        stamps.append(ledger.stamp)
    assert len(set(stamps)) == 3


def test_another_process_reads_it_and_only_its_owner_may(ledger: Ledger, tmp_path: Path, file: Path) -> None:
    ledger.append(Step.BEGUN, ErasedKind.USER, TOKEN)
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(LedgerUnusableError, match="Line 1"):
        Ledger(file, create_keys(tmp_path / "others")).lines()


def test_no_byte_of_it_can_be_changed(ledger: Ledger, file: Path) -> None:
    for token in (TOKEN, OTHER):
        ledger.append(Step.BEGUN, ErasedKind.USER, token)
    content = file.read_bytes()
    for at in range(len(content) - 1):
        file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(LedgerUnusableError):
            ledger.lines()
        with pytest.raises(LedgerUnusableError):
            ledger.append(Step.DONE, ErasedKind.USER, TOKEN)


def test_lines_cannot_be_taken_out_or_moved(ledger: Ledger, file: Path) -> None:
    for token in (TOKEN, OTHER, TOKEN):
        ledger.append(Step.BEGUN, ErasedKind.USER, token)
    first, second, third = file.read_bytes().splitlines(keepends=True)
    for altered in (second + third, first + third, second + first + third, first + first + second):
        file.write_bytes(altered)
        with pytest.raises(LedgerUnusableError):
            ledger.lines()


@pytest.mark.parametrize("cut", [1, 40, 100])
def test_a_line_that_was_cut_off_was_never_begun(ledger: Ledger, file: Path, cut: int) -> None:
    first = ledger.append(Step.BEGUN, ErasedKind.USER, TOKEN)
    ledger.append(Step.BEGUN, ErasedKind.USER, OTHER)
    file.write_bytes(file.read_bytes()[:-cut])
    assert ledger.lines() == (first,)
    again = ledger.append(Step.BEGUN, ErasedKind.USER, OTHER)
    assert [line.number for line in ledger.lines()] == [1, 2]
    assert ledger.lines()[-1] == again


def test_where_it_cannot_be_written_that_is_said(tmp_path: Path) -> None:
    nowhere = Ledger(tmp_path / "gone" / "erasures.jsonl", create_keys(tmp_path / "keys"))
    with pytest.raises(LedgerUnusableError, match="Nothing was erased"):
        nowhere.append(Step.BEGUN, ErasedKind.USER, TOKEN)


def test_a_ledger_that_knows_more_is_taken_over(ledger: Ledger, file: Path, tmp_path: Path) -> None:
    ledger.append(Step.BEGUN, ErasedKind.USER, TOKEN)
    early = file.read_bytes()
    ledger.append(Step.DONE, ErasedKind.USER, TOKEN)
    kept, lines = tmp_path / "kept.jsonl", ledger.lines()
    kept.write_bytes(file.read_bytes())
    for there in (b"", early, file.read_bytes()):
        file.write_bytes(there)
        assert ledger.adopt(kept) == 2
        assert ledger.lines() == lines
    kept.write_bytes(early)
    with pytest.raises(LedgerUnusableError, match="does not begin with"):
        ledger.adopt(kept)
    with pytest.raises(LedgerUnusableError, match="cannot be taken over"):
        ledger.adopt(tmp_path / "none.jsonl")
    kept.write_bytes(early.replace(TOKEN.encode(), OTHER.encode()))
    with pytest.raises(LedgerUnusableError, match="Line 1"):
        ledger.adopt(kept)
    assert ledger.lines() == lines
