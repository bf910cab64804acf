"""Groups within groups count at the next request, wherever they come from; what cannot be judged is denied."""

import logging
import random

import pytest
from sqlmodel import delete

from gateway.app import create_app
from gateway.errors import BadRequestError, ConflictError, NotFoundError
from gateway.identity import memberships
from gateway.identity.memberships import MembershipRow, NestingRow, Origin, groups_of, write_groups
from policies.errors import TooManyGroupsError
from policies.groups import MOST_GROUPS
from retrieval.labels import corpus_state
from retrieval.sessions import writing
from tests.gateway.conftest import World, client_of, recorded, until_ready


def key_holder(world: World, user: str) -> frozenset[str]:
    """The groups that a request with the user's key has."""
    return world.services.callers.by_key([f"Bearer {world.keys[user]}".encode()]).principal.groups


def epoch(world: World) -> int:
    with writing(world.services.database) as session:
        return corpus_state(session).epoch


def test_a_nested_group_counts_at_the_next_request_and_ends_at_the_next(world: World) -> None:
    groups, before = world.services.groups, epoch(world)
    groups.nest("everyone", "staff", by="test")
    groups.nest("staff", "people", by="test")
    assert key_holder(world, "bob") == {"everyone", "staff", "people"}
    assert world.services.users.principal("bob").groups == {"everyone", "staff", "people"}
    assert {user.id: user.groups for user in world.services.users.listed()}["bob"] == key_holder(world, "bob")
    groups.unnest("staff", "people", by="test")
    assert key_holder(world, "bob") == {"everyone", "staff"}
    assert epoch(world) == before + 3
    told = [(e["group"], e["parent"], e["origin"]) for e in recorded(world, "group:nested")]
    assert told == [("everyone", "staff", "local"), ("staff", "people", "local")]
    assert [(e["group"], e["parent"]) for e in recorded(world, "group:unnested")] == [("staff", "people")]


async def test_a_nested_group_opens_and_closes_documents(world: World) -> None:
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)

        async def finds() -> bool:
            body = {"query": "Kestrel budget"}
            response = await client.post("/api/v1/search", json=body, headers=world.headers("bob"))
            return "finance/budget.md" in response.text

        assert not await finds()
        world.services.groups.nest("everyone", "finance", by="test")
        assert await finds()
        world.services.groups.unnest("everyone", "finance", by="test")
        assert not await finds()


def test_nothing_is_nested_that_the_trail_does_not_take(world: World) -> None:
    world.services.trail.close()
    with pytest.raises(Exception, match="trail"):
        world.services.groups.nest("everyone", "finance", by="test")
    assert key_holder(world, "bob") == {"everyone"}


def test_what_makes_no_sense_is_refused(world: World) -> None:
    groups = world.services.groups
    with pytest.raises(BadRequestError, match="itself"):
        groups.nest("everyone", "everyone", by="test")
    with pytest.raises(BadRequestError, match="printable"):
        groups.nest("everyone", "sta\nff", by="test")
    groups.nest("everyone", "staff", by="test")
    with pytest.raises(ConflictError, match="already"):
        groups.nest("everyone", "staff", by="test")
    with pytest.raises(NotFoundError, match="not put"):
        groups.unnest("everyone", "finance", by="test")


def test_what_a_directory_nested_is_not_taken_apart_here(world: World) -> None:
    with writing(world.services.database) as session:
        session.add(NestingRow(group="everyone", parent="staff", origin=Origin.LDAP))
        session.commit()
    with pytest.raises(NotFoundError, match="was not put"):
        world.services.groups.unnest("everyone", "staff", by="test")
    assert key_holder(world, "bob") == {"everyone", "staff"}


def test_each_origin_replaces_only_its_own(world: World) -> None:
    with writing(world.services.database) as session:
        write_groups(session, "bob", {"everyone", "press"}, Origin.LDAP)
        session.commit()
    world.services.users.add({"bob": frozenset({"sales"})}, world.services.users.principal("bob").roles, by="test")
    assert key_holder(world, "bob") == {"everyone", "press", "sales"}
    with writing(world.services.database) as session:
        write_groups(session, "bob", (), Origin.LDAP)
        session.commit()
    assert key_holder(world, "bob") == {"sales"}


