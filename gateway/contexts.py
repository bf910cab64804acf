"""The context of a request as rules see it, made in one place: from the connection itself, never from its headers."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.errors import ConfigurationError
from policies.actions import Action
from policies.context import (
    LOCAL_NETWORK,
    LOOPBACK_NETWORK,
    OTHER_NETWORK,
    Channel,
    Purpose,
    RequestContext,
)

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Block = ipaddress.IPv4Network | ipaddress.IPv6Network
_RESERVED = frozenset({LOCAL_NETWORK, LOOPBACK_NETWORK, OTHER_NETWORK})
_BUILT_IN: tuple[tuple[_Block, str], ...] = (
    (ipaddress.IPv4Network("127.0.0.0/8"), LOOPBACK_NETWORK),
    (ipaddress.IPv6Network("::1/128"), LOOPBACK_NETWORK),
)
_PURPOSES = {
    Action.AUDIT_READ: Purpose.INVESTIGATION,
    Action.AUDIT_REVEAL: Purpose.INVESTIGATION,
    Action.CHAT_ASK: Purpose.ANSWER,
    Action.LABELS_READ: Purpose.INVESTIGATION,
    Action.OVERSHARING_READ: Purpose.INVESTIGATION,
    Action.POLICY_EXPLAIN: Purpose.INVESTIGATION,
    Action.SEARCH_QUERY: Purpose.SEARCH,
}


class Networks:
    """The networks that the settings name, and which of them an address is in. The most specific one wins."""

    def __init__(self, named: Mapping[str, Sequence[str]]) -> None:
        """Read the blocks of addresses.

        Raises:
            ConfigurationError: A name is taken or not usable, a block is none, or two names share one block.
        """
        blocks: dict[_Block, str] = dict(_BUILT_IN)
        for name, listed in named.items():
            _check_name(name)
            for text in listed:
                block = _block(name, text)
                if blocks.get(block, name) not in {name, LOOPBACK_NETWORK}:
                    message = (
                        f"networks.{name} and networks.{blocks[block]} both name {block}. Leave it in one of them."
                    )
                    raise ConfigurationError(message)
                blocks[block] = name
        self.names = frozenset(named) | _RESERVED
        self._blocks = sorted(blocks.items(), key=lambda item: item[0].prefixlen, reverse=True)

    def name_of(self, address: str | None) -> str:
        """The name of the network an address is in; `other` for what is no address."""
        try:
            read = ipaddress.ip_address((address or "").partition("%")[0])
        except ValueError:
            return OTHER_NETWORK
        plain: _Address = getattr(read, "ipv4_mapped", None) or read
        return next(
            (name for block, name in self._blocks if plain.version == block.version and plain in block), OTHER_NETWORK
        )


def connection_context(networks: Networks, scope: Mapping[str, Any], action: object) -> RequestContext:
    """The context of a connection that asks for an action: the peer of the socket says which network it is in."""
    client = scope.get("client")
    purpose = _PURPOSES.get(action, Purpose.OTHER) if isinstance(action, Action) else Purpose.OTHER
    return RequestContext(purpose, networks.name_of(client[0] if client else None), Channel.HTTP)


def local_context(purpose: Purpose, channel: Channel = Channel.CLI) -> RequestContext:
    """The context of a command, which is run on the machine itself."""
    return RequestContext(purpose, LOCAL_NETWORK, channel)


def _check_name(name: str) -> None:
    if name in _RESERVED:
        message = f"networks.{name}: this name is built in. Choose another."
        raise ConfigurationError(message)
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        message = f"networks.{name!r} cannot be a network's name. Use letters, digits, - and _."
        raise ConfigurationError(message)


def _block(name: str, text: str) -> _Block:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        message = f"networks.{name}: {error}. Write a block of addresses such as 10.1.0.0/16."
        raise ConfigurationError(message) from error
