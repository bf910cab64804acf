"""The door of `egress.py` for what waits in an event loop: the same hosts, the same addresses, the same refusals."""

import asyncio
import ipaddress
import ssl
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

import httpcore
import httpx
from httpx import AsyncClient as AsyncClient
from httpx import Response as AsyncResponse

from policies.egress import addresses_of, normal_host
from policies.errors import EgressRefusedError

__all__ = ["AsyncClient", "AsyncResponse", "open_async_client"]

_RESOLVERS = 4
"""Threads that look names up: their own, so that a name server that hangs stops nobody else."""
_IDLE_SECONDS = 30.0
"""How long a connection that nobody uses is kept: shorter than what servers and balancers usually wait."""


def open_async_client(
    hosts: Collection[str],
    *,
    connect_seconds: float,
    connections: int,
    certificates: ssl.SSLContext | None = None,
    headers: dict[str, str] | None = None,
    only_loopback: bool = False,
) -> AsyncClient:
    """An HTTP client that connects to these hosts and no other, and follows no redirects.

    It has no deadline but that of connecting: whoever asks sets one around each step.

    Args:
        hosts: Names or addresses, as the configuration has them.
        connect_seconds: For each of finding the address, connecting, agreeing on TLS, and waiting for a free place.
        connections: The most at a time.
        certificates: What servers are checked against; by default the system's.
        headers: Sent with every request.
        only_loopback: Refuses addresses of other machines, whatever a host's name means.
    """
    return AsyncClient(
        transport=_Transport(
            hosts, certificates or ssl.create_default_context(), connections, only_loopback=only_loopback
        ),
        timeout=httpx.Timeout(None, connect=connect_seconds, pool=connect_seconds),
        follow_redirects=False,
        headers=headers,
        trust_env=False,
    )


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own, with connections made by `_Backend`; httpx has no argument for that."""

    def __init__(
        self, hosts: Collection[str], certificates: ssl.SSLContext, connections: int, *, only_loopback: bool
    ) -> None:
        super().__init__(verify=certificates, trust_env=False)
        self._backend = _Backend(hosts, only_loopback=only_loopback)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=certificates,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=self._backend,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await super().aclose()
        self._backend.close()


class _Backend(httpcore.AsyncNetworkBackend):
    """Connects to named hosts at addresses that were looked at. TLS still checks the certificate for the name."""

    def __init__(self, hosts: Collection[str], *, only_loopback: bool) -> None:
        self._hosts = frozenset(map(normal_host, hosts))
        self._only_loopback = only_loopback
        self._resolvers = ThreadPoolExecutor(_RESOLVERS, thread_name_prefix="resolver")
        self._connecting = httpcore.AnyIOBackend()

    def close(self) -> None:
        """Let the threads end; one that still waits for a name server is not waited for."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own.
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect; whatever is refused looks like a connection that failed, and says why."""
        failed: httpcore.ConnectError | httpcore.ConnectTimeout = httpcore.ConnectError(f"{host} has no address")
        for address in await self._addresses(host, port, timeout):
            try:
                return await self._connecting.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    async def _addresses(self, host: str, port: int, seconds: float | None) -> list[str]:
        if normal_host(host) not in self._hosts:
            message = f"{host} is not a host that the configuration names, so nothing connects to it"
            raise httpcore.ConnectError(message)
        looking = asyncio.get_running_loop().run_in_executor(self._resolvers, addresses_of, host, port)
        try:
            addresses = await asyncio.wait_for(looking, seconds)
        except TimeoutError as error:
            message = f"the address of {host} was not found in time"
            raise httpcore.ConnectTimeout(message) from error
        except (EgressRefusedError, OSError) as error:
            raise httpcore.ConnectError(str(error)) from error
        if self._only_loopback and (others := [one for one in addresses if not _is_loopback(one)]):
            message = f"{host} is at {others[0]}, which is another machine"
            raise httpcore.ConnectError(message)
        return addresses

    async def connect_unix_socket(self, *_: object, **__: object) -> httpcore.AsyncNetworkStream:
        """Nothing is called that way.

        Raises:
            ConnectError: Always.
        """
        message = "no Unix socket is called over HTTP"
        raise httpcore.ConnectError(message)


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