def oracle(direct: set[str], edges: set[tuple[str, str]]) -> set[str]:
    """Independent of what is tested: repeat until nothing is added."""
    found = set(direct)
    while more := {parent for group, parent in edges if group in found} - found:
        found |= more
    return found


def test_random_graphs_equal_the_oracle(world: World) -> None:
    for seed in range(150):
        chance = random.Random(seed)
        names = [f"g{number}" for number in range(chance.randint(1, 14))] + ["", "g 0", "G0"]
        edges = {(chance.choice(names), chance.choice(names)) for _ in range(chance.randint(0, 40))}
        direct = {chance.choice(names) for _ in range(chance.randint(0, 4))}
        with writing(world.services.database) as session:
            session.exec(delete(NestingRow))
            write_groups(session, "bob", direct, Origin.LOCAL)
            for group, parent in edges:
                for origin in chance.sample(list(Origin), chance.randint(1, 3)):
                    session.add(NestingRow(group=group, parent=parent, origin=origin))
            session.commit()
        expected = oracle(direct, edges)
        assert key_holder(world, "bob") == expected, seed
        assert world.services.users.principal("bob").groups == expected, seed
        listed = {user.id: user.groups for user in world.services.users.listed()}
        assert listed["bob"] == expected, seed
        assert listed["olga"] == set(), "groups are those of who is asked about"


def test_too_many_groups_deny_and_tell_only_the_operator(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with writing(world.services.database) as session:
        session.add_all(NestingRow(group="everyone", parent=f"g{number}") for number in range(MOST_GROUPS))
        session.commit()
    with caplog.at_level(logging.ERROR):
        with pytest.raises(Exception, match="no valid API key") as raised:
            key_holder(world, "bob")
    assert raised.value.reason == "too-many-groups"  # type: ignore[attr-defined]
    assert "groups_not_decided" in caplog.text
    assert "muniment doctor" in caplog.text
    assert "bob" not in caplog.text
    principal = world.services.users.principal("bob")
    assert (principal.active, principal.groups, principal.roles) == (False, frozenset(), frozenset())
    assert not {user.id: user.active for user in world.services.users.listed()}["bob"]
    assert {known.principal.id: known.refused for known in world.services.users.known()}["olga"] == ""


def test_too_many_nestings_deny(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memberships, "_MOST_NESTINGS", 10)
    with writing(world.services.database) as session:
        session.add_all(NestingRow(group="everyone", parent="staff", origin=f"o{number}") for number in range(11))
        session.commit()
        with pytest.raises(TooManyGroupsError):
            groups_of(session, "bob")
    with pytest.raises(Exception, match="no valid API key"):
        key_holder(world, "bob")


def test_a_closure_that_forgets_a_level_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the comparison with the oracle: parents of parents are left out."""

    def one_level(direct: object, parents: dict[str, list[str]]) -> frozenset[str]:
        named = set(direct)  # type: ignore[call-overload]
        return frozenset(named | {parent for name in named for parent in parents.get(name, ())})

    monkeypatch.setattr(memberships, "effective_groups", one_level)
    with writing(world.services.database) as session:
        session.add_all([NestingRow(group="everyone", parent="a"), NestingRow(group="a", parent="b")])
        session.commit()
    assert key_holder(world, "bob") != oracle({"everyone"}, {("everyone", "a"), ("a", "b")})


def test_listing_tells_what_is_in_what_and_whose_word_that_is(world: World) -> None:
    world.services.groups.nest("finance", "everyone", by="test")
    with writing(world.services.database) as session:
        session.add(MembershipRow(user_id="bob", group="everyone", origin=Origin.LDAP))
        session.commit()
    listed = {view.group: view for view in world.services.groups.listed()}
    assert listed["everyone"].users == 2, "a user named twice is one"
    assert [(place.group, place.origin) for place in listed["finance"].within] == [("everyone", "local")]
