"""The identity provider over HTTP: its documents, its keys, and codes exchanged for tokens.

Only the issuer's host and those the configuration adds are called, with TLS unless they are this machine's own; no
redirects, no proxies of the environment, bounded time and size. What a provider says of itself is checked before use,
and what is wrong with it is an error that signs nobody in.
"""

import logging
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

from gateway.config import is_loopback, read_setting
from gateway.errors import ConfigurationError, NotAuthenticatedError, ProviderUnavailableError
from gateway.identity.options import OidcOptions
from gateway.identity.tokens import TokenRefusedError, strict_json
from policies import egress

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 5.0
_DEADLINE_SECONDS = 10.0
"""Of one whole exchange: a provider that sends a byte at a time never meets the time-out."""
_MOST_BYTES = 512_000
_DOCUMENT_SECONDS = 3600.0
_KEYS_SECONDS = 300.0
"""How long fetched keys are used: a key that the provider withdrew is not trusted for longer."""
_REFETCH_SECONDS = 60.0
"""How often an unknown `kid` may have the keys fetched: anybody can make up such tokens."""
_DOWN_SECONDS = 5.0
"""How long a provider that did not answer is not asked again: whoever waited meanwhile need not wait once more."""
_OK, _BAD_REQUEST, _UNAUTHORISED = 200, 400, 401
_REFUSED = "The identity provider did not accept the sign-in, so you are not signed in. Begin again."


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the provider's doors are, as its own document says."""

    authorization: str
    token: str
    keys: str
    end_session: str
    names_itself: bool
    """Whether its answers carry `iss` (RFC 9207), which must then be there."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a code was exchanged for. `repr` hides them."""

    id_token: object
    access_token: str | None

    def __repr__(self) -> str:
        """Say that there are tokens, not which."""
        return "Tokens(hidden)"


