"""Tables as text. Each row names its columns, so that a row still says what it says when the table is cut."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, zip_longest

from retrieval.parsing.document import MAX_TEXT_CHARACTERS, TOO_MUCH_TEXT, one_line
from retrieval.parsing.errors import UnparsableError

_LONGEST_COLUMN_NAME = 60
_FEWEST_COLUMNS_TO_GUESS = 3


def table_text(rows: Iterable[Sequence[str]], *, has_header: bool) -> str:
    """One line per row: `column: value; column: value` under a header, `value | value` without one.

    Raises:
        UnparsableError: The text would become too large.
    """
    lines, total = [], 0
    for line in _lines(rows, has_header=has_header):
        total += len(line)
        if total > MAX_TEXT_CHARACTERS:
            raise UnparsableError(TOO_MUCH_TEXT)
        lines.append(line)
    return "\n".join(lines)


def looks_like_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row of an unmarked table names its columns.

    A table of two columns is as often a list of names and values, where a guess would pair the wrong cells.
    """
    if len(rows) < 2 or len(rows[0]) < _FEWEST_COLUMNS_TO_GUESS:  # noqa: PLR2004 - a header and a row
        return False
    return names_columns(rows[0])


def names_columns(row: Sequence[str]) -> bool:
    """Whether a row could name columns: every cell has letters, and no two are alike."""
    cells = [one_line(cell).casefold() for cell in row]
    return len(set(cells)) == len(cells) and all(any(map(str.isalpha, cell)) for cell in cells)


def _lines(rows: Iterable[Sequence[str]], *, has_header: bool) -> Iterator[str]:
    remaining = iter(rows)
    columns = [_column(name) for name in next(remaining, ())] if has_header else []
    empty = True
    for row in remaining:
        cells = [one_line(cell) for cell in row]
        if any(cells):
            empty = False
            yield _row(columns, cells) if has_header else " | ".join(cells).strip(" |")
    if empty and any(columns):
        yield " | ".join(columns)


def _row(columns: Sequence[str], cells: Sequence[str]) -> str:
    # Only as many columns as the row has cells: a table of short rows may have a very wide header.
    named = zip_longest(islice(columns, len(cells)), cells, fillvalue="")
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in named if cell)


def _column(name: str) -> str:
    line = one_line(name).rstrip(":")
    return line if len(line) <= _LONGEST_COLUMN_NAME else f"{line[: _LONGEST_COLUMN_NAME - 1]}…"
