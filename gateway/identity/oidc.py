"""Single sign-on: the authorization code flow with PKCE (OpenID Connect Core 1.0; RFC 7636; RFC 9700).

What begins a sign-in is sealed into a cookie of the browser that began it, so that an answer counts only there, once,
and for ten minutes, and beginning one writes nothing. What the provider vouches for is a pair of issuer and subject;
which user that is, the database says. A name claimed by the provider finds a user only the first time, and never one
with a role beyond employee: those are linked by an operator (`muniment users link`).
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Engine
from sqlmodel import Session, select

from gateway.config import is_loopback
from gateway.errors import BadRequestError, ConfigurationError, NotAuthenticatedError, NotFoundError
from gateway.identity.freshness import Freshness
from gateway.identity.memberships import Origin, direct_groups, write_groups
from gateway.identity.names import require_user_id
from gateway.identity.options import OidcOptions
from gateway.identity.provider import Provider, client_secret
from gateway.identity.sessions import OpenSession, ProviderSession, Sessions
from gateway.identity.store import LinkRow, read_principal, use_once, write_user
from gateway.identity.tokens import LEEWAY, Expected, TokenRefusedError, read_id_token, read_logout_token
from gateway.identity.users import write_link
from gateway.recording import Recorder
from policies import egress
from policies.audit.events import UserAdded, UserLinked
from policies.keys import Keys
from policies.principals import Principal, Role
from retrieval.labels import next_epoch
from retrieval.sessions import writing
from retrieval.tables import utc_now

_T = TypeVar("_T")
FLOW_SECONDS = 600
"""How long somebody may take at the provider."""
_NONCE_BYTES = 12
_MOST_ANSWER = 4096
_REPLACED = (Origin.LOCAL, Origin.OIDC)
"""What the provider's groups stand in for; what a directory says of somebody stays."""
_MOST_GROUPS, _MOST_GROUP_NAME = 2000, 256
_OFF = "Single sign-on is not set up here. Sign in with a password, or ask the operator."
_AGAIN = "This sign-in was not begun in this browser, is too old, or was used already. Begin again."
_NO_USER = "The identity provider knows you, but you have no access here. Ask the operator for it."


class _Flow(msgspec.Struct, frozen=True):
    """What a browser carries while its user is at the provider."""

    state: str
    nonce: str
    verifier: str
    return_to: str
    expires: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider's redirect brought; a parameter that came twice is none."""

    code: str | None
    state: str | None
    issuer: str | None
    error: str | None