class Provider:
    """The configured provider."""

    def __init__(
        self,
        options: OidcOptions,
        secret: str,
        transport: egress.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is fetched yet.

        Raises:
            ConfigurationError: The issuer is not an address that may be called, or the certificates cannot be read.
        """
        self._options = options
        self._secret = secret
        self._clock = clock
        self._hosts = {egress.host_of(options.issuer), *(host.lower() for host in options.hosts)}
        if not self._may_call(options.issuer):
            message = f"oidc.issuer {options.issuer!r} must be an https address; http only for this machine's own."
            raise ConfigurationError(message)
        self._client = egress.open_client(
            self._hosts,
            _TIMEOUT_SECONDS,
            certificates=_certificates(options.ca_file),
            headers={"Accept": "application/json"},
            transport=transport,
        )
        self._lock = threading.Lock()
        self._endpoints: tuple[Endpoints, float] | None = None
        self._keys: tuple[list[Mapping[str, Any]], float] | None = None
        self._failed: tuple[str, float] | None = None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def endpoints(self) -> Endpoints:
        """Where the provider's doors are.

        Raises:
            ProviderUnavailableError: It does not say, or says something it must not.
        """
        with self._lock:
            if self._endpoints is None or self._clock() - self._endpoints[1] > _DOCUMENT_SECONDS:
                self._endpoints = self._fetched(self._discover), self._clock()
            return self._endpoints[0]

    def keys(self, *, again: bool = False) -> Sequence[Mapping[str, Any]]:
        """The keys the provider signs with; `again` fetches them anew, unless that was done a moment ago.

        Raises:
            ProviderUnavailableError: It does not give them.
        """
        address = self.endpoints().keys
        with self._lock:
            age = self._clock() - self._keys[1] if self._keys else _KEYS_SECONDS
            if self._keys is None or age >= (_REFETCH_SECONDS if again else _KEYS_SECONDS):
                self._keys = self._fetched(lambda: self._fetch_keys(address)), self._clock()
            return self._keys[0]

    def exchange(self, code: str, verifier: str) -> Tokens:
        """What a code stands for.

        Raises:
            NotAuthenticatedError: The provider does not take the code: it was used, has expired, or was made up.
            ProviderUnavailableError: It does not answer as a provider does.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._options.redirect_uri,
            "code_verifier": verifier,
        }
        credentials = (self._options.client_id, self._secret) if self._secret else None
        if credentials is None:
            form["client_id"] = self._options.client_id
        status, body = self._call("POST", self.endpoints().token, form, credentials)
        answer = self._read(body)
        if status in {_BAD_REQUEST, _UNAUTHORISED} and answer.get("error") == "invalid_grant":
            raise NotAuthenticatedError(_REFUSED, "code-refused")
        if status != _OK:
            self._fail(f"its token endpoint answered {status} {_shown(answer.get('error'))}")
        access_token = answer.get("access_token")
        return Tokens(answer.get("id_token"), access_token if isinstance(access_token, str) else None)

    def _fetched(self, fetch: Callable[[], _T]) -> _T:
        """Fetch something, unless that failed a moment ago."""
        if self._failed is not None and self._clock() - self._failed[1] < _DOWN_SECONDS:
            raise ProviderUnavailableError(self._failed[0])
        try:
            return fetch()
        except ProviderUnavailableError as error:
            self._failed = str(error), self._clock()
            raise

    def _discover(self) -> Endpoints:
        address = f"{self._options.issuer.rstrip('/')}/.well-known/openid-configuration"
        document = self._get(address)
        if document.get("issuer") != self._options.issuer:
            self._fail(f"its document names the issuer {_shown(document.get('issuer'))}")
        methods = document.get("code_challenge_methods_supported", ["S256"])
        if not isinstance(methods, list) or "S256" not in methods:
            self._fail("it does not take PKCE with S256")
        return Endpoints(
            self._endpoint(document, "authorization_endpoint"),
            self._endpoint(document, "token_endpoint"),
            self._endpoint(document, "jwks_uri"),
            self._endpoint(document, "end_session_endpoint") if "end_session_endpoint" in document else "",
            document.get("authorization_response_iss_parameter_supported") is True,
        )

    def _endpoint(self, document: Mapping[str, Any], name: str) -> str:
        address = document.get(name)
        if not isinstance(address, str) or not self._may_call(address):
            self._fail(f"its {name} is {_shown(address)}, on a host that neither oidc.issuer nor oidc.hosts names")
        return address

    def _fetch_keys(self, address: str) -> list[Mapping[str, Any]]:
        keys = self._get(address).get("keys")
        if not isinstance(keys, list):
            self._fail("its list of keys is none")
        return [key for key in keys if isinstance(key, dict)]

    def _get(self, address: str) -> dict[str, Any]:
        status, body = self._call("GET", address)
        if status != _OK:
            self._fail(f"{address} answered {status}")
        return self._read(body)

    def _read(self, body: bytes) -> dict[str, Any]:
        try:
            return strict_json(body, "answer")
        except TokenRefusedError:
            self._fail("what it answered is not JSON")

    def _call(
        self,
        method: str,
        address: str,
        form: Mapping[str, str] | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> tuple[int, bytes]:
        if not self._may_call(address):
            self._fail(f"{address} is on a host that neither oidc.issuer nor oidc.hosts names")
        until, body = self._clock() + _DEADLINE_SECONDS, bytearray()
        auth = egress.BasicAuth(*map(_form_encoded, credentials)) if credentials else None
        try:
            with self._client.stream(method, address, data=form, auth=auth) as response:
                for part in response.iter_bytes():
                    body += part
                    if len(body) > _MOST_BYTES:
                        self._fail(f"{address} sent more than {_MOST_BYTES} bytes")
                    if self._clock() > until:
                        self._fail(f"{address} took longer than {_DEADLINE_SECONDS} s")
                return response.status_code, bytes(body)
        except (egress.HTTPError, egress.InvalidURL) as error:
            self._fail(f"{address} cannot be reached ({type(error).__name__})")

    def _may_call(self, address: str) -> bool:
        try:
            parts = urlsplit(address)
            host = (parts.hostname or "").lower()
        except ValueError:
            return False
        secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
        return secure and host in self._hosts and parts.username is None and not parts.fragment

    def _fail(self, what: str) -> NoReturn:
        _log.warning("provider_unavailable issuer=%s reason=%s", self._options.issuer, what)
        message = f"The identity provider {self._options.issuer} does not answer as it should: {what}."
        raise ProviderUnavailableError(message)


def client_secret(options: OidcOptions, keys: Path) -> str:
    """The client's secret, from its file; empty for a client without one.

    Raises:
        ConfigurationError: The file cannot be read, is empty, or can be read by others.
    """
    return read_setting(keys / options.client_secret_file, "client secret") if options.client_secret_file else ""


def _certificates(file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=file or None)
    except (OSError, ssl.SSLError) as error:
        message = f"oidc.ca_file {file} cannot be used: {error}. Give a file of certificates in PEM form."
        raise ConfigurationError(message) from error


def _form_encoded(value: str) -> str:
    """RFC 6749, 2.3.1: name and secret are form-encoded before they are put into the header."""
    return str(egress.QueryParams({"v": value})).removeprefix("v=")


def _shown(value: object) -> str:
    """Something the provider said, short enough for a log."""
    return repr(value)[:100]
