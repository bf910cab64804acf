"""Where a request comes from is what its socket says, and nothing that its sender says."""

import random
from ipaddress import IPv4Address, ip_network
from typing import Any

import httpx
import pytest

from gateway.app import create_app
from gateway.contexts import Networks, connection_context, local_context
from gateway.errors import ConfigurationError
from policies.actions import Action
from policies.bundles import Bundle
from policies.context import Channel, Purpose, RequestContext
from tests.gateway.conftest import KESTREL_ANSWER, SETTINGS, World, recorded, running, until_ready

NAMED = {"company": ["10.0.0.0/8", "2001:db8::/32"], "office": ["10.1.0.0/16"], "lab": ["10.1.2.3/32"]}
OFFICE_ONLY = """@id("office-only") @reason("Only from the office.")
forbid (principal, action == Action::"documents:read", resource)
unless { context.network == "office" };"""


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.2.0.1", "company"),
        ("10.1.9.9", "office"),
        ("10.1.2.3", "lab"),
        ("::ffff:10.1.9.9", "office"),
        ("2001:db8::1", "company"),
        ("127.0.0.1", "loopback"),
        ("127.255.0.9", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("fe80::1%eth0", "other"),
        ("192.0.2.1", "other"),
        ("0.0.0.0", "other"),
        ("", "other"),
        (None, "other"),
        ("office", "other"),
        ("10.1.2.3/32", "other"),
        ("010.001.002.003", "other"),
    ],
)
def test_the_most_specific_network_names_an_address(address: str | None, name: str) -> None:
    assert Networks(NAMED).name_of(address) == name


def test_random_addresses_are_in_the_longest_block_that_holds_them() -> None:
    rng = random.Random(7)
    for _ in range(50):
        blocks = {
            f"n{number}": [f"{rng.randrange(256)}.{rng.randrange(4)}.0.0/{rng.choice([8, 12, 14, 16])}"]
            for number in range(8)
        }
        blocks = {name: [str(ip_network(block, strict=False)) for block in listed] for name, listed in blocks.items()}
        if len({block for listed in blocks.values() for block in listed}) < len(blocks):
            continue
        networks = Networks(blocks)
        for _ in range(100):
            address = IPv4Address(rng.getrandbits(32))
            holding = [
                (ip_network(listed[0]).prefixlen, name)
                for name, listed in blocks.items()
                if address in ip_network(listed[0])
            ]
            expected = max(holding)[1] if holding else "loopback" if address.is_loopback else "other"
            assert networks.name_of(str(address)) == expected


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"loopback": ["10.0.0.0/8"]}, "built in"),
        ({"other": []}, "built in"),
        ({"the office": ["10.0.0.0/8"]}, "cannot be a network's name"),
        ({"": ["10.0.0.0/8"]}, "cannot be a network's name"),
        ({"office": ["10.0.0.1/8"]}, "networks.office"),
        ({"office": ["everywhere"]}, "networks.office"),
        ({"a": ["10.0.0.0/8"], "b": ["10.0.0.0/8"]}, "both name 10.0.0.0/8"),
    ],
)
def test_settings_that_could_mean_something_else_are_refused(named: dict[str, list[str]], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Networks(named)


def test_headers_say_nothing_of_where_a_request_comes_from() -> None:
    scope: dict[str, Any] = {
        "client": ("192.0.2.7", 5000),
        "headers": [(b"x-forwarded-for", b"10.1.0.1"), (b"forwarded", b"for=10.1.0.1"), (b"x-real-ip", b"10.1.0.1")],
        "user": "x",
    }
    context = connection_context(Networks(NAMED), scope, Action.SEARCH_QUERY)
    assert context == RequestContext(Purpose.SEARCH, "other", Channel.HTTP)
    assert connection_context(Networks(NAMED), scope | {"client": None}, None).network == "other"
    assert connection_context(Networks(NAMED), scope, "chat:ask").purpose is Purpose.OTHER, "only actions of ours count"
    assert local_context(Purpose.ANSWER) == RequestContext(Purpose.ANSWER, "local", Channel.CLI)


@pytest.mark.parametrize(("address", "found"), [("10.1.0.7", True), ("10.2.0.7", False), ("127.0.0.1", False)])
async def test_a_rule_about_networks_holds_over_http(world: World, address: str, *, found: bool) -> None:
    world.services.home.config_file.write_text(SETTINGS + '[networks]\noffice = ["10.1.0.0/16"]\n')
    world.services.bundles.load(Bundle.of({"a.cedar": OFFICE_ONLY}), by="olga")
    world.model.says(KESTREL_ANSWER)
    app = create_app(world.services)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 4711))  # type: ignore[arg-type]
    forged = {"X-Forwarded-For": "10.1.0.9", "Forwarded": "for=10.1.0.9"}
    async with running(app), httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8400") as client:
        await until_ready(client)
        headers = {**world.headers("alice"), **forged}
        passages = (await client.post("/api/v1/search", json={"query": "Kestrel"}, headers=headers)).json()["passages"]
        body = {"model": "muniment", "messages": [{"role": "user", "content": "What is the Kestrel budget?"}]}
        answer = (await client.post("/v1/chat/completions", json=body, headers=headers)).json()["muniment"]
    assert bool(passages) is found
    assert bool(answer["citations"]) is found
    assert {event["network"] for event in recorded(world, "search:asked")} == {
        "office" if found else recorded_network(address)
    }


def recorded_network(address: str) -> str:
    return "loopback" if address.startswith("127.") else "other"


@pytest.mark.parametrize("more", [{"network": "office"}, {"context": {"network": "office"}}, {"purpose": "search"}])
async def test_a_client_cannot_say_its_context(world: World, client: httpx.AsyncClient, more: dict[str, Any]) -> None:
    world.services.bundles.load(Bundle.of({"a.cedar": OFFICE_ONLY.replace('"office"', '"local"')}), by="olga")
    headers = world.headers("alice")
    refused = await client.post("/api/v1/search", json={"query": "Kestrel", **more}, headers=headers)
    assert refused.status_code == 400
    body = {"model": "muniment", "messages": [{"role": "user", "content": "What is the Kestrel budget?"}], **more}
    answered = await client.post("/v1/chat/completions", json=body, headers=headers)
    assert answered.status_code == 400 or answered.json()["muniment"]["citations"] == []
