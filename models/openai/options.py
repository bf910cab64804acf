"""What the settings say of a server, or several alike, that a model is asked on."""

from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from policies.addresses import is_loopback

_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Seconds = Annotated[float, msgspec.Meta(gt=0)]
_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]


class Upstream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that servers answer with, each section [[models.upstreams]].

    `name` is what questions, trail and receipts call it, `model` what the servers call it. Each of `urls` leads to a
    server that has it, up to and with `/v1`: https, or http on this machine. `api_key_file` holds the key, `ca_file`
    the certificates that the servers' lead to; both are a name in `keys/` or a whole path, empty for none and for the
    system's. A `remote` model is on another machine, so that policies decide what is sent to it; only one whose every
    address is this machine's own can be said not to be.

    It has `connect_seconds` to take a connection, `first_token_seconds` for its first word, `between_tokens_seconds`
    for each further one and `total_seconds` for all. At most `connections` questions are with one server at a time.
    """

    name: _Name
    model: Annotated[str, msgspec.Meta(min_length=1)]
    urls: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    api_key_file: str = ""
    ca_file: str = ""
    context_tokens: _Positive = 4096
    remote: bool = True
    connect_seconds: _Seconds = 5.0
    first_token_seconds: _Seconds = 60.0
    between_tokens_seconds: _Seconds = 20.0
    total_seconds: _Seconds = 300.0
    connections: _Positive = 16

    @property
    def id(self) -> str:
        """What it is called, as for a model of the catalogue."""
        return self.name

    @property
    def sha256(self) -> str:
        """No digest: nobody here sees its weights."""
        return ""

    def __post_init__(self) -> None:
        """Refuse addresses that must not be asked, and a model that is nearer in words than in truth."""
        for url in self.urls:
            _require_address(url)
        if len(set(self.urls)) < len(self.urls):
            message = f"the upstream {self.name} names an address twice"
            raise ValueError(message)
        away = [url for url in self.urls if not is_loopback(urlsplit(url).hostname or "")]
        if not self.remote and away:
            message = f"the upstream {self.name} is on another machine ({away[0]}), so it cannot have remote = false"
            raise ValueError(message)


def _require_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        message = f"{url!r} is no address"
        raise ValueError(message) from error
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not host or not safe or "@" in parts.netloc or parts.query or parts.fragment or url.endswith("/"):
        message = (
            f"{url!r} cannot be the address of an upstream: give https://HOST/v1, or http:// where it is this machine "
            "itself (127.0.0.1), without user, question mark and slash at the end"
        )
        raise ValueError(message)
