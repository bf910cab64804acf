"""The cookies of signing in, read and written strictly.

`__Host-` makes browsers keep a cookie only when it is Secure, for this host alone and for every path, so that neither a
neighbouring host nor plain HTTP can plant one. It is never weakened: browsers take Secure cookies from
http://localhost, and for anything else there must be TLS.
"""

from collections.abc import Iterable

SESSION_COOKIE = "__Host-muniment"
FLOW_COOKIE = "__Host-muniment-flow"
"""Ties a sign-in with a provider to the browser that began it."""


def read_cookie(headers: Iterable[tuple[bytes, bytes]], name: str) -> str | None:
    """The cookie of this name; none where there is none, and none where there are two, since one was planted."""
    pairs = [
        part.strip().partition("=")
        for header, value in headers
        if header.lower() == b"cookie"
        for part in value.decode("latin-1").split(";")
    ]
    found = [value for key, equals, value in pairs if key == name and equals]
    return found[0] if len(found) == 1 else None


def set_cookie(name: str, value: str, seconds: int) -> str:
    """The header that has a browser keep a cookie for so long."""
    return f"{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax"


def clear_cookie(name: str) -> str:
    """The header that has a browser forget a cookie."""
    return set_cookie(name, "", 0)
