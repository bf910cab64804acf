"""What an identity provider signs: ID tokens and logout tokens, read strictly. Pure; fetching keys is `provider.py`'s.

Checked in this order: the form (one compact signature, canonical base64url, plain JSON without doubled names), the
header (a listed algorithm, nothing that names keys or changes what is signed), the key (the provider's own, by `kid`,
fit for the algorithm), the signature, then each claim by OpenID Connect Core 1.0, 3.1.3.7, or Back-Channel Logout 1.0,
2.6. Where the standards leave room, the narrow reading is taken: one audience, whole numbers for times. The only module
that imports joserfc, which is asked for nothing but the signature.
"""

import base64
import binascii
import copy
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway.errors import NotAuthenticatedError
from gateway.identity.options import Algorithm

LEEWAY = timedelta(seconds=60)
"""How far the provider's clock may be off."""
_OLDEST_ID_TOKEN = timedelta(minutes=10)
"""An ID token comes straight from the token endpoint; one issued long ago was kept by somebody."""
_OLDEST_LOGOUT = timedelta(minutes=5)
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_MOST_CHARACTERS = 16_384
_MOST_CLAIM = 255
_URL_SAFE = re.compile(r"[A-Za-z0-9_-]+")
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_REFUSED_HEADERS = frozenset({"b64", "crit", "cty", "enc", "epk", "jku", "jwk", "x5c", "x5u", "zip"})
"""They name keys of the sender's choice, change what is signed, or nest; nothing that is signed for us needs them."""
_KEY_TYPES: Mapping[Algorithm, tuple[str, str]] = {
    "EdDSA": ("OKP", "Ed25519"),
    "ES256": ("EC", "P-256"),
    "PS256": ("RSA", ""),
    "RS256": ("RSA", ""),
}
_SHORTEST_RSA_BITS, _LONGEST_RSA_BITS = 2048, 8192
"""A short key can be broken; one without end is work without end."""
_LATEST = 1 << 34
"""The year 2514: no time of ours lies beyond, and no arithmetic on one below overflows."""
_UNKNOWN_KEY = "key-unknown"
_REFUSED = "The identity provider's answer was not accepted, so you are not signed in. Try again, or ask your operator."


class TokenRefusedError(NotAuthenticatedError):
    """A token is not accepted; `reason` is for the trail."""

    def __init__(self, reason: str) -> None:
        super().__init__(_REFUSED, f"token-{reason}")

    @property
    def names_unknown_key(self) -> bool:
        """Whether the provider may have new keys, so that fetching them is worth a try."""
        return self.reason == f"token-{_UNKNOWN_KEY}"


@dataclass(frozen=True, slots=True)
class Expected:
    """What every token of one provider must say."""

    issuer: str
    client_id: str
    algorithms: Sequence[Algorithm]


@dataclass(frozen=True, slots=True)
class LogoutToken:
    """What a provider says is over: a session of its, or everything of a subject."""

    subject: str
    session: str
    token_id: str
    expires_at: int


def read_id_token(
    token: object,
    keys: Sequence[Mapping[str, Any]],
    expected: Expected,
    now: datetime,
    *,
    nonce: str,
    access_token: str | None = None,
    max_age: timedelta | None = None,
) -> dict[str, Any]:
    """The claims of an ID token.

    Raises:
        TokenRefusedError: It is not the provider's for us, for this sign-in, now.
    """
    algorithm, claims = _signed(token, keys, expected, {"jwt"})
    _check_parties(claims, expected)
    _check_times(claims, now, _OLDEST_ID_TOKEN)
    _text(claims, "sub")
    if "events" in claims:
        _refuse("is-logout-token")
    if not hmac.compare_digest(_text(claims, "nonce").encode(), nonce.encode()):
        _refuse("nonce")
    _check_access_token(claims, algorithm, access_token)
    _check_authentication(claims, now, max_age)
    return claims


def read_logout_token(
    token: object, keys: Sequence[Mapping[str, Any]], expected: Expected, now: datetime
) -> LogoutToken:
    """What a logout token ends. That it is not used twice is for the caller to see to, by `token_id`.

    Raises:
        TokenRefusedError: It is not the provider's for us, now.
    """
    _, claims = _signed(token, keys, expected, {"jwt", "logout+jwt"})
    _check_parties(claims, expected)
    _check_times(claims, now, _OLDEST_LOGOUT)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        _refuse("events")
    if "nonce" in claims:
        _refuse("nonce-in-logout")
    if "sub" not in claims and "sid" not in claims:
        _refuse("names-nobody")
    subject, session = (_text(claims, name) if name in claims else "" for name in ("sub", "sid"))
    return LogoutToken(subject, session, _text(claims, "jti"), claims["exp"])


