"""Another signing key for a trail: announced, named by the old key, and signing from then on.

Whoever has the first public key alone can follow: a checkpoint signed with the old key names the new one, and the
checkpoint behind it, signed with the new one, shows that it is in our hands.
"""

from collections.abc import Callable

from policies.audit.events import Event, SigningKeyRotated
from policies.audit.places import TrailPlace
from policies.audit.writer import ChainWriter
from policies.keys import Keys
from policies.signing import key_id, list_public_key


def rotate_signing_key(place: TrailPlace, keys: Keys, by: str, record: Callable[[Event], object]) -> str:
    """Let the next key sign from now on; returns its id. What the one before it signed stays good.

    A rotation that was broken off is ended by the next one, or by whoever signs next.

    Raises:
        KeysUnusableError: The next key cannot be made or read.
        TrailUnavailableError: It was not announced or not signed; nothing was changed unless the trail handed over.
    """
    after = keys.signing.prepare_next()
    event = SigningKeyRotated(by, keys.key_id(), key_id(after), after.public_bytes_raw().hex())
    writer = ChainWriter(place, keys)
    try:
        record(event)
        writer.hand_over(event.public_key)
        keys.signing.take_over()
        list_public_key(keys.public_file, after)
        writer.seal(though_quiet=True)
    finally:
        writer.close()
    return event.key
