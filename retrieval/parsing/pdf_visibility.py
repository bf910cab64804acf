"""Which text of a PDF page a reader never sees: drawn in no colour, too small to read, or far outside of the page.

Followed are the operators of the page's content (ISO 32000-1, 9.3 and 9.4). White text is kept: what it stands on is
not known here.
"""

from collections.abc import Sequence
from contextlib import suppress
from math import hypot
from typing import Any

from pypdf import PageObject
from pypdf.errors import PyPdfError
from pypdf.generic import ArrayObject, TextStringObject

_SHOWS_NOTHING = frozenset({3, 7})
"""Modes of rendering: neither fill nor stroke, and clipping alone."""
_SHOWS_TEXT = frozenset({b"'", b'"', b"TJ", b"Tj"})
_DRAWS = frozenset({b"Do", b"INLINE IMAGE"})
_TINY_POINTS = 1.0
_FAR = 1e9
_DAMAGE = (PyPdfError, ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)

Matrix = Sequence[float]


class Visibility:
    """Follows a page's operators, counts what is seen and what not, and with `drop` takes the latter out."""

    def __init__(self, page: PageObject, *, drop: bool) -> None:
        self.seen = self.unseen = 0
        self.draws = False
        """Whether the page draws anything but text, such as the picture of a scan."""
        self._drop = drop
        self._unit, self._box = _measures(page)
        self._scalable = _scalable_fonts(page)
        self._mode, self._size, self._font = 0, 0.0, ""
        self._saved: list[tuple[int, float, str]] = []

    def watch(self, operator: bytes, operands: list[Any], page: Matrix, text: Matrix) -> None:
        """Take notice of an operator before it takes effect, under the matrices of page and text."""
        with suppress(*_DAMAGE):  # What makes no sense hides nothing.
            self._watch(operator, operands, page, text)

    def _watch(self, operator: bytes, operands: list[Any], page: Matrix, text: Matrix) -> None:
        if operator in _SHOWS_TEXT and operands:
            self._shows(operator, operands, page, text)
        elif operator == b"Tr" and operands:
            self._mode = int(operands[0])
        elif operator == b"Tf" and len(operands) > 1:
            self._font, self._size = str(operands[0]), float(operands[1])
        elif operator == b"q":
            self._saved.append((self._mode, self._size, self._font))
        elif operator == b"Q" and self._saved:
            self._mode, self._size, self._font = self._saved.pop()
        self.draws = self.draws or operator in _DRAWS

    def _shows(self, operator: bytes, operands: list[Any], page: Matrix, text: Matrix) -> None:
        shown = operands[0] if operator == b"TJ" else operands[-1:]
        characters = sum(len(part) for part in shown if isinstance(part, str | bytes))
        if not self._is_unseen(page, text):
            self.seen += characters
            return
        self.unseen += characters
        if self._drop:
            operands[-1] = ArrayObject() if operator == b"TJ" else TextStringObject("")

    def _is_unseen(self, page: Matrix, text: Matrix) -> bool:
        if self._mode in _SHOWS_NOTHING:
            return True
        size = self._size * hypot(*text[2:4]) * hypot(*page[2:4]) * self._unit
        if self._font in self._scalable and size < _TINY_POINTS:
            return True
        left, bottom, right, top = self._box
        x = text[4] * page[0] + text[5] * page[2] + page[4]
        y = text[4] * page[1] + text[5] * page[3] + page[5]
        # A whole page away: inside of a form, places count from the form's own corner.
        wide, high = right - left, top - bottom
        return not (left - wide <= x <= right + wide and bottom - high <= y <= top + high)


def _measures(page: PageObject) -> tuple[float, tuple[float, ...]]:
    """The size of a page's unit in points, and its corners in units."""
    try:
        left, bottom, right, top = map(float, page.mediabox)
        if left < right and bottom < top:
            return float(page.get("/UserUnit", 1.0)), (left, bottom, right, top)
    except _DAMAGE:
        pass
    return 1.0, (-_FAR, -_FAR, _FAR, _FAR)


def _scalable_fonts(page: PageObject) -> frozenset[str]:
    """The fonts whose size is in points; pictures of letters (Type 3) have units of their own."""
    try:
        fonts: Any = page["/Resources"]["/Font"]  # type: ignore[index]
        return frozenset(name for name, font in fonts.items() if font.get_object().get("/Subtype") != "/Type3")
    except _DAMAGE:
        return frozenset()
