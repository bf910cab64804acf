"""What investigators ask over HTTP: who was shown this, what was this person shown, what rests on an old version."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

import gateway.audit.exchanges
import gateway.audit.questions
import policies.audit.reader
from tests.gateway.conftest import KESTREL_ANSWER, TRAVEL_ANSWER, World, error_of, question, recorded

BUDGET, TRAVEL = "finance/budget.md", "handbook/travel.md"


async def ask(client: httpx.AsyncClient, world: World, user: str, text: str, answer: str) -> str:
    world.model.says(answer)
    response = await client.post("/v1/chat/completions", json=question(text), headers=world.headers(user))
    assert response.status_code == 200, response.text
    return str(response.headers["x-request-id"])


async def search(client: httpx.AsyncClient, world: World, user: str, query: str) -> str:
    response = await client.post("/api/v1/search", json={"query": query}, headers=world.headers(user))
    assert response.status_code == 200, response.text
    return str(response.headers["x-request-id"])


async def told(client: httpx.AsyncClient, world: World, what: str, status: int = 200, **params: Any) -> Any:
    response = await client.get(f"/api/v1/audit{what}", params=params, headers=world.investigating())
    assert response.status_code == status, response.text
    return response.json()


async def test_who_was_shown_a_document(client: httpx.AsyncClient, world: World) -> None:
    asked = await ask(client, world, "alice", "What is the Kestrel budget for 2027?", KESTREL_ANSWER)
    searched = await search(client, world, "alice", "Kestrel budget")
    await search(client, world, "bob", "Kestrel budget")
    page = await told(client, world, "/shown", document=BUDGET)
    assert [(one["request"], one["principal"], one["outcome"]) for one in page["exchanges"]] == [
        (searched, "alice", "answered"),
        (asked, "alice", "answered"),
    ]
    (budget,) = {passage["document"] for one in page["exchanges"] for passage in one["passages"]}
    assert page["paths"] == {budget: BUDGET}
    assert [passage["how"] for one in page["exchanges"] for passage in one["passages"]] == ["shown", "cited"]
    assert page["exchanges"][0]["rules"] == ["label-allows-group"]
    assert page == await told(client, world, "/shown", document=budget)
    (*_, read) = recorded(world, "trail:read")
    assert (read["operation"], read["entries"], read["filters"]) == ("shown", 2, [f"document={budget}"])


async def test_what_somebody_was_shown(client: httpx.AsyncClient, world: World) -> None:
    await search(client, world, "alice", "Kestrel budget")
    searched = await search(client, world, "bob", "allowance in Norway")
    page = await told(client, world, "/shown", principal="bob")
    assert [one["request"] for one in page["exchanges"]] == [searched]
    assert set(page["paths"].values()) == {TRAVEL, "handbook/holidays.md"}
    (*_, read) = recorded(world, "trail:read")
    assert (read["operation"], read["user"], read["filters"]) == ("shown", "bob", [])


async def test_what_was_only_found_is_told_when_asked_for(client: httpx.AsyncClient, world: World) -> None:
    request = await ask(client, world, "bob", "Who is the king of Norway?", "")
    assert (await told(client, world, "/shown", principal="bob"))["exchanges"] == []
    (one,) = (await told(client, world, "/shown", principal="bob", found="true"))["exchanges"]
    assert (one["request"], one["outcome"]) == (request, "declined")
    assert {passage["how"] for passage in one["passages"]} == {"found"}


async def test_answers_that_rest_on_an_old_version(client: httpx.AsyncClient, world: World, tmp_path: Path) -> None:
    asked = await ask(client, world, "alice", "What is the Kestrel budget for 2027?", KESTREL_ANSWER)
    await ask(client, world, "bob", "What is the daily allowance for travel in Norway?", TRAVEL_ANSWER)
    assert (await told(client, world, "/stale", document=BUDGET))["exchanges"] == []
    resync(world, tmp_path, BUDGET, "# Budget 2027\n\n## Kestrel\n\nThe Kestrel budget for 2027 is 900000 euros.")
    (old,) = (await told(client, world, "/stale", document=BUDGET))["exchanges"]
    assert (old["request"], old["principal"]) == (asked, "alice")
    (passage,) = old["passages"]
    entries = (await told(client, world, "", passage=passage["passage"]))["entries"]
    assert {entry["event"]["request"] for entry in entries} == {asked}
    assert (await told(client, world, "/stale", document=TRAVEL))["exchanges"] == []
    later = await ask(client, world, "alice", "What is the Kestrel budget for 2027?", "It is 900000 euros.")
    assert later not in {one["request"] for one in (await told(client, world, "/stale", document=BUDGET))["exchanges"]}


async def test_all_answers_from_a_document_that_is_gone_rest_on_an_old_version(
    client: httpx.AsyncClient, world: World, tmp_path: Path
) -> None:
    asked = await ask(client, world, "alice", "What is the Kestrel budget for 2027?", KESTREL_ANSWER)
    resync(world, tmp_path, BUDGET, None)
    (old,) = (await told(client, world, "/stale", document=BUDGET))["exchanges"]
    assert old["request"] == asked


async def test_a_build_that_takes_every_version_for_the_current_one_is_noticed(
    client: httpx.AsyncClient, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the two tests above."""
    await ask(client, world, "alice", "What is the Kestrel budget for 2027?", KESTREL_ANSWER)
    resync(world, tmp_path, BUDGET, None)

    class Everything(frozenset[str]):
        def __contains__(self, _passage: object) -> bool:
            return True

    monkeypatch.setattr(gateway.audit.questions, "current_passages", lambda *_: Everything())
    assert (await told(client, world, "/stale", document=BUDGET))["exchanges"] == []


