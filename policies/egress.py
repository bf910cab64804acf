"""The one door through which anything connects to another machine.

A connection goes to a host that the configuration names, at an address that was looked at and is then used as it is,
so that a name that changes its meaning in between leads nowhere (DNS rebinding). Redirects are connections like any
other. Addresses of the local link and of cloud metadata services are refused whoever names them; loopback and private
addresses are fine, since operators name what stands beside them. Proxies of the environment are not used.

`gateway/identity/ldap.py` has the one other library that connects; it asks `addresses_of` and `require_peer`.
"""

import contextlib
import fcntl
import ipaddress
import os
import socket
import ssl
import sys
import termios
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Self
from urllib.parse import urlsplit

import httpcore
import httpx
from httpx import BaseTransport as BaseTransport
from httpx import BasicAuth as BasicAuth
from httpx import Client as Client
from httpx import HTTPError as HTTPError
from httpx import InvalidURL as InvalidURL
from httpx import QueryParams as QueryParams
from httpx import Request as Request
from httpx import Response as Response
from httpx import Timeout as Timeout

from policies.errors import EgressRefusedError

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
# What the link-local ranges, which most clouds use, leave out.
_NEVER = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # This machine, by a name that few filters know.
            "240.0.0.0/4",  # Reserved, and broadcast.
            "100.100.100.200/32",  # Alibaba Cloud's metadata.
            "168.63.129.16/32",  # Azure's wire server.
            "192.0.0.192/32",  # Oracle Cloud's metadata.
            "fd00:ec2::/32",  # AWS's metadata, name server and clock.
            "fd20:ce::254/128",  # Google Cloud's metadata.
        ),
    )
)
_NAT64 = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))
"""Networks whose last four bytes are an IPv4 address (RFC 6052, RFC 8215, RFC 4291)."""
_ARRIVAL_LOOK_SECONDS = 0.001
_READ_BYTES = 4096
_WRITE_BYTES = 65_536