class SingleSignOn:
    """Signs people in as the configured provider vouches for them."""

    def __init__(
        self,
        database: Engine,
        recorder: Recorder,
        keys: Keys,
        sessions: Sessions,
        options: OidcOptions,
        provider: Provider,
        *,
        freshness: Freshness,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._seal = AESGCM(keys.derive("sign-in-flow"))
        self._sessions = sessions
        self._options = options
        self._provider = provider
        self._freshness = freshness
        self._expected = Expected(options.issuer, options.client_id, options.algorithms)
        self.clock = clock

    def begin(self, return_to: str) -> tuple[str, str]:
        """Where to send the browser, and what it must carry until it is back.

        Raises:
            BadRequestError: The way back leads elsewhere.
            ProviderUnavailableError: The provider does not say where its door is.
        """
        require_local(return_to)
        endpoint = self._provider.endpoints().authorization
        flow = _Flow(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(64),
            return_to=return_to,
            expires=int(self.clock().timestamp()) + FLOW_SECONDS,
        )
        asked = {
            "response_type": "code",
            "client_id": self._options.client_id,
            "redirect_uri": self._options.redirect_uri,
            "scope": " ".join(dict.fromkeys(["openid", *self._options.scopes])),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": _challenge(flow.verifier),
            "code_challenge_method": "S256",
        }
        if self._options.max_age_minutes:
            asked["max_age"] = str(self._options.max_age_minutes * 60)
        separator = "&" if urlsplit(endpoint).query else "?"
        return f"{endpoint}{separator}{urlencode(asked)}", self._sealed(flow)

    def finish(self, answer: Answer, carried: str | None) -> tuple[OpenSession, str]:
        """A session for whom the provider vouches, and where the browser goes from here.

        Raises:
            NotAuthenticatedError: The answer is not one to a sign-in begun here, or the provider refused, or its token
            is not right, or it vouches for nobody who may sign in.
            ProviderUnavailableError: The provider cannot be asked.
            TrailUnavailableError: It could not be recorded, so nobody is signed in.
        """
        flow = self._opened(carried)
        self._check_answer(answer, flow)
        self._use_state(flow)
        if answer.error is not None or not answer.code:
            raise NotAuthenticatedError(_AGAIN, "provider-refused")
        claims = self._claims(answer.code, flow)
        principal = self._user(claims)
        session = self._sessions.begin(principal, "oidc", self._provider_session(claims))
        return session, flow.return_to

    def back_channel(self, token: str) -> int:
        """End what the provider says is over; returns how many sessions that were.

        Raises:
            NotAuthenticatedError: It is no logout token of the provider for us, or was used already.
            ProviderUnavailableError: Its keys cannot be fetched.
        """
        now = self.clock()
        said = self._with_keys(lambda keys: read_logout_token(token, keys, self._expected, now))
        until = datetime.fromtimestamp(said.expires_at, now.tzinfo) + LEEWAY * 2
        with writing(self._database) as session:
            first = use_once(session, f"logout/{self._options.issuer}/{said.token_id}", now, until)
            session.commit()
        if not first:
            reason = "used-already"
            raise TokenRefusedError(reason)
        return self._sessions.end_at_provider(self._options.issuer, said.subject, said.session)

    def sign_out_address(self) -> str:
        """Where browsers sign out at the provider too (RP-Initiated Logout 1.0); empty where it has no such door."""
        endpoint = self._provider.endpoints().end_session
        if not endpoint:
            return ""
        asked = {"client_id": self._options.client_id}
        if self._options.post_logout_uri:
            asked["post_logout_redirect_uri"] = self._options.post_logout_uri
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    def close(self) -> None:
        """Close the connections."""
        self._provider.close()

    def _sealed(self, flow: _Flow) -> str:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._seal.encrypt(nonce, msgspec.json.encode(flow), b"sign-in-flow")
        return urlsafe_b64encode(nonce + sealed).decode().rstrip("=")

    def _opened(self, carried: str | None) -> _Flow:
        if carried is None or len(carried) > _MOST_ANSWER:
            raise NotAuthenticatedError(_AGAIN, "flow-unknown")
        try:
            raw = urlsafe_b64decode(carried.encode() + b"=" * (-len(carried) % 4))
            plain = self._seal.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], b"sign-in-flow")
            flow = msgspec.json.decode(plain, type=_Flow)
        except (ValueError, InvalidTag, msgspec.MsgspecError) as error:
            raise NotAuthenticatedError(_AGAIN, "flow-forged") from error
        if flow.expires <= self.clock().timestamp():
            raise NotAuthenticatedError(_AGAIN, "flow-expired")
        return flow

    def _check_answer(self, answer: Answer, flow: _Flow) -> None:
        if answer.state is None or not hmac.compare_digest(answer.state.encode(), flow.state.encode()):
            raise NotAuthenticatedError(_AGAIN, "state-wrong")
        if len(answer.code or "") > _MOST_ANSWER:
            raise NotAuthenticatedError(_AGAIN, "code-too-long")
        named = answer.issuer is not None or self._provider.endpoints().names_itself
        if named and answer.issuer != self._options.issuer:
            # RFC 9207: an answer of another provider, mixed into this one's sign-in.
            raise NotAuthenticatedError(_AGAIN, "issuer-mixed-up")

    def _use_state(self, flow: _Flow) -> None:
        now = self.clock()
        with writing(self._database) as session:
            first = use_once(session, f"state/{flow.state}", now, now + timedelta(seconds=FLOW_SECONDS))
            session.commit()
        if not first:
            raise NotAuthenticatedError(_AGAIN, "state-used")

    def _claims(self, code: str, flow: _Flow) -> dict[str, Any]:
        tokens = self._provider.exchange(code, flow.verifier)
        minutes = self._options.max_age_minutes
        return self._with_keys(
            lambda keys: read_id_token(
                tokens.id_token,
                keys,
                self._expected,
                self.clock(),
                nonce=flow.nonce,
                access_token=tokens.access_token,
                max_age=timedelta(minutes=minutes) if minutes else None,
            )
        )

    def _with_keys(self, read: Callable[[Sequence[Mapping[str, Any]]], _T]) -> _T:
        """Read a token; where it names a key that is not known, once more with the keys as they are now."""
        try:
            return read(self._provider.keys())
        except TokenRefusedError as error:
            if not error.names_unknown_key:
                raise
        return read(self._provider.keys(again=True))

    def _provider_session(self, claims: Mapping[str, Any]) -> ProviderSession:
        sid = claims.get("sid")
        named = isinstance(sid, str) and len(sid) <= _MOST_GROUP_NAME
        return ProviderSession(self._options.issuer, claims["sub"], str(sid) if named else "")

    def _user(self, claims: Mapping[str, Any]) -> Principal:
        """The user a subject is, with the groups the provider gives them."""
        issuer, subject = self._options.issuer, claims["sub"]
        with Session(self._database) as session:
            link = session.get(LinkRow, (issuer, subject))
            known = read_principal(session, link.user_id, self._freshness) if link else None
        principal = known or self._linked(claims)
        if not principal.active:
            raise NotAuthenticatedError(_NO_USER, "disabled", user=principal.id)
        groups = self._groups(claims)
        if groups is not None:
            with Session(self._database) as session:
                before = direct_groups(session, principal.id, _REPLACED)
            if groups != before:
                self._set_groups(principal, groups)
        return principal

    def _linked(self, claims: Mapping[str, Any]) -> Principal:
        """The user of the claimed name, linked to the subject from now on; created first where that is configured."""
        name, how = claims.get(self._options.user_claim), self._options.first_sign_in
        if not isinstance(name, str) or how == "refuse":
            raise NotAuthenticatedError(_NO_USER, "not-linked")
        try:
            require_user_id(name)
        except BadRequestError as error:
            raise NotAuthenticatedError(_NO_USER, "name-unusable") from error
        issuer, subject, by = self._options.issuer, claims["sub"], self._by()
        with Session(self._database) as session:
            principal = read_principal(session, name, self._freshness)
            taken = session.exec(select(LinkRow).where(LinkRow.issuer == issuer, LinkRow.user_id == name)).first()
        if taken is not None:
            raise NotAuthenticatedError(_NO_USER, "name-taken", user=name)
        if principal is None and how != "create":
            raise NotAuthenticatedError(_NO_USER, "no-user")
        if principal is not None and (not principal.active or principal.roles != {Role.EMPLOYEE}):
            reason = "role-needs-operator" if principal.active else "disabled"
            raise NotAuthenticatedError(_NO_USER, reason, user=name)
        if principal is None:
            self._recorder.introduce([name])
            self._recorder.record_now(UserAdded(by=by, user=name, groups=(), roles=(Role.EMPLOYEE.value,)))
        hidden = self._recorder.digest(subject)
        self._recorder.record_now(UserLinked(by=by, user=name, issuer=issuer, subject_hmac=hidden))
        with writing(self._database) as session:
            if principal is None and read_principal(session, name, self._freshness) is None:
                write_user(session, name, frozenset(), frozenset({Role.EMPLOYEE}))
                session.flush()
            now_taken = session.exec(select(LinkRow).where(LinkRow.issuer == issuer, LinkRow.user_id == name)).first()
            found = read_principal(session, name, self._freshness)
            if now_taken is not None or found is None or not found.active or found.roles != {Role.EMPLOYEE}:
                raise NotAuthenticatedError(_NO_USER, "changed-meanwhile", user=name)
            write_link(session, name, issuer, subject)
            session.commit()
        return found

    def _groups(self, claims: Mapping[str, Any]) -> frozenset[str] | None:
        """The groups the provider gives, empty without the claim; none where they are not its business."""
        if not self._options.groups_claim:
            return None
        elsewhere = claims.get("_claim_names", {})
        if not isinstance(elsewhere, dict) or self._options.groups_claim in elsewhere:
            # Some providers leave long lists out and say where to fetch them: not knowing is not having none.
            raise NotAuthenticatedError(_NO_USER, "groups-elsewhere")
        said = claims.get(self._options.groups_claim, [])
        groups = [said] if isinstance(said, str) else said
        usable = isinstance(groups, list) and len(groups) <= _MOST_GROUPS and all(map(_is_group, groups))
        if not usable:
            raise NotAuthenticatedError(_NO_USER, "groups-unusable")
        return frozenset(groups)

    def _set_groups(self, principal: Principal, groups: frozenset[str]) -> None:
        roles = tuple(sorted(role.value for role in principal.roles))
        self._recorder.record_now(
            UserAdded(by=self._by(), user=principal.id, groups=tuple(sorted(groups)), roles=roles)
        )
        with writing(self._database) as session:
            next_epoch(session)
            write_groups(session, principal.id, groups, Origin.OIDC, replaces=_REPLACED)
            session.commit()

    def _by(self) -> str:
        return f"oidc:{self._options.issuer}"


