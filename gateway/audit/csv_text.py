"""Lists as CSV for spreadsheets, in which no value is a formula and none breaks out of its cell."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20|%]")
"""What a spreadsheet may run: these signs, also as wide as an East Asian letter, also behind space."""
_BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The rows with a head, every value in quotes, one row a line (RFC 4180)."""
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([harmless(str(value)) for value in row] for row in rows)
    return written.getvalue()


def harmless(value: str) -> str:
    """The value on one line; an apostrophe before it where a spreadsheet would take it for a formula."""
    line = _BREAKS.sub(" ", value)
    return f"'{line}" if _FORMULA.match(value) or _FORMULA.match(line) else line
