"""Messages of syslog as RFC 5424 writes them, each behind its length (RFC 6587, 3.4.1; RFC 5425, 4.3).

A receiver finds the end of a message by counting, so nothing in a message can end it. Every part of the head is made
printable ASCII without spaces, which is all that may stand there.
"""

from datetime import datetime
from enum import IntEnum

from policies.audit.chain import timestamp

_FACILITY = 13
"""Log audit."""
_APP = "muniment"
_MOST_HOST_CHARS, _MOST_KIND_CHARS = 255, 32
_NONE = "-"


class Severity(IntEnum):
    """How much a message matters, of those that syslog knows."""

    WARNING = 4
    NOTICE = 5


def syslog_frame(text: str, at: datetime, kind: str, severity: Severity, host: str) -> bytes:
    """One message as it is sent: its length in bytes, a space, the message. `text` is ASCII."""
    head = " ".join(
        (
            f"<{_FACILITY * 8 + severity}>1",
            timestamp(at),
            _word(host, _MOST_HOST_CHARS),
            _APP,
            _NONE,
            _word(kind, _MOST_KIND_CHARS),
            _NONE,
        )
    )
    message = f"{head} {text}".encode("ascii")
    return b"%d %s" % (len(message), message)


def _word(value: str, most: int) -> str:
    return "".join(sign if "!" <= sign <= "~" else "_" for sign in value)[:most] or _NONE