def strict_json(text: bytes, reason: str) -> dict[str, Any]:
    """A JSON object in UTF-8 in which no name comes twice and every number is one.

    Raises:
        TokenRefusedError: It is none.
    """
    try:
        found = json.loads(text.decode(), object_pairs_hook=_without_doubles, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        _refuse(reason)
    return found if isinstance(found, dict) else _refuse(reason)


def _signed(
    token: object, keys: Sequence[Mapping[str, Any]], expected: Expected, types: set[str]
) -> tuple[Algorithm, dict[str, Any]]:
    """The algorithm and the claims of a token with a right signature."""
    if not isinstance(token, str) or len(token) > _MOST_CHARACTERS:
        _refuse("form")
    match = _COMPACT.fullmatch(token)
    header_bytes, payload, _ = map(_decoded, match.groups()) if match else _refuse("form")
    header = strict_json(header_bytes, "header")
    algorithm = _algorithm(header, expected.algorithms)
    type_ = header.get("typ", "JWT")
    if not isinstance(type_, str) or type_.lower() not in types:
        _refuse("type")
    key = _key(header, algorithm, keys)
    try:
        jws.deserialize_compact(token, key, registry=_registry(algorithm))
    except (JoseError, ValueError, TypeError):
        _refuse("signature")
    return algorithm, strict_json(payload, "payload")


def _registry(algorithm: Algorithm) -> jws.JWSRegistry:
    """One algorithm for joserfc. `EdDSA` means Ed25519: by that older name it would warn, and take Ed448 too."""
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    if algorithm == "EdDSA":
        only = copy.copy(registry.algorithms["Ed25519"])
        only.name = algorithm
        registry.algorithms = {algorithm: only}
    return registry


def _algorithm(header: Mapping[str, Any], allowed: Sequence[Algorithm]) -> Algorithm:
    if _REFUSED_HEADERS & header.keys():
        _refuse("header")
    name = header.get("alg")
    return next((algorithm for algorithm in allowed if algorithm == name), None) or _refuse("algorithm")


def _key(header: Mapping[str, Any], algorithm: Algorithm, keys: Iterable[Mapping[str, Any]]) -> RSAKey | ECKey | OKPKey:
    """The one key that the header means among the provider's."""
    fitting = [key for key in keys if _fits(key, algorithm)]
    if "kid" in header:
        wanted = header["kid"]
        if not isinstance(wanted, str):
            _refuse("header")
        fitting = [key for key in fitting if key.get("kid") == wanted]
    if not fitting:
        _refuse(_UNKNOWN_KEY)
    if len(fitting) > 1:
        _refuse("key-ambiguous")
    type_, _ = _KEY_TYPES[algorithm]
    kinds: dict[str, type[RSAKey | ECKey | OKPKey]] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}
    public = {name: value for name, value in fitting[0].items() if name in {"kty", "crv", "n", "e", "x", "y"}}
    if type_ == "RSA" and not _SHORTEST_RSA_BITS <= _bits(public.get("n")) <= _LONGEST_RSA_BITS:
        _refuse("key-length")
    try:
        return kinds[type_].import_key(public)
    except (JoseError, ValueError, TypeError):
        _refuse("key-damaged")


def _bits(number: object) -> int:
    """How long a number of a key is."""
    plain = isinstance(number, str) and _URL_SAFE.fullmatch(number)
    return int.from_bytes(_decoded(str(number)), "big").bit_length() if plain else 0


def _fits(key: Mapping[str, Any], algorithm: Algorithm) -> bool:
    type_, curve = _KEY_TYPES[algorithm]
    operations = key.get("key_ops", ["verify"])
    return (
        key.get("kty") == type_
        and (not curve or key.get("crv") == curve)
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and isinstance(operations, list)
        and "verify" in operations
    )


def _check_parties(claims: Mapping[str, Any], expected: Expected) -> None:
    """By whom and for whom: exactly, as text; more than one audience means somebody else may use it too."""
    if not isinstance(claims.get("iss"), str) or claims["iss"] != expected.issuer:
        _refuse("issuer")
    audience = claims.get("aud")
    if audience not in (expected.client_id, [expected.client_id]):
        _refuse("audience")
    if "azp" in claims and claims["azp"] != expected.client_id:
        _refuse("authorised-party")


def _check_times(claims: Mapping[str, Any], now: datetime, oldest: timedelta) -> None:
    at, leeway = now.timestamp(), LEEWAY.total_seconds()
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    if at >= expires + leeway or expires <= issued:
        _refuse("expired")
    if issued > at + leeway:
        _refuse("issued-later")
    if issued < at - oldest.total_seconds() - leeway:
        _refuse("issued-long-ago")
    if "nbf" in claims and _time(claims, "nbf") > at + leeway:
        _refuse("not-yet")


def _check_access_token(claims: Mapping[str, Any], algorithm: Algorithm, access_token: str | None) -> None:
    """`at_hash`, where it is there: the left half of the hash that the signature uses (Core 1.0, 3.1.3.6)."""
    if "at_hash" not in claims:
        return
    hashed = (hashlib.sha512 if algorithm == "EdDSA" else hashlib.sha256)((access_token or "").encode()).digest()
    wanted = base64.urlsafe_b64encode(hashed[: len(hashed) // 2]).rstrip(b"=")
    if not access_token or not hmac.compare_digest(_text(claims, "at_hash").encode(), wanted):
        _refuse("access-token-hash")


def _check_authentication(claims: Mapping[str, Any], now: datetime, max_age: timedelta | None) -> None:
    if max_age is None:
        return
    ago = now.timestamp() - _time(claims, "auth_time")
    if not -LEEWAY.total_seconds() <= ago <= (max_age + LEEWAY).total_seconds():
        _refuse("authenticated-long-ago")


def _time(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int or not 0 < value < _LATEST:
        _refuse(f"{name}-no-time")
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    # What is not printable is refused with halves of surrogate pairs in mind, which JSON can say and UTF-8 cannot.
    if not isinstance(value, str) or not value or len(value) > _MOST_CLAIM or not value.isprintable():
        _refuse(f"{name}-no-text")
    return value


def _decoded(part: str) -> bytes:
    """base64url without padding, in the one spelling there is of each value."""
    try:
        found = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        _refuse("form")
    if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != part:
        _refuse("form")
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "a name comes twice"
        raise ValueError(message)
    return found


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is no number of JSON"
    raise ValueError(message)


def _refuse(reason: str) -> NoReturn:
    raise TokenRefusedError(reason)
