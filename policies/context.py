"""What a rule may ask about a request besides who and what. Always set by us, never taken from a client.

Where a connection comes from is found out by the gateway (`gateway/contexts.py`), in one place.
"""

from dataclasses import dataclass
from enum import StrEnum

LOCAL_NETWORK = "local"
"""The network of whoever works on the machine itself, at the command line."""
LOOPBACK_NETWORK = "loopback"
"""The network of connections that this machine makes to itself."""
OTHER_NETWORK = "other"
"""The network of every address that the settings do not name."""


class Purpose(StrEnum):
    """What the request is for."""

    ANSWER = "answer"
    EVALUATION = "evaluation"
    INVESTIGATION = "investigation"
    OTHER = "other"
    """Everything that shows no document: lists, probes, administration."""
    SEARCH = "search"


class Channel(StrEnum):
    """How the request came; also what the trail names it by."""

    CLI = "cli"
    EVALUATION = "evaluation"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What a policy may ask about the request; the defaults are those that are trusted least.

    `network` is the name of the configured network that the client's address is in.
    """

    purpose: Purpose = Purpose.ANSWER
    network: str = OTHER_NETWORK
    channel: Channel = Channel.HTTP
