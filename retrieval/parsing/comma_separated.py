"""CSV and its kin: one table, each row with the names of its columns."""

import csv
import io
from collections import Counter
from itertools import islice

from retrieval.parsing.decoding import decode
from retrieval.parsing.document import BlockKind, DocumentBuilder, ParsedDocument
from retrieval.parsing.errors import UnparsableError
from retrieval.parsing.tables import names_columns, table_text

_DELIMITERS = ",;\t|"
_SAMPLE_CHARACTERS = 20_000
_SAMPLE_ROWS = 30


def read(content: bytes) -> ParsedDocument:
    """Parse a CSV file whatever its delimiter.

    Raises:
        UnparsableError: Quotes are left open, or a field is longer than the reader allows.
    """
    text = decode(content)
    delimiter = _delimiter(text)
    try:
        first = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        table = table_text(rows, has_header=names_columns(first))
    except csv.Error as error:
        message = "It is damaged: a field is longer than 131,072 characters, most likely because a quote is left open."
        raise UnparsableError(message) from error
    builder = DocumentBuilder()
    builder.add(BlockKind.TABLE, table)
    return builder.build("")


def _delimiter(text: str) -> str:
    """The delimiter that cuts the most of the first rows into the same number of fields, two or more."""
    return max(_DELIMITERS, key=lambda delimiter: _agreement(text[:_SAMPLE_CHARACTERS], delimiter))


def _agreement(sample: str, delimiter: str) -> tuple[int, int]:
    try:
        rows = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
        widths = Counter(len(row) for row in islice(rows, _SAMPLE_ROWS) if len(row) > 1)
    except csv.Error:
        return (0, 0)
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
    return (count, width)
