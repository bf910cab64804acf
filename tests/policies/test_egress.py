"""Connections go to named hosts at addresses that were looked at, hop by hop, and never to the machine's own keys."""

import http.server
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpcore
import pytest

from policies import egress
from policies.errors import EgressRefusedError

pytestmark = [pytest.mark.network, pytest.mark.enable_socket]

NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::a9fe:a9fe%eth0",
    "febf::1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
    "fd00:ec2::254",
    "fd00:ec2::253",
    "fd20:ce::254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
]
FINE = ["127.0.0.1", "::1", "10.1.2.3", "192.168.7.8", "172.16.0.1", "fd12:3456::1", "192.0.2.1", "2001:db8::1"]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What names mean, in turn; the last meaning stays. Numbers mean what they mean to the system."""
    meanings: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def resolve(host: str, port: Any, *rest: Any, **more: Any) -> list[Any]:
        if host not in meanings:
            return list(real(host, port, flags=socket.AI_NUMERICHOST, type=socket.SOCK_STREAM))
        found = meanings[host].pop(0) if len(meanings[host]) > 1 else meanings[host][0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return meanings


@pytest.mark.parametrize("address", NEVER)
def test_addresses_of_the_link_of_metadata_and_of_nobody_are_refused(
    address: str, names: dict[str, list[list[str]]]
) -> None:
    assert egress.is_never_connected(address)
    names["inside.example"] = [["10.1.2.3", address]]
    with pytest.raises(EgressRefusedError, match="nothing connects to"):
        egress.addresses_of("inside.example", 443)


@pytest.mark.parametrize("address", FINE)
def test_addresses_that_operators_name_are_fine(address: str, names: dict[str, list[list[str]]]) -> None:
    assert not egress.is_never_connected(address)
    names["inside.example"] = [[address]]
    assert egress.addresses_of("inside.example", 443) == [address]


@pytest.mark.parametrize(
    "spelling", ["2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "169.16689662", "0xa9.254.43518"]
)
def test_numbers_in_other_spellings_are_what_the_system_makes_of_them(
    spelling: str, names: dict[str, list[list[str]]]
) -> None:
    with pytest.raises(EgressRefusedError):
        egress.addresses_of(spelling, 80)


@pytest.mark.parametrize("name", ["metadata.google.internal", "Metadata.Google.Internal.", "metadata", "instance-data"])
def test_names_of_metadata_services_are_refused_before_anybody_is_asked(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("a name was looked up"))
    with pytest.raises(EgressRefusedError):
        egress.addresses_of(name, 80)


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where sockets would have been opened to."""
    addresses: list[str] = []

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        addresses.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    return addresses


def test_a_host_that_is_not_named_is_not_even_looked_up(
    names: dict[str, list[list[str]]], connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("a name was looked up"))
    with egress.open_client({"inside.example"}, 1) as client:
        with pytest.raises(egress.HTTPError, match="not a host that the configuration names"):
            client.get("https://elsewhere.example/")
    assert connected == []


def test_the_address_that_was_looked_at_is_the_one_that_is_used(
    names: dict[str, list[list[str]]], connected: list[str]
) -> None:
    """A name that means something harmless when it is looked at, and the metadata service a moment later."""
    names["rebound.example"] = [["192.0.2.1"], ["169.254.169.254"]]
    with egress.open_client({"rebound.example"}, 1) as client, pytest.raises(egress.HTTPError):
        client.get("https://rebound.example/")
    assert connected == ["192.0.2.1"]
    assert names["rebound.example"] == [["169.254.169.254"]]


def test_a_client_that_connects_by_name_is_noticed(
    names: dict[str, list[list[str]]], connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the test above: looked at, and then asked for by name again."""
    names["rebound.example"] = [["192.0.2.1"], ["169.254.169.254"]]
    backend = httpcore.SyncBackend()
    egress.addresses_of("rebound.example", 443)
    with pytest.raises(httpcore.ConnectError):
        backend.connect_tcp("rebound.example", 443)
    assert connected == ["rebound.example"]
    assert socket.getaddrinfo("rebound.example", 443)[0][4][0] == "169.254.169.254"


def test_all_addresses_are_tried_in_turn(names: dict[str, list[list[str]]], connected: list[str]) -> None:
    names["two.example"] = [["192.0.2.1", "192.0.2.2"]]
    with egress.open_client({"TWO.example."}, 1) as client, pytest.raises(egress.HTTPError):
        client.get("https://two.example/")
    assert connected == ["192.0.2.1", "192.0.2.2"]


def test_proxies_of_the_environment_are_not_used(
    names: dict[str, list[list[str]]], connected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://192.0.2.99:3128")
    names["inside.example"] = [["192.0.2.1"]]
    with egress.open_client({"inside.example"}, 1) as client, pytest.raises(egress.HTTPError):
        client.get("https://inside.example/")
    assert connected == ["192.0.2.1"]


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.seen.append(self.path)  # type: ignore[attr-defined]
        leads_to = self.server.leads_to.get(self.path)  # type: ignore[attr-defined]
        self.send_response(302 if leads_to else 200)
        if leads_to:
            self.send_header("location", leads_to)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Any]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as made:
        made.seen, made.leads_to = [], {}  # type: ignore[attr-defined]
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "leads_to", ["http://169.254.169.254/latest/meta-data", "http://2852039166/", "http://elsewhere.example/"]
)
def test_each_hop_is_looked_at(server: Any, leads_to: str) -> None:
    server.leads_to["/"] = leads_to
    address = f"http://127.0.0.1:{server.server_port}/"
    with egress.open_client({"127.0.0.1", "169.254.169.254", "2852039166"}, 2, redirects=3) as client:
        with pytest.raises(egress.HTTPError, match=r"nothing connects to|not a host"):
            client.get(address)
    assert server.seen == ["/"]


def test_a_named_host_is_reached_and_led_on(server: Any) -> None:
    server.leads_to["/"] = f"http://localhost:{server.server_port}/further"
    with egress.open_client({"127.0.0.1", "localhost"}, 2, redirects=3) as client:
        assert client.get(f"http://127.0.0.1:{server.server_port}/").status_code == 200
    assert server.seen == ["/", "/further"]


def test_a_connection_that_a_library_made_elsewhere_is_refused(server: Any) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)) as made:
        egress.require_peer(made.fileno(), ["127.0.0.1"])
        with pytest.raises(EgressRefusedError, match="leads to 127"):
            egress.require_peer(made.fileno(), ["192.0.2.1"])
        assert made.getpeername()[0] == "127.0.0.1"  # Still open: a copy of the descriptor was looked at.
