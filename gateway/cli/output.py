"""What people see: tables and text for a terminal, JSON for programs.

Documents are hostile, and a terminal obeys control characters; whatever is shown passes `printable` first.
"""

import itertools
import json
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_PIPED_WIDTH = 160
"""Columns of a table where no terminal says how wide it is."""
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters except tab and newline, and the marks that turn the direction of text."""


_ESCAPED = re.compile(f"{_CONTROLS.pattern[:-1]}\u2028\u2029]")


def printable(text: str) -> str:
    """The text with everything a terminal would obey made visible as a replacement character."""
    return _CONTROLS.sub("\ufffd", text)


def console() -> Console:
    """Where results go. Made anew for each command, so that a redirected output is noticed."""
    return _console(stderr=False)


def messages() -> Console:
    """Where progress, hints and errors go, so that they never mix with results."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = max(made.width, _PIPED_WIDTH)
    return made


def show(text: str, style: str = "") -> None:
    """Print text as a result."""
    console().print(Text(printable(text), style=style), soft_wrap=not sys.stdout.isatty())


def show_block(text: str, indent: int, style: str = "") -> None:
    """Print text as a result, set in from the left."""
    clean = printable(text)
    if sys.stdout.isatty():
        console().print(Padding(Text(clean, style=style), (0, 0, 0, indent)))
    else:
        show(textwrap.indent(clean, " " * indent))


def tell(text: str, style: str = "") -> None:
    """Print a message beside the results."""
    messages().print(Text(printable(text), style=style), soft_wrap=True)


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    empty: str = "",
    title: str = "",
    styles: Sequence[str] = (),
) -> None:
    """Print a table, or a sentence when there is nothing in it; `styles` are those of its rows."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        tell(empty)
        return
    if title:
        show(title, "italic")
    table = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
        show_header=any(columns),
    )
    for number, name in enumerate(columns):
        numeric = all(isinstance(row[number], int | float) and not isinstance(row[number], bool) for row in cells)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row, style in itertools.zip_longest(cells, styles, fillvalue=""):
        table.add_row(*(Text(printable(str(value))) for value in row), style=str(style))
    console().print(table)


def _cell(value: object) -> object:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M}"
        case float():
            return round(value, 2)
        case list() | tuple() | set() | frozenset():
            return ", ".join(sorted(str(item) for item in value)) or "-"
        case _:
            return value


def show_json(value: Any) -> None:
    """Print a value as JSON, and nothing else."""
    text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, indent=2)
    sys.stdout.write(escaped(text) + "\n")


def escaped(text: str) -> str:
    """JSON with what a terminal would obey, and what some programs take for the end of a line, written as escapes."""
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