def open_provider(options: OidcOptions, keys: Path, transport: egress.BaseTransport | None = None) -> Provider:
    """The configured provider, after checking that the settings are complete.

    Raises:
        NotFoundError: None is configured.
        ConfigurationError: A setting is missing or not usable.
    """
    if not options.issuer:
        raise NotFoundError(_OFF)
    if not options.client_id or not options.redirect_uri or not options.algorithms:
        message = "oidc.client_id, oidc.redirect_uri and oidc.algorithms must be set for single sign-on."
        raise ConfigurationError(message)
    for name in ("redirect_uri", "post_logout_uri"):
        parts = urlsplit(getattr(options, name))
        secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        if getattr(options, name) and not secure:
            message = f"oidc.{name} must be an https address; http only for this machine's own."
            raise ConfigurationError(message)
    return Provider(options, client_secret(options, keys), transport)


def require_local(path: str) -> None:
    """Refuse a way back that leads to another site, however browsers read it.

    Raises:
        BadRequestError: It is not a plain path of this service.
    """
    plain = path.startswith("/") and not path.startswith("//") and path.isascii() and path.isprintable()
    if not plain or "\\" in path or len(path) > _MOST_ANSWER // 4:
        message = "return_to must be a path of this service, such as /."
        raise BadRequestError(message)


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _is_group(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MOST_GROUP_NAME and value.isprintable()