def resync(world: World, folder: Path, path: str, text: str | None) -> None:
    """Read a copy of the documents in which one is another, or gone."""
    services = world.services
    source = next(one for one in services.sources.listed() if one.name == "company")
    documents = Path(source.settings["path"])
    kept = (documents / path).read_text(encoding="utf-8")
    try:
        if text is None:
            (documents / path).unlink()
        else:
            (documents / path).write_text(text, encoding="utf-8")
        services.sources.sync("company", services.ingestion, by="test", on_progress=lambda _: None)
    finally:
        (documents / path).write_text(kept, encoding="utf-8")


async def test_a_timeline_tells_each_request_from_its_beginning(client: httpx.AsyncClient, world: World) -> None:
    asked = await ask(client, world, "alice", "What is the Kestrel budget for 2027?", KESTREL_ANSWER)
    searched = await search(client, world, "bob", "allowance in Norway")
    (group,) = (await told(client, world, "/timeline", request=asked))["groups"]
    kinds = [one["kind"] for one in group["happened"]]
    assert (kinds[0], kinds[-1]) == ("question:asked", "answer:given")
    assert group["happened"][0]["sentence"].startswith("alice asked a question over http")
    assert BUDGET in group["happened"][-1]["sentence"]
    by_user = (await told(client, world, "/timeline", principal="bob"))["groups"]
    assert by_user[-1]["request"] == searched
    assert by_user[0]["happened"][0]["sentence"].startswith("test gave bob groups everyone")
    by_document = (await told(client, world, "/timeline", document=BUDGET))["groups"]
    assert [one["request"] for one in by_document if one["request"]] == [asked]