class Deadline:
    """A moment by which something must be over, however many steps it takes."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """How many seconds are left.

        Raises:
            TimeoutError: None.
        """
        left = self._ends - time.monotonic()
        if left <= 0:
            message = "there was no end to it in time"
            raise TimeoutError(message)
        return left


def open_client(
    hosts: Collection[str],
    timeout: Timeout | float,
    *,
    certificates: ssl.SSLContext | None = None,
    redirects: int = 0,
    before: Sequence[Callable[[Request], object]] = (),
    headers: dict[str, str] | None = None,
    transport: BaseTransport | None = None,
    deadline: Deadline | None = None,
) -> Client:
    """An HTTP client that connects to these hosts and no other.

    Args:
        hosts: Names or addresses, as the configuration or the catalogue has them.
        timeout: In seconds, of each step.
        certificates: What servers are checked against; by default the system's.
        redirects: How many are followed; each must lead to one of the hosts.
        before: Called with each request, those of redirects too; may raise.
        headers: Sent with every request.
        transport: Stands in for the network in tests.
        deadline: When all that this client is used for must be over: a server that sends a byte now and then keeps
            within every time-out of a step.
    """
    return Client(
        transport=transport or _Transport(hosts, certificates or ssl.create_default_context(), deadline),
        timeout=timeout,
        follow_redirects=redirects > 0,
        max_redirects=redirects,
        event_hooks={"request": list(before)},
        headers=headers,
        trust_env=False,
    )


class Stream:
    """A connection that bytes are sent over, all of it within one deadline."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, data: bytes) -> None:
        """Send all of this.

        Raises:
            OSError: It was not sent in time, or the connection broke.
        """
        left = memoryview(data)
        while left:
            self._connection.settimeout(self._deadline.left())
            left = left[self._connection.send(left) :]

    def end(self) -> None:
        """Say that nothing follows, and wait until the other side has read everything and ends the connection too.

        Where a protocol acknowledges nothing, this is the one sign that what was sent did not only leave: a process
        that goes away with something unread has its system break the connection off instead of ending it. That holds
        for what has arrived there, so its arrival is waited for first.

        Raises:
            OSError: It was not ended in time, or broke off: what was sent may be lost.
        """
        while self._not_arrived():
            self._deadline.left()
            time.sleep(_ARRIVAL_LOOK_SECONDS)
        if isinstance(self._connection, ssl.SSLSocket):
            self._connection.settimeout(self._deadline.left())
            self._connection = self._connection.unwrap()  # An end that is not signed may be anybody's.
        self._connection.shutdown(socket.SHUT_WR)
        self._connection.settimeout(self._deadline.left())
        while self._connection.recv(_READ_BYTES):
            self._connection.settimeout(self._deadline.left())

    def _not_arrived(self) -> int:
        """How many bytes the other side's system has not acknowledged yet."""
        if error := self._connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        return int.from_bytes(fcntl.ioctl(self._connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def open_stream(host: str, port: int, deadline: Deadline, certificates: ssl.SSLContext | None = None) -> Stream:
    """Connect to a host that the configuration names, over TLS if there are `certificates` to check its own against.

    Raises:
        EgressRefusedError: The host, or any address it has, is never connected to.
        OSError: It cannot be connected to in time, or is not who it should be.
    """
    failed: OSError = OSError(f"{host} has no address")
    for address in addresses_of(host, port):
        try:
            connection = socket.create_connection((address, port), timeout=deadline.left())
        except OSError as error:
            failed = error
            continue
        try:
            if certificates is not None:
                connection.settimeout(deadline.left())
                connection = certificates.wrap_socket(connection, server_hostname=normal_host(host))
        except BaseException:
            connection.close()
            raise
        return Stream(connection, deadline)
    raise failed


def host_of(address: str) -> str:
    """The host of a URL in the form that hosts are compared in; empty where there is none."""
    try:
        return normal_host(urlsplit(address).hostname or "")
    except ValueError:
        return ""


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host at this moment. Connect to these, not to the name.

    Raises:
        EgressRefusedError: The host, or any address it has, is never connected to.
        OSError: It has none.
    """
    if normal_host(host) in _METADATA_NAMES:
        raise EgressRefusedError(_refusal(host, host))
    # Other spellings of numbers (2852039166, 0xA9FEA9FE, 0251.0376.0251.0376) become what the system makes of them.
    found = dict.fromkeys(entry[4][0] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    addresses = [str(address) for address in found]
    for address in addresses:
        if is_never_connected(address):
            raise EgressRefusedError(_refusal(host, address))
    return addresses


def is_never_connected(address: str) -> bool:
    """Whether an address is of the local link, a metadata service, a group or nobody, in whichever disguise."""
    return any(map(_is_never, _meanings(ipaddress.ip_address(address.partition("%")[0]))))


def require_peer(descriptor: int, addresses: Collection[str]) -> None:
    """Refuse a connection that a library made to another address than those that were looked at.

    Raises:
        EgressRefusedError: It leads elsewhere.
        OSError: It leads nowhere.
    """
    with contextlib.closing(socket.socket(fileno=os.dup(descriptor))) as connection:
        peer = str(connection.getpeername()[0])
    if peer not in addresses:
        message = f"The connection leads to {peer}, which is not what its host was found at. It was not used."
        raise EgressRefusedError(message)


class _Transport(httpx.HTTPTransport):
    """httpx's own, with connections made by `_Backend`; httpx has no argument for that."""

    def __init__(self, hosts: Collection[str], certificates: ssl.SSLContext, deadline: Deadline | None) -> None:
        super().__init__(verify=certificates, trust_env=False)
        self._pool = httpcore.ConnectionPool(ssl_context=certificates, network_backend=_Backend(hosts, deadline))


class _Backend(httpcore.SyncBackend):
    """Connects to named hosts at addresses that were looked at. TLS still checks the certificate for the name."""

    def __init__(self, hosts: Collection[str], deadline: Deadline | None = None) -> None:
        self._hosts = frozenset(map(normal_host, hosts))
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect; whatever is refused looks like a connection that failed, and says why."""
        if normal_host(host) not in self._hosts:
            message = f"{host} is not a host that the configuration names, so nothing connects to it"
            raise httpcore.ConnectError(message)
        try:
            addresses = addresses_of(host, port)
        except (EgressRefusedError, OSError) as error:
            raise httpcore.ConnectError(str(error)) from error
        failed: httpcore.ConnectError | httpcore.ConnectTimeout
        for address in addresses:
            try:
                made = super().connect_tcp(
                    address, port, _within(self._deadline, timeout), local_address, socket_options
                )
                return _Hurried(made, self._deadline) if self._deadline else made
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    def connect_unix_socket(self, *_: object, **__: object) -> httpcore.NetworkStream:
        """Nothing is called that way.

        Raises:
            ConnectError: Always.
        """
        message = "no Unix socket is called over HTTP"
        raise httpcore.ConnectError(message)


class _Hurried(httpcore.NetworkStream):
    """A connection whose every step ends with the deadline of the whole."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what has come."""
        return self._stream.read(max_bytes, _within(self._deadline, timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it, in pieces: each has its own time-out below."""
        for start in range(0, len(buffer), _WRITE_BYTES):
            piece = buffer[start : start + _WRITE_BYTES]
            self._stream.write(piece, _within(self._deadline, timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Go on encrypted."""
        return _Hurried(
            self._stream.start_tls(ssl_context, server_hostname, _within(self._deadline, timeout)), self._deadline
        )

    def get_extra_info(self, info: str) -> Any:
        """What is known of the connection."""
        return self._stream.get_extra_info(info)


def _within(
    deadline: Deadline | None, timeout: float | None, over: type[httpcore.TimeoutException] = httpcore.ConnectTimeout
) -> float | None:
    """The time that a step may take."""
    if deadline is None:
        return timeout
    try:
        left = deadline.left()
    except TimeoutError as error:
        raise over(str(error)) from error
    return left if timeout is None else min(left, timeout)


def normal_host(host: str) -> str:
    """A host in the form that hosts are compared in."""
    return host.lower().strip("[]").rstrip(".")


def _is_never(address: _Address) -> bool:
    named = any(address in network for network in _NEVER if network.version == address.version)
    return named or address.is_link_local or address.is_multicast or address.is_unspecified


def _meanings(address: _Address) -> Iterator[_Address]:
    """The address, and the IPv4 addresses that a gateway on the way could take it for."""
    yield address
    if isinstance(address, ipaddress.IPv6Address):
        loopback = address.is_loopback or address.is_unspecified
        yield from filter(None, (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())))
        if not loopback and any(address in network for network in _NAT64):
            yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _refusal(host: str, address: str) -> str:
    return (
        f"{host} is at {address}, which nothing connects to: addresses of the local link and of metadata services hold "
        "the machine's own credentials. Name another host."
    )
