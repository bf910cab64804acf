"""Server-sent events out of bytes as they come, whatever comes: bounded, and in time linear in the bytes."""

from collections.abc import Iterator

from models.openai.faults import TryFailedError

_MOST_EVENT_BYTES = 262_144
"""One event with the alternatives of its token takes a few kilobytes."""


class EventReader:
    """Cuts a stream of bytes into the data of its events (HTML standard, 9.2.6); all other fields are left out."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._after_return = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The data of each event that this piece completes.

        Raises:
            TryFailedError: There is more than any answer needs.
        """
        self._left -= len(piece)
        if self._left < 0:
            raise _too_much()
        if not piece:
            return
        within_line_end = self._after_return and piece.startswith(b"\n")
        self._after_return = piece.endswith(b"\r")
        piece = piece[1:] if within_line_end else piece
        lines = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines[:-1]:
            self._line += line
            whole = bytes(self._line)
            self._line.clear()
            yield from self._take(whole)
        self._line += lines[-1]
        if len(self._line) + self._size > _MOST_EVENT_BYTES:
            raise _too_much()

    def _take(self, line: bytes) -> Iterator[bytes]:
        if not line:
            if self._data:
                yield b"\n".join(self._data)
            self._data, self._size = [], 0
        elif line.startswith(b"data:"):
            value = line[5:].removeprefix(b" ")
            self._data.append(value)
            self._size += len(value)
            if self._size > _MOST_EVENT_BYTES:
                raise _too_much()


def _too_much() -> TryFailedError:
    return TryFailedError("sends more than an answer can be")
