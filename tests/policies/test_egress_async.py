"""The door for event loops refuses what the other one refuses, and connects where that would."""

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import httpcore
import pytest

from models.errors import EngineUnavailableError
from models.openai.engine import UpstreamEngine
from models.openai.options import Upstream
from policies.egress import HTTPError
from policies.egress_async import AsyncClient, open_async_client
from tests.fakes.upstream_server import UpstreamServer, says, serving, writes
from tests.models.openai.conftest import FAST, all_of
from tests.policies.sinks.authority import Authority
from tests.policies.sinks.conftest import tls_of
from tests.policies.test_egress import NEVER, names

__all__ = ["names"]
pytestmark = [pytest.mark.network, pytest.mark.enable_socket]


def open_to(*hosts: str, **more: Any) -> AsyncClient:
    return open_async_client(hosts, **({"connect_seconds": 5.0, "connections": 4} | more))


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where connections would have been opened to."""
    addresses: list[str] = []

    async def connect(remote_host: str, remote_port: int, **_: Any) -> Any:
        addresses.append(remote_host)
        raise ConnectionRefusedError

    monkeypatch.setattr(anyio, "connect_tcp", connect)
    return addresses


@pytest.mark.parametrize("address", NEVER)
async def test_what_nothing_connects_to(address: str, names: dict[str, list[list[str]]], connected: list[str]) -> None:
    names["inside.example"] = [["10.1.2.3", address]]
    async with open_to("inside.example") as client:
        with pytest.raises(HTTPError, match="nothing connects to"):
            await client.get("https://inside.example/")
    assert connected == []


async def test_a_host_that_is_not_named_is_not_even_looked_up(
    connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    async with open_to("inside.example") as client:
        with pytest.raises(HTTPError, match="not a host that the configuration names"):
            await client.get("https://elsewhere.example/")
    assert connected == []


async def test_the_address_that_was_looked_at_is_the_one_that_is_used(
    names: dict[str, list[list[str]]], connected: list[str]
) -> None:
    names["rebound.example"] = [["192.0.2.1", "192.0.2.2"], ["169.254.169.254"]]
    async with open_to("REBOUND.example.") as client:
        with pytest.raises(HTTPError):
            await client.get("https://rebound.example/")
    assert connected == ["192.0.2.1", "192.0.2.2"]


async def test_a_client_that_connects_by_name_is_noticed(
    names: dict[str, list[list[str]]], connected: list[str]
) -> None:
    """Negative control of the test above."""
    names["rebound.example"] = [["192.0.2.1"], ["169.254.169.254"]]
    with pytest.raises(httpcore.ConnectError):
        await httpcore.AnyIOBackend().connect_tcp("rebound.example", 443)
    assert connected == ["rebound.example"]


async def test_proxies_of_the_environment_are_not_used(
    names: dict[str, list[list[str]]], connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.99:3128")
    names["inside.example"] = [["192.0.2.1"]]
    async with open_to("inside.example") as client:
        with pytest.raises(HTTPError):
            await client.get("https://inside.example/")
    assert connected == ["192.0.2.1"]


async def test_what_must_be_this_machine_is(names: dict[str, list[list[str]]], connected: list[str]) -> None:
    names["localhost"] = [["127.0.0.1", "192.0.2.1"]]
    async with open_to("localhost", only_loopback=True) as client:
        with pytest.raises(HTTPError, match="another machine"):
            await client.get("http://localhost/")
    assert connected == []
    async with open_to("localhost") as client:
        with pytest.raises(HTTPError):
            await client.get("http://localhost/")
    assert connected == ["127.0.0.1", "192.0.2.1"], "negative control: else it would have been called"


async def test_a_redirect_is_not_followed() -> None:
    async with serving(says("x")) as (aim,):
        led = writes(
            f"HTTP/1.1 302 Found\r\nLocation: {aim.url}/chat/completions\r\nContent-Length: 0\r\n\r\n".encode()
        )
        async with serving(led) as (server,), open_to("127.0.0.1") as client:
            response = await client.post(f"{server.url}/chat/completions", content=b"{}")
            assert response.status_code == 302
        assert (aim.asked, aim.probes) == ([], 0)


async def test_a_name_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(20))
    started = time.monotonic()
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(over.set)
        async with open_to("inside.example", connect_seconds=0.2) as client:
            with pytest.raises(HTTPError, match="not found in time"):
                await client.get("https://inside.example/")
        assert time.monotonic() - started < 15


async def ask_over_tls(tmp_path: Path, served: Authority, trusted: str, host: str = "127.0.0.1") -> str:
    """An answer over TLS from a server with a certificate for this machine, by one authority or another."""
    server = UpstreamServer(says("480"))
    server.tls = tls_of(served.issue("server", host))
    await server.start()
    try:
        url = server.url.replace("http:", "https:")
        engine = UpstreamEngine(Upstream("big", "m", (url,), ca_file=trusted), tmp_path, FAST)
        await engine.start()
        try:
            return (await all_of(engine))[0]
        finally:
            await engine.stop()
    finally:
        await server.stop()


async def test_certificates_are_checked(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs", "another authority")
    assert await ask_over_tls(tmp_path, ours, "ours/ca.pem") == "480"
    for served, trusted, host in (
        (theirs, "ours/ca.pem", "127.0.0.1"),
        (ours, "", "127.0.0.1"),
        (ours, "ours/ca.pem", "other.example"),
    ):
        with pytest.raises(EngineUnavailableError):
            await ask_over_tls(tmp_path, served, trusted, host)


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_certificates_that_cannot_be_read_are_said(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    engine = UpstreamEngine(Upstream("big", "m", ("https://127.0.0.1:9/v1",), ca_file="ca.pem"), tmp_path)
    with pytest.raises(EngineUnavailableError, match=r"models\.upstreams"):
        await engine.start()
