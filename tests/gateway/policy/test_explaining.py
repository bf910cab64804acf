"""Why: the rules that decide, what is missing, and the same answer for everything that may not be asked."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from connectors.contract import Part
from policies.bundles import Bundle
from policies.errors import TrailUnavailableError
from policies.labels import Label
from retrieval.sessions import writing
from retrieval.tables import SourceRow, utc_now
from tests.fakes.sources import ListConnector, page
from tests.gateway.conftest import World, error_of, recorded

PATH = "/api/v1/policy/explain"
RULES = """@id("board-in-the-office") @reason("The board reads in the office.")
permit (principal in Group::"board", action == Action::"documents:read", resource)
when { context.network == "local" } unless { !principal.active };
@id("no-evaluations") @reason("Budgets are not used for evaluations.")
forbid (principal, action == Action::"documents:read", resource)
when { context.purpose == "evaluation" };"""


async def test_a_denial_names_what_is_missing(world: World, client: httpx.AsyncClient) -> None:
    world.services.bundles.load(Bundle.of({"a.cedar": RULES}), by="olga")
    asked = {"user": "bob", "document": "finance/budget.md"}
    told = (await client.post(PATH, json=asked, headers=world.headers("audra"))).json()
    assert (told["allowed"], told["policies"], told["denied_by"], told["allowed_by"]) == (False, [], [], [])
    lacking = {said["rule"]: said["lacks"] for said in told["would_be_allowed_by"]}
    assert lacking == {
        "label-allows-group": ["is in none of finance; is only in everyone"],
        "label-allows-user": ["the label allows nobody by name"],
        "board-in-the-office": ["is not in group board", "the network is other, not local"],
    }
    assert told["context"] == {"purpose": "answer", "network": "other", "channel": "http"}
    assert told["revealed"] == []
    assert told["policy_revision"] == world.services.authorizer.revision


async def test_a_denying_rule_is_told_beside_those_it_wins_over(world: World, client: httpx.AsyncClient) -> None:
    world.services.bundles.load(Bundle.of({"a.cedar": RULES}), by="olga")
    asked = {"user": "alice", "document": "finance/budget.md", "purpose": "evaluation"}
    told = (await client.post(PATH, json=asked, headers=world.headers("olga"))).json()
    assert (told["allowed"], told["policies"]) == (False, ["no-evaluations"])
    assert [said["rule"] for said in told["denied_by"]] == ["no-evaluations"]
    assert [said["rule"] for said in told["allowed_by"]] == ["label-allows-group"]
    told = (await client.post(PATH, json=asked | {"purpose": "answer"}, headers=world.headers("olga"))).json()
    assert (told["allowed"], told["reason"]) == (True, "The label allows a group of the reader's.")
    assert "PERSON" in told["revealed"]
    assert "CREDIT_CARD" in told["masked"]


async def test_whoever_may_not_ask_learns_nothing(world: World, client: httpx.AsyncClient) -> None:
    questions = [
        {"user": "alice", "document": "finance/budget.md"},
        {"user": "alice", "document": "nowhere.md"},
        {"user": "nobody", "document": "finance/budget.md"},
    ]
    seen = set()
    for user in ("bob", "mona", "audra"):
        for asked in questions[0 if user != "audra" else 1 :]:
            response = await client.post(PATH, json=asked, headers=world.headers(user))
            error = error_of(response)
            seen.add((response.status_code, error["code"], error["message"]))
    assert len(seen) == 1
    assert next(iter(seen))[:2] == (404, "not_found")
    assert (await client.post(PATH, json=questions[0], headers=world.headers("audra"))).status_code == 200
    assert (await client.post(PATH, json=questions[0])).status_code == 401


async def test_every_question_is_in_the_trail(world: World, client: httpx.AsyncClient) -> None:
    for document in ("finance/budget.md", "x" * 5000):
        asked = {"user": "bob", "document": document}
        response = await client.post(PATH, json=asked, headers=world.headers("audra"))
    events = recorded(world, "policy:explained")
    assert [(event["by"], event["user"], event["allowed"]) for event in events] == [("audra", "bob", False)] * 2
    assert events[1]["document"] == "x" * 200
    assert events[1]["request"] == response.headers["x-request-id"]
    await client.post(PATH, json={"user": "bob", "document": "finance/budget.md"}, headers=world.headers("bob"))
    assert recorded(world, "access:denied")[-1]["action"] == "policy:explain"


async def test_what_cannot_be_recorded_is_not_answered(
    world: World, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        message = "the disk is full"
        raise TrailUnavailableError(message)

    monkeypatch.setattr(world.services.recorder, "record_now", fail)
    asked = {"user": "bob", "document": "finance/budget.md"}
    response = await client.post(PATH, json=asked, headers=world.headers("audra"))
    assert (response.status_code, error_of(response)["code"]) == (503, "trail_unavailable")


LETTER = "# Letters\n\nSent by post.\n\n## Salaries\n\nAda earns 90000.\n\n## Travel\n\nTravel is paid."


@pytest.fixture
def parted(world: World) -> World:
    """A document for everyone with a part for finance, and one that lacks the part it must have."""
    with writing(world.services.database) as session:
        session.add(SourceRow(name="extra", type="list", settings="{}"))
        session.commit()
    part = (Part("salaries", Label.for_groups("finance")),)
    letter, bare = (
        replace(page(name, text, Label.for_groups("everyone")), parts=part)
        for name, text in (("letter", LETTER), ("bare", "# Bare\n\nIts part is gone."))
    )
    world.services.ingestion.sync("extra", ListConnector(letter, bare))
    return world


async def explained(world: World, client: httpx.AsyncClient, user: str, document: str) -> dict[str, Any]:
    asked = {"user": user, "document": document}
    told: dict[str, Any] = (await client.post(PATH, json=asked, headers=world.headers("audra"))).json()
    return told


async def test_each_part_is_told_with_its_own_decision(parted: World, client: httpx.AsyncClient) -> None:
    told = await explained(parted, client, "bob", "letter.md")
    (part,) = told["parts"]
    assert (told["allowed"], part["allowed"], part["headings"], part["passages"]) == (True, False, ["salaries"], 1)
    assert (part["label"]["allow_groups"], part["label"]["within"]["allow_groups"]) == (["finance"], ["everyone"])
    lacking = {said["rule"]: said["lacks"] for said in part["would_be_allowed_by"]}
    assert lacking["label-allows-group"] == ["is in none of finance; is only in everyone"]
    assert part["revealed"] == []
    (part,) = (await explained(parted, client, "alice", "letter.md"))["parts"]
    assert (part["allowed"], part["would_be_allowed_by"][0]["rule"]) == (True, "label-allows-user")


async def test_what_is_told_is_what_is_found(parted: World, client: httpx.AsyncClient) -> None:
    for user in ("alice", "bob"):
        told = await explained(parted, client, user, "letter.md")
        asked = {"query": "salaries post travel", "limit": 50}
        found = (await client.post("/api/v1/search", json=asked, headers=parted.headers(user))).json()["passages"]
        texts = [one["text"] for one in found if one["document"] == told["document"]]
        assert any("90000" in text for text in texts) is told["parts"][0]["allowed"]
        assert any("post" in text for text in texts) is told["allowed"]


async def test_a_label_within_another_is_told_by_the_one_that_denies(parted: World, client: httpx.AsyncClient) -> None:
    parted.services.users.add({"fay": frozenset({"finance"})}, frozenset(), by="test")
    told = await explained(parted, client, "fay", "bare.md")
    lacking = {said["rule"]: said["lacks"] for said in told["would_be_allowed_by"]}
    assert (told["allowed"], told["parts"]) == (False, [])
    assert lacking["label-allows-group"] == ["is in none of everyone; is only in finance"]
    assert (await explained(parted, client, "bob", "bare.md"))["allowed"] is False
    assert (await explained(parted, client, "alice", "bare.md"))["allowed"] is True


async def test_permissions_that_are_too_old_are_told(parted: World, client: httpx.AsyncClient) -> None:
    before = await explained(parted, client, "alice", "letter.md")
    assert (before["allowed"], before["access_stale"]) == (True, False)
    with writing(parted.services.database) as session:
        row = session.get_one(SourceRow, "extra")
        row.max_acl_age_seconds, row.access_read_at = 60, utc_now() - timedelta(hours=1)
        session.add(row)
        session.commit()
    told = await explained(parted, client, "alice", "letter.md")
    assert (told["allowed"], told["access_stale"], told["policies"], told["revealed"]) == (False, True, [], [])
    assert "too long ago" in told["reason"]
    assert [part["allowed"] for part in told["parts"]] == [False]
    assert [said["rule"] for said in told["allowed_by"]] == ["label-allows-group"], "the rules are told all the same"
    assert (await explained(parted, client, "alice", "finance/budget.md"))["allowed"] is True
