"""An identity provider without a socket, which tests can have say anything.

It checks PKCE, the secret and codes as real ones do.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from gateway.identity.options import OidcOptions
from tests.gateway.identity.forgeries import (
    CLIENT,
    ISSUER,
    claims,
    logout_claims,
    provider_keys,
    token,
)

SECRET = "a secret: with / signs"
OPTIONS = OidcOptions(
    issuer=ISSUER,
    client_id=CLIENT,
    client_secret_file="oidc-secret",
    redirect_uri="https://docs.example/auth/oidc/callback",
    post_logout_uri="https://docs.example/",
    hosts=("keys.harbour.example",),
)
Answering = Callable[[httpx.Request], httpx.Response]


class FakeProvider:
    """Answers as a provider does; `answers` replaces the answer of a path, `said` changes the claims of ID tokens."""

    def __init__(self) -> None:
        self.document: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": "https://keys.harbour.example/jwks",
            "end_session_endpoint": f"{ISSUER}/end",
        }
        self.keys: list[dict[str, Any]] = list(provider_keys())
        self.said: dict[str, Any] = {}
        self.forged: Any = None
        self.answers: dict[str, Answering] = {}
        self.calls: list[str] = []
        self._asked: dict[str, dict[str, str]] = {}

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def authorize(self, address: str) -> dict[str, str]:
        """What a user does there: the parameters of the way back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert address.startswith(f"{ISSUER}/authorize?")
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        assert (asked["client_id"], asked["redirect_uri"]) == (CLIENT, OPTIONS.redirect_uri)
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self._asked[code] = asked
        return {"code": code, "state": asked["state"]}

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.calls.append(f"{request.method} {request.url}")
        if path in self.answers:
            return self.answers[path](request)
        match path:
            case "/.well-known/openid-configuration":
                return httpx.Response(200, json=self.document)
            case "/jwks":
                return httpx.Response(200, json={"keys": self.keys})
            case "/token":
                return self._exchanged(request)
        return httpx.Response(404)

    def _exchanged(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        expected = base64.b64encode(b"muniment:a+secret%3A+with+%2F+signs").decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return httpx.Response(401, json={"error": "invalid_client"})
        asked = self._asked.pop(form["code"], None)
        if asked is None or form["redirect_uri"] != asked["redirect_uri"]:
            return httpx.Response(400, json={"error": "invalid_grant"})
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return httpx.Response(400, json={"error": "invalid_grant"})
        id_token = self.forged
        if id_token is None:
            id_token = token(claims(**{"nonce": asked["nonce"], "sid": "sid-1"} | self.said))
        return httpx.Response(200, json={"id_token": id_token, "access_token": "opaque", "token_type": "Bearer"})


def logout_token(**changed: Any) -> str:
    """What the provider sends when somebody signed out there."""
    return token(logout_claims(**{"sid": "sid-1"} | changed), {"alg": "RS256", "kid": "rsa", "typ": "logout+jwt"})


def raw(status: int, content: bytes, **headers: str) -> Answering:
    """An answer of just these bytes."""
    return lambda _: httpx.Response(status, content=content, headers=headers)


def as_json(value: Any, status: int = 200) -> Answering:
    return raw(status, json.dumps(value).encode())
