"""What the folder connector remembers between runs: each path it saw, with a fingerprint of how it was.

100,000 files take about 2 MB of cursor; see `connectors/folder/README.md`.
"""

import binascii
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import blake2b

from connectors.errors import ConfigurationError

_FORM = "1"
# 48 bits: a change goes unseen with a chance of 1 in 2.8e14 per change.
_FINGERPRINT_BYTES = 6


def fingerprint(*facts: str | int) -> bytes:
    """A short digest: equal facts, equal fingerprint."""
    return blake2b("\0".join(map(str, facts)).encode(), digest_size=_FINGERPRINT_BYTES).digest()


def write_cursor(seen: Mapping[str, bytes]) -> str:
    """Paths and fingerprints as text, the same text for the same content. Paths hold no line breaks."""
    paths = sorted(seen)
    listed = zlib.compress("\n".join(paths).encode(), level=1)
    return ":".join((_FORM, b64encode(listed).decode(), b64encode(b"".join(seen[path] for path in paths)).decode()))


def read_cursor(cursor: str | None) -> dict[str, bytes]:
    """The paths and fingerprints of a cursor; none of None.

    Raises:
        ConfigurationError: The text is not a cursor of this connector.
    """
    if cursor is None:
        return {}
    try:
        form, listed, joined = cursor.split(":")
        paths = zlib.decompress(b64decode(listed, validate=True)).decode().split("\n")
        prints = b64decode(joined, validate=True)
    except (ValueError, binascii.Error, zlib.error) as error:
        raise ConfigurationError(_UNREADABLE) from error
    if not prints:
        return {}
    if form != _FORM or len(prints) != len(paths) * _FINGERPRINT_BYTES:
        raise ConfigurationError(_UNREADABLE)
    cuts = range(0, len(prints), _FINGERPRINT_BYTES)
    return {path: prints[cut : cut + _FINGERPRINT_BYTES] for path, cut in zip(paths, cuts, strict=True)}


_UNREADABLE = (
    "How far this source was read is not recorded in a form the folder connector knows. Remove and add it again."
)
