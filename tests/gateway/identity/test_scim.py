"""What an identity provider sends counts at the next request of every process, and gives it no more than it is for."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from scim2_client import BaseSyncSCIMClient
from scim2_models import ScimProvider
from scim2_tester import Status, check_server

from gateway.app import create_app
from gateway.errors import NotAuthenticatedError
from gateway.identity.keys import ApiKeys
from gateway.identity.options import ScimOptions
from gateway.identity.scim.service import ScimGroups
from policies.actions import Action
from policies.principals import PrincipalKind, Role
from tests.gateway.conftest import World, opened_world, recorded, running

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


@pytest.fixture
def world(built_home: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[World]:
    with opened_world(built_home, tmp_path) as world:
        services: Any = world.services
        services.config = msgspec.structs.replace(services.config, scim=ScimOptions(enabled=True))
        services.users.add({"okta": frozenset()}, frozenset({Role.PROVISIONER}), "test", PrincipalKind.SERVICE)
        key = services.users.create_key("okta", "test", [Action.DIRECTORY_MANAGE])[1]
        yield World(services, {**world.keys, "okta": key}, world.model)


@pytest.fixture
async def served(world: World) -> AsyncIterator[Litestar]:
    app = create_app(world.services)
    async with running(app):
        yield app


DIFFERENT = [("check_remove_attribute", "PATCH modify() did not remove attribute 'active'")]
"""Where we differ on purpose: a user is always active or not, and says so."""


class Client:
    """An identity provider."""

    def __init__(self, app: Litestar, headers: dict[str, str]) -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        self.http = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8400/scim/v2", headers=headers)

    async def send(self, method: str, path: str, body: Any = None, expect: int = 200, **more: Any) -> Any:
        headers = {"Content-Type": "application/scim+json"} if body is not None else {}
        content = msgspec.json.encode(body) if body is not None else None
        response = await self.http.request(method, path, content=content, headers=headers, **more)
        assert response.status_code == expect, response.text
        if response.status_code == 204:
            return None
        assert response.headers["content-type"].startswith("application/scim+json")
        told = response.json()
        if expect >= 400:
            assert told["schemas"] == [ERROR]
            assert told["status"] == str(expect)
        return told

    async def user(self, name: str, **more: Any) -> str:
        return str((await self.send("POST", "/Users", {"schemas": [USER], "userName": name, **more}, 201))["id"])

    async def group(self, name: str, *members: str, **more: Any) -> str:
        body = {"schemas": [GROUP], "displayName": name, "members": [{"value": member} for member in members], **more}
        return str((await self.send("POST", "/Groups", body, 201))["id"])

    async def patch(self, path: str, *operations: dict[str, Any], expect: int = 200) -> Any:
        return await self.send("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, expect)


@pytest.fixture
async def scim(served: Litestar, world: World) -> AsyncIterator[Client]:
    client = Client(served, world.headers("okta"))
    async with client.http:
        yield client


def groups_of(world: World, user: str) -> set[str]:
    return set(world.services.users.principal(user).groups)


async def test_a_client_that_tries_everything_finds_no_fault(served: Litestar, world: World) -> None:
    """Both authors' reading of RFC 7643 and 7644 must agree: theirs is `scim2-tester`'s."""
    loop = asyncio.get_running_loop()
    async with Client(served, world.headers("okta")).http as http:

        class InProcess(BaseSyncSCIMClient):
            def request(self, method: str, url: str, **more: Any) -> httpx.Response:
                address = url if url.startswith("http") else "/scim/v2/" + url.removeprefix("/")
                address = address.removeprefix("http://127.0.0.1:8400")
                sending = http.request(method, "http://127.0.0.1:8400" + address, **more)
                return asyncio.run_coroutine_threadsafe(sending, loop).result(60)

            def _parse_json(self, response: Any) -> Any:
                return response.json()

        results = await asyncio.to_thread(lambda: check_server(InProcess(provider=ScimProvider())))
    told = [(result.status.name, result.title, result.reason) for result in results]
    faults = [line for line in told if line[0] in {"ERROR", "CRITICAL"} and line[1:] not in DIFFERENT]
    assert faults == [], "\n".join(map(str, faults))
    assert sum(result.status is Status.SUCCESS for result in results) > 30


async def test_who_may_not_manage_the_directory_learns_nothing_of_it(served: Litestar, world: World) -> None:
    known = await _made(served, world)
    for user, expect in (("alice", 403), ("audra", 403), ("mona", 403), (None, 401)):
        client = Client(served, world.headers(user) if user else {})
        async with client.http:
            said = {
                repr((await client.send("GET", path, expect=expect))["detail"])
                for path in (f"/Users/{known}", "/Users/absent", "/Users", '/Users?filter=userName eq "ada"', "/Groups")
            }
            assert len(said) == 1
            await client.send("DELETE", f"/Users/{known}", expect=expect)
    assert world.services.users.principal("ada").active


async def _made(served: Litestar, world: World) -> str:
    client = Client(served, world.headers("okta"))
    async with client.http:
        return await client.user("ada")


async def test_a_key_for_other_things_is_not_for_this_and_the_clients_for_nothing_else(
    served: Litestar, world: World
) -> None:
    key = world.services.users.create_key("olga", "test", [Action.USERS_MANAGE])[1]
    client = Client(served, {"Authorization": f"Bearer {key}"})
    async with client.http:
        await client.send("GET", "/Users", expect=403)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(served)) as http:  # type: ignore[arg-type]
        for path in ("/api/v1/sources", "/v1/models", "/api/v1/audit/entries", "/metrics"):
            response = await http.get("http://127.0.0.1:8400" + path, headers=world.headers("okta"))
            assert response.status_code in {403, 404}, path


async def test_without_being_switched_on_there_is_nothing(world: World) -> None:
    services: Any = world.services
    services.config = msgspec.structs.replace(services.config, scim=ScimOptions())
    app = create_app(services)
    async with running(app):
        client = Client(app, world.headers("okta"))
        async with client.http:
            await client.send("GET", "/Users", expect=404)
            await client.send("POST", "/Users", {"userName": "ada"}, expect=404)


async def test_inactive_counts_at_the_next_request_of_every_process(world: World, scim: Client) -> None:
    id_ = await scim.user("ada", externalId="x1")
    key = world.services.users.create_key("ada", "test")[1]
    elsewhere = ApiKeys(world.services.database, world.services.last_use, world.services.freshness)
    assert elsewhere.authenticate(key).principal.id == "ada"
    for operation in (
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "replace", "value": {"active": False}},
        {"op": "Replace", "path": "active", "value": False},
    ):
        told = await scim.patch(f"/Users/{id_}", operation)
        assert told["active"] is False
        with pytest.raises(NotAuthenticatedError):
            elsewhere.authenticate(key)
        assert (await scim.patch(f"/Users/{id_}", {"op": "replace", "path": "active", "value": True}))["active"]
        assert elsewhere.authenticate(key).principal.id == "ada"
    await scim.send("DELETE", f"/Users/{id_}", expect=204)
    with pytest.raises(NotAuthenticatedError):
        elsewhere.authenticate(key)
    await scim.send("GET", f"/Users/{id_}", expect=404)
    assert [entry["by"] for entry in recorded(world, "user:disabled")] == ["okta"] * 4
    assert len(recorded(world, "user:enabled")) == 3


async def test_whom_an_operator_disabled_stays_out(world: World, scim: Client) -> None:
    id_ = await scim.user("ada")
    world.services.users.disable("ada", by="olga")
    told = await scim.patch(f"/Users/{id_}", {"op": "replace", "path": "active", "value": True})
    assert told["active"] is False
    assert not world.services.users.principal("ada").active


async def test_groups_count_with_users_and_groups_in_them(world: World, scim: Client) -> None:
    ada, grace = await scim.user("ada"), await scim.user("grace")
    payroll = await scim.group("payroll", ada)
    finance = await scim.group("finance", payroll, grace)
    assert groups_of(world, "ada") == {"payroll", "finance"}
    assert groups_of(world, "grace") == {"finance"}
    members = (await scim.send("GET", f"/Groups/{finance}"))["members"]
    assert {(member["value"], member["type"]) for member in members} == {(payroll, "Group"), (grace, "User")}
    await scim.patch(f"/Groups/{finance}", {"op": "remove", "path": f'members[value eq "{payroll}"]'})
    assert groups_of(world, "ada") == {"payroll"}
    await scim.patch(f"/Groups/{finance}", {"op": "Add", "path": "members", "value": [{"value": ada}]})
    assert groups_of(world, "ada") == {"payroll", "finance"}
    await scim.patch(f"/Groups/{finance}", {"op": "Remove", "path": "members", "value": [{"value": ada}]})
    assert groups_of(world, "ada") == {"payroll"}
    assert groups_of(world, "grace") == {"finance"}
    told = await scim.send("GET", f"/Users/{ada}")
    assert told["groups"] == [{"value": payroll, "display": "payroll"}]
    await scim.send("DELETE", f"/Groups/{payroll}", expect=204)
    assert groups_of(world, "ada") == set()
    changed = [(e["user"], e["added"], e["removed"]) for e in recorded(world, "user:groups-changed")]
    assert changed[-1] == ("ada", [], ["payroll"])
    assert [(e["group"], e["parent"]) for e in recorded(world, "group:nested")] == [("payroll", "finance")]
    assert [(e["group"], e["parent"]) for e in recorded(world, "group:unnested")] == [("payroll", "finance")]


async def test_another_name_of_a_group_takes_its_members_along(world: World, scim: Client) -> None:
    ada = await scim.user("ada")
    outer, inner = await scim.group("outer"), await scim.group("inner", ada)
    await scim.patch(f"/Groups/{outer}", {"op": "add", "path": "members", "value": [{"value": inner}]})
    await scim.patch(f"/Groups/{inner}", {"op": "replace", "value": {"id": inner, "displayName": "within"}})
    assert groups_of(world, "ada") == {"within", "outer"}
    await scim.patch(f"/Groups/{outer}", {"op": "replace", "path": "displayName", "value": "around"})
    assert groups_of(world, "ada") == {"within", "around"}


async def test_what_came_from_elsewhere_is_neither_seen_nor_touched(world: World, scim: Client) -> None:
    before = {user.id: user for user in world.services.users.listed()}
    assert (await scim.send("GET", "/Users"))["totalResults"] == 0
    for name in ("olga", "audra", "okta"):
        told = await scim.send("POST", "/Users", {"schemas": [USER], "userName": name}, 409)
        assert told["scimType"] == "uniqueness"
    id_ = await scim.user("bob")
    await scim.group("press", id_)
    assert groups_of(world, "bob") == {"everyone", "press"}, "what was given here stays"
    for name in ("olga", "OKTA", "alice"):
        await scim.patch(f"/Users/{id_}", {"op": "replace", "path": "userName", "value": name}, expect=409)
    after = {user.id: user for user in world.services.users.listed()}
    assert {name: user for name, user in after.items() if name != "bob"} == {
        name: user for name, user in before.items() if name != "bob"
    }


async def test_nobody_becomes_a_user_that_was_deleted(world: World, scim: Client) -> None:
    id_ = await scim.user("ada", externalId="person-1")
    await scim.group("payroll", id_)
    await scim.send("DELETE", f"/Users/{id_}", expect=204)
    for other in ({"externalId": "person-2"}, {}, {"externalId": ""}):
        await scim.send("POST", "/Users", {"schemas": [USER], "userName": "ada", **other}, 409)
        await scim.send("POST", "/Users", {"schemas": [USER], "userName": "ADA", **other}, 409)
    again = await scim.user("ada", externalId="person-1")
    assert again == id_
    assert world.services.users.principal("ada").active
    assert groups_of(world, "ada") == set()


@pytest.mark.parametrize(
    ("filter_", "names"),
    [
        ('userName eq "ada"', ["ada"]),
        ('userName eq "ADA"', ["ada"]),
        ('urn:ietf:params:scim:schemas:core:2.0:User:userName eq "ada"', ["ada"]),
        ('externalId eq "x1"', ["ada"]),
        ('externalId eq "X1"', []),
        ('userName ne "ada"', ["bea", "cyd"]),
        ('userName co "d"', ["ada", "cyd"]),
        ('userName sw "b" or displayName pr', ["ada", "bea"]),
        ('active eq true and not (userName eq "bea")', ["ada"]),
        ("active eq false", ["cyd"]),
        ('userName eq "a\' OR 1=1 --"', []),
    ],
)
async def test_filters_find_what_they_say(scim: Client, filter_: str, names: list[str]) -> None:
    await scim.user("ada", externalId="x1", displayName="Ada B.")
    await scim.user("bea")
    await scim.user("cyd", active=False)
    told = await scim.send("GET", "/Users", params={"filter": filter_})
    assert sorted(user["userName"] for user in told["Resources"]) == names
    assert told["totalResults"] == len(names)


@pytest.mark.parametrize("filter_", ["userName", 'nothing eq "x"', 'userName eq "x', "(" * 900, "a" * 2000])
async def test_a_filter_that_is_none_is_said(scim: Client, filter_: str) -> None:
    await scim.send("GET", "/Users", params={"filter": filter_}, expect=400)


async def test_pages_hold_everybody_once(scim: Client) -> None:
    for number in range(7):
        await scim.user(f"u{number}")
    seen = []
    for start in (1, 4, 7):
        told = await scim.send("GET", "/Users", params={"startIndex": start, "count": 3})
        assert (told["totalResults"], told["startIndex"]) == (7, start)
        seen += [user["userName"] for user in told["Resources"]]
    assert sorted(seen) == [f"u{number}" for number in range(7)]
    assert (await scim.send("GET", "/Users", params={"count": 0}))["Resources"] == []
    told = await scim.send("GET", "/Users", params={"count": 1_000_000, "attributes": "userName"})
    assert {frozenset(user) for user in told["Resources"]} == {frozenset({"schemas", "id", "userName"})}


async def test_entra_and_okta_are_understood(world: World, scim: Client) -> None:
    body = {
        "schemas": [USER, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "externalId": "0a21f0f2",
        "userName": "ada@harbour.example",
        "active": True,
        "emails": [{"primary": True, "type": "work", "value": "ada@harbour.example"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "Ada B", "familyName": "B", "givenName": "Ada"},
        "roles": [],
    }
    id_ = (await scim.send("POST", "/Users", body, 201))["id"]
    told = await scim.patch(
        f"/Users/{id_}",
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "new@harbour.example"},
        {"op": "Replace", "path": "name.familyName", "value": "C"},
        {"op": "Add", "path": "displayName", "value": "Ada C"},
    )
    assert told["displayName"] == "Ada C"
    assert "emails" not in told
    group = await scim.group("Staff", externalId="8aa1a0c0")
    await scim.patch(
        f"/Groups/{group}",
        {"op": "replace", "value": {"id": group, "displayName": "Staff", "members": [{"value": id_}]}},
    )
    assert groups_of(world, "ada@harbour.example") == {"Staff"}
    params = {"filter": 'displayName eq "Staff"', "excludedAttributes": "members"}
    told = await scim.send("GET", "/Groups", params=params)
    assert "members" not in told["Resources"][0]


@pytest.mark.parametrize(
    ("body", "expect"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b'{"userName": 5}', 400),
        (b'{"schemas": ["x"], "userName": "ada"}', 400),
        (b'{"userName": "not a name"}', 400),
        (b'{"displayName": "x"}', 400),
        (b"[" * 5000, 400),
        (b'{"userName": "' + b"a" * 1_100_000 + b'"}', 413),
    ],
)
async def test_what_is_no_user_is_refused_in_scims_form(scim: Client, body: bytes, expect: int) -> None:
    response = await scim.http.post("/Users", content=body, headers={"Content-Type": "application/scim+json"})
    assert (response.status_code, response.json()["schemas"]) == (expect, [ERROR])
    response = await scim.http.post("/Users", content=b'{"userName": "ada"}', headers={"Content-Type": "text/plain"})
    assert response.status_code == 400


async def test_members_that_do_not_exist_and_a_group_in_itself_are_refused(world: World, scim: Client) -> None:
    ada = await scim.user("ada")
    group = await scim.group("press", ada)
    for member in ("absent", "ada", "bob"):
        operation = {"op": "add", "path": "members", "value": [{"value": member}]}
        await scim.patch(f"/Groups/{group}", operation, expect=400)
    await scim.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": group}]})
    assert groups_of(world, "ada") == {"press"}
    await scim.send("POST", "/Groups", {"schemas": [GROUP], "displayName": "PRESS"}, 409)


async def test_changes_at_once_do_not_undo_each_other(world: World, scim: Client) -> None:
    ids = [await scim.user(f"u{number}") for number in range(8)]
    group = await scim.group("press")
    added = [{"op": "add", "path": "members", "value": [{"value": id_}]} for id_ in ids]
    await asyncio.gather(*(scim.patch(f"/Groups/{group}", operation) for operation in added))
    assert all(groups_of(world, f"u{number}") == {"press"} for number in range(8))


async def test_nothing_changes_that_the_trail_does_not_take(world: World, scim: Client) -> None:
    id_ = await scim.user("ada")
    group = await scim.group("press")
    world.services.trail.close()
    await scim.patch(f"/Users/{id_}", {"op": "replace", "path": "active", "value": False}, expect=503)
    await scim.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": id_}]}, expect=503)
    assert world.services.users.principal("ada").active
    assert groups_of(world, "ada") == set()


async def test_a_change_before_the_trail_would_be_noticed(world: World, scim: Client, monkeypatch: Any) -> None:
    """Negative control of the one above: what is recorded does not hold up the change."""
    id_ = await scim.user("ada")
    monkeypatch.setattr(world.services.recorder, "record_all_now", lambda _: None)
    world.services.trail.close()
    await scim.patch(f"/Users/{id_}", {"op": "replace", "path": "active", "value": False})
    assert not world.services.users.principal("ada").active


async def test_large_groups_are_changed_one_member_at_a_time(world: World, scim: Client) -> None:
    ids = [await scim.user(f"u{number}") for number in range(60)]
    group = await scim.group("crowd", *ids[:50])
    before = len(recorded(world, "user:groups-changed"))
    operation = {"op": "add", "path": "members", "value": [{"value": id_} for id_ in ids[45:55]]}
    await scim.patch(f"/Groups/{group}", operation)
    assert len(recorded(world, "user:groups-changed")) == before + 5
    assert len(ScimGroups(world.services.database, world.services.recorder).get(group).users) == 55
