"""Who a request is from, as its headers say: an API key, or a session's cookie together with proof of our own page.

A request with both is the key's: browsers never add a key by themselves, so whoever sent it meant it, and the cookie is
not looked at. A key that is not valid is refused even where a valid cookie came with it.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.config import is_loopback
from gateway.identity.cookies import SESSION_COOKIE, read_cookie
from gateway.identity.keys import ApiKeys
from gateway.identity.sessions import OpenSession, Sessions
from policies.principals import ANONYMOUS, Principal

CSRF_HEADER = "x-csrf-token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, and by what: a key with its scopes (none is everything), a session, or neither."""

    principal: Principal = ANONYMOUS
    scopes: frozenset[str] | None = None
    session: OpenSession | None = None

    def covers(self, action: str) -> bool:
        """Whether what the caller came with is for this action."""
        return self.scopes is None or action in self.scopes


NOBODY = Caller()


class Callers:
    """Recognises who sends requests."""

    def __init__(self, keys: ApiKeys, sessions: Sessions) -> None:
        self._keys = keys
        self._sessions = sessions

    def by_known_key(self, presented: list[bytes]) -> Caller | None:
        """Who presents these `Authorization` headers, if that can be told at once; none where `by_key` has to be asked.

        Raises:
            NotAuthenticatedError: They are a known key that is not valid.
        """
        holder = self._keys.recognise(_key_in(presented))
        return Caller(holder.principal, scopes=holder.scopes) if holder else None

    def by_key(self, presented: list[bytes]) -> Caller:
        """Who presents these `Authorization` headers.

        Raises:
            NotAuthenticatedError: They are not one valid key.
        """
        holder = self._keys.authenticate(_key_in(presented))
        return Caller(holder.principal, scopes=holder.scopes)

    def by_session(self, token: str) -> Caller:
        """Whose session this is.

        Raises:
            NotAuthenticatedError: It is none, or over.
        """
        principal, session = self._sessions.authenticate(token)
        return Caller(principal, session=session)


def _key_in(presented: list[bytes]) -> str:
    """The key of these headers; empty where there is not one of them, of the right kind."""
    scheme, _, key = presented[0].decode("latin-1").partition(" ")
    return key.strip() if len(presented) == 1 and scheme.lower() == "bearer" else ""


def session_token(headers: Headers) -> str | None:
    """The session cookie of a request."""
    return read_cookie(headers, SESSION_COOKIE)


def is_forged(method: str, headers: Headers, session: OpenSession, origins: Iterable[str]) -> str:
    """Why a request with a session's cookie may not be from our own page; empty when it is, or changes nothing.

    A page elsewhere can have a browser send the cookie. It can neither read the session's CSRF token nor set a header
    of its own, nor say that it is of our origin.
    """
    if method in _SAFE_METHODS:
        return ""
    said = _single_values(headers)
    if said is None:
        return "A header that proves where it came from was there twice."
    if not hmac.compare_digest(said.get(CSRF_HEADER, "").encode(), session.csrf_token.encode()):
        return "The CSRF token was absent or not the session's."
    if "origin" not in said and "sec-fetch-site" not in said:
        return "It did not say which page it came from."
    return is_foreign(headers, origins)


def is_foreign(headers: Headers, origins: Iterable[str]) -> str:
    """Why a request is from a page elsewhere, if a browser says so; empty when none does."""
    said = _single_values(headers)
    if said is None:
        return "A header that proves where it came from was there twice."
    if said.get("sec-fetch-site", "same-origin") != "same-origin":
        return "A page of another site sent it."
    if "origin" in said and not _is_ours(said["origin"], said.get("host", ""), origins):
        return "A page of another origin sent it."
    return ""


def _single_values(headers: Headers) -> Mapping[str, str] | None:
    """The headers that matter here; none when one of them comes twice."""
    wanted = {CSRF_HEADER, "origin", "sec-fetch-site", "host"}
    found: dict[str, str] = {}
    for raw, value in headers:
        name = raw.decode("latin-1").lower()
        if name in wanted:
            if name in found:
                return None
            found[name] = value.decode("latin-1")
    return found


def _is_ours(origin: str, host: str, origins: Iterable[str]) -> bool:
    """Whether an origin is the address the request was sent to; without TLS only where it is this machine's own."""
    if origin in set(origins):
        return True
    try:
        parts = urlsplit(origin)
        plain = origin == f"{parts.scheme}://{parts.netloc}"
        secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    except ValueError:
        return False
    port = _DEFAULT_PORTS.get(parts.scheme, "")
    return plain and secure and parts.netloc.lower().removesuffix(port) == host.lower().removesuffix(port)
