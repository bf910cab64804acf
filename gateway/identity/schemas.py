"""What signing in looks like over HTTP."""

from datetime import datetime
from typing import Annotated

import msgspec

from gateway.identity.sessions import SessionView

_Text = Annotated[str, msgspec.Meta(max_length=1024)]


class SignInRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name and a password."""

    user: _Text
    password: _Text


class PasswordRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The password that was, and the one that shall be."""

    old: _Text
    new: _Text


class SignedIn(msgspec.Struct, frozen=True):
    """Who is asking. `csrf_token` belongs into `X-CSRF-Token` of every request that changes something.

    With an API key there is no session: those fields are empty.
    """

    user: str
    groups: list[str]
    roles: list[str]
    session: str = ""
    method: str = "key"
    expires_at: datetime | None = None
    csrf_token: str = ""


class SignedOut(msgspec.Struct, frozen=True):
    """The session is over here. Where `provider` is not empty, going there ends it at the provider too."""

    provider: str = ""


class SessionList(msgspec.Struct, frozen=True):
    """Open sessions, newest first."""

    sessions: list[SessionView]
