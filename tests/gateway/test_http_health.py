"""Probes tell the truth about each part, and measurements name no person."""

import asyncio
import sqlite3
from contextlib import closing
from typing import Any

import httpx
import pytest
from litestar import Litestar
from sqlalchemy.exc import OperationalError

from gateway.app import create_app
from gateway.errors import DatabaseUnusableError
from gateway.health.service import Readiness
from models.errors import ModelMissingError
from policies.audit.store import TrailHealth
from tests.gateway.conftest import TRAVEL_ANSWER, World, client_of, error_of, eventually, question, until_ready


def parts_of(body: Any) -> dict[str, bool]:
    return {part["name"]: part["ready"] for part in body["parts"]}


async def test_a_service_that_starts_is_alive_and_not_ready(world: World, app: Litestar) -> None:
    world.model.holds_start()
    async with client_of(app) as client:
        assert (await client.get("/health/live")).json() == {"status": "alive"}
        response = await client.get("/health/ready")
        assert (response.status_code, error_of(response)["code"]) == (503, "not_ready")
        assert "model" in error_of(response)["message"]
        assert parts_of(response.json())["model"] is False
        assert response.headers["retry-after"]
        world.model.lets_start()
        await until_ready(client)
        body = (await client.get("/health/ready")).json()
    assert body["status"] == "ready"
    assert parts_of(body) == dict.fromkeys(["database", "audit trail", "redaction", "index", "model"], True)
    assert world.model.stopped


async def test_a_part_that_cannot_load_is_named_and_tried_again(world: World) -> None:
    world.model.starts_with(ModelMissingError("There is no model at /srv/models. Run `muniment models pull`."))
    readiness = Readiness(world.services, retry_seconds=0.05)
    loading = asyncio.create_task(readiness.load())

    async def failed() -> bool:
        return any("Run `muniment" in str(part.detail) for part in await readiness.check())

    await eventually(failed)
    world.model.starts_with(None)
    await asyncio.wait_for(loading, 5)
    readiness.require()


async def told(client: httpx.AsyncClient, headers: dict[str, str]) -> bool:
    return "/srv/models" in (await client.get("/health/ready", headers=headers)).text


async def test_only_operators_and_monitors_learn_why_a_part_does_not_work(world: World, app: Litestar) -> None:
    world.model.starts_with(ModelMissingError("There is no model at /srv/models. Run `muniment models pull`."))
    async with client_of(app) as client:
        for user in ("olga", "mona"):
            await eventually(lambda user=user: told(client, world.headers(user)))
        for headers in ({}, world.headers("bob"), world.headers("audra")):
            response = await client.get("/health/ready", headers=headers)
            assert response.status_code == 503
            assert "/srv/models" not in response.text


async def test_a_part_that_stops_working_is_noticed(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        statement = "SELECT 1"
        raise OperationalError(statement, {}, LookupError())

    async def lacking() -> list[str]:
        response = await client.get("/health/ready")
        return [name for name, ready in parts_of(response.json()).items() if not ready]

    assert await lacking() == []
    world.model.dies()
    assert await lacking() == ["model"]
    monkeypatch.setattr(world.services.database, "connect", fail)
    assert await lacking() == ["database", "model"]


async def test_a_database_that_another_version_migrates_is_noticed(client: httpx.AsyncClient, world: World) -> None:
    """Nothing is read out of tables that may mean something else by now: no empty answer, but none."""
    body = {"query": "Kestrel"}
    assert (await client.post("/api/v1/search", json=body, headers=world.headers("alice"))).json()["passages"]
    with closing(sqlite3.connect(world.services.home.database)) as newer:
        newer.execute("ALTER TABLE source ADD COLUMN importance INTEGER")
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
        newer.commit()
    response = await client.post("/api/v1/search", json=body, headers=world.headers("alice"))
    assert (response.status_code, response.json()["error"]["code"]) == (503, "database_unusable")
    response = await client.get("/health/ready")
    assert response.status_code == 503
    assert parts_of(response.json())["database"] is False


async def test_a_trail_that_takes_nothing_is_noticed(client: httpx.AsyncClient, world: World) -> None:
    world.services.trail.close()
    response = await client.get("/health/ready")
    assert response.status_code == 503
    assert parts_of(response.json())["audit trail"] is False


async def test_a_trail_that_cannot_be_signed_is_told_to_operators(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries are still taken, so questions are answered; whoever keeps the service running must learn of it."""
    ailing = TrailHealth(ready=True, waiting=0, detail="It holds a checkpoint that was not signed here.")
    monkeypatch.setattr(type(world.services.trail), "health", ailing)
    response = await client.get("/health/ready", headers=world.headers("olga"))
    assert response.status_code == 200
    assert {part["name"]: part.get("detail") for part in response.json()["parts"]}["audit trail"] == ailing.detail
    assert ailing.detail not in (await client.get("/health/ready")).text


async def test_a_service_whose_database_is_damaged_does_not_start(world: World) -> None:
    world.services.close()
    world.services.home.database.write_bytes(b"not a database" * 1000)
    vars(world.services).pop("database", None)
    with pytest.raises(DatabaseUnusableError):
        create_app(world.services)


async def test_measurements_count_what_happens_and_name_nobody(client: httpx.AsyncClient, world: World) -> None:
    world.model.says(TRAVEL_ANSWER)
    bob = world.headers("bob")
    for text in (
        "What is the daily allowance for travel in Norway?",
        "Write to ada.brandt@harbour.example: allowance?",
    ):
        assert (await client.post("/v1/chat/completions", json=question(text), headers=bob)).status_code == 200
    narrowed = question("What is the allowance?", muniment={"sources": []})
    await client.post("/v1/chat/completions", json=narrowed, headers=bob)
    await client.post("/v1/chat/completions", json=question(""), headers=bob)
    await client.get("/nowhere/alice")
    await client.request("BREW", "/coffee")
    await client.get("/api/v1/conversations/c234", headers=bob)
    response = await client.get("/metrics", headers=world.headers("mona"))
    assert response.headers["content-type"].startswith("text/plain")
    text = response.text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert values['muniment_questions_total{outcome="answered"}'] == "2.0"
    assert values['muniment_questions_total{outcome="abstained"}'] == "1.0"
    assert values['muniment_questions_total{outcome="failed"}'] == "1.0"
    assert values['muniment_http_requests_total{method="POST",route="/v1/chat/completions",status="200"}'] == "3.0"
    assert values['muniment_http_requests_total{method="unmatched",route="unmatched",status="404"}'] == "2.0"
    assert float(values['muniment_tokens_total{kind="completion"}']) > 0
    assert float(values['muniment_redactions_total{type="EMAIL_ADDRESS"}']) >= 1
    assert float(values["muniment_first_token_seconds_count"]) == 2
    assert float(values["muniment_trail_append_seconds_count"]) >= 4
    assert values["muniment_questions_running"] == "0.0"
    assert values['muniment_source_documents{source="company"}'] == "3.0"
    assert float(values['muniment_source_synced_timestamp_seconds{source="company"}']) > 1e9
    assert not [word for word in ("alice", "bob", "mona", "BREW", "ada.brandt", "Norway") if word in text]


async def test_measurements_survive_a_database_that_is_down(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        message = "down"
        raise LookupError(message)

    monkeypatch.setattr("gateway.sources.service.Session", fail)
    response = await client.get("/metrics", headers=world.headers("mona"))
    assert response.status_code == 200
    assert "muniment_source_documents{" not in response.text