async def test_pages_of_a_timeline_tell_everything_once(client: httpx.AsyncClient, world: World) -> None:
    requests = [await search(client, world, "bob", f"allowance {number}") for number in range(3)]

    def happened(page: Any) -> list[int]:
        """That somebody looks is told as well, and is more with every page."""
        told_of = [one for group in page["groups"] for one in group["happened"]]
        return [one["entry"] for one in told_of if one["kind"] != "trail:read"]

    page = await told(client, world, "/timeline", principal="bob", limit=2)
    found = happened(page)
    while page["next"] is not None:
        page = await told(client, world, "/timeline", principal="bob", limit=2, after=page["next"])
        found += happened(page)
    whole = await told(client, world, "/timeline", principal="bob", limit=1000)
    assert found == happened(whole)
    assert [group["request"] for group in whole["groups"] if group["request"]] == requests


async def test_a_page_that_ran_out_of_time_says_where_to_go_on(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await search(client, world, "alice", "Kestrel budget")
    whole = (await told(client, world, "", document=BUDGET))["entries"]
    monkeypatch.setattr(policies.audit.reader, "_WINDOW", 1)
    vars(world.services)["questions"] = gateway.audit.questions.Questions(
        world.services.home.trail,
        world.services.subjects,
        lambda: world.services.database,
        lambda: world.services.recorder,
        within_seconds=0,
    )
    newest = (await told(client, world, "", kind="trail:read"))["entries"][0]["entry"]
    page = await told(client, world, "", document=BUDGET, before=newest)
    found, pages = page["entries"], 1
    while page["next"] is not None:
        page = await told(client, world, "", document=BUDGET, before=page["next"])
        found, pages = found + page["entries"], pages + 1
    assert [entry["entry"] for entry in found] == [entry["entry"] for entry in whole]
    assert pages >= newest - 1


async def test_a_candidate_is_tested_without_being_kept(client: httpx.AsyncClient, world: World) -> None:
    await search(client, world, "bob", "the salary of Ada Brandt")
    asked = await ask(client, world, "alice", "What is the Kestrel budget for 2027?", KESTREL_ANSWER)
    headers = world.investigating()

    async def held(value: str) -> list[dict[str, Any]]:
        response = await client.post("/api/v1/audit/candidates", json={"value": value}, headers=headers)
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json()["entries"]
        return found

    assert [entry["event"]["principal"] for entry in await held("the salary of Ada Brandt")] == ["bob"]
    assert [entry["event"]["request"] for entry in await held("What is the Kestrel budget for 2027?")] == [asked]
    assert await held("the salary of Ada") == []
    await client.get("/v1/models", headers={"Authorization": "Bearer nonsense"})
    assert {entry["kind"] for entry in await held("127.0.0.1")} == {"sign-in:failed"}
    reads = recorded(world, "trail:read")
    assert "Brandt" not in json.dumps(reads)
    assert reads[0]["filters"] == [f"value_hmac={world.services.recorder.digest('the salary of Ada Brandt')}"]


@pytest.mark.parametrize(
    ("what", "params", "status"),
    [
        ("/shown", {}, 400),
        ("/stale", {"principal": "bob"}, 400),
        ("/timeline", {"kind": "question:asked"}, 400),
        ("/shown", {"document": "finance/none.md"}, 404),
        ("/stale", {"document": "x" * 5000}, 404),
        ("/shown", {"document": "d" + "a" * 24}, 200),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    client: httpx.AsyncClient, world: World, what: str, params: dict[str, str], status: int
) -> None:
    response = await client.get(f"/api/v1/audit{what}", params=params, headers=world.investigating())
    assert response.status_code == status
    if status != 200:
        assert error_of(response)["code"] == {400: "bad_request", 404: "not_found"}[status]


async def test_whoever_may_not_look_does_not_learn_which_documents_there_are(
    client: httpx.AsyncClient, world: World
) -> None:
    answers = set()
    for document in (BUDGET, "finance/none.md"):
        params = {"document": document}
        response = await client.get("/api/v1/audit/shown", params=params, headers=world.headers("audra"))
        answers.add((response.status_code, error_of(response)["code"], error_of(response)["message"]))
    assert [(status, code) for status, code, _ in answers] == [(403, "investigation_needed")]
