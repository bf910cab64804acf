"""Errors over HTTP have one shape, a stable code, a sentence that helps, and nothing from inside."""

import logging
import sqlite3
from contextlib import closing
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from gateway.app import create_app
from gateway.errors import TRANSLATIONS, ConflictError, TooManyRequestsError
from gateway.http_errors import ErrorBody, ErrorDetail, describe_error
from tests.gateway.conftest import World, client_of, error_of, question

CANARY = "Ravi Okafor earns 91,300"


async def test_an_unknown_model_is_told_where_the_names_are(client: httpx.AsyncClient, world: World) -> None:
    body = {**question("x"), "model": "gpt-9"}
    response = await client.post("/v1/chat/completions", json=body, headers=world.headers("bob"))
    assert "/v1/models" in error_of(response)["message"]


def test_the_shape_is_pinned() -> None:
    status, body = describe_error(ConflictError("It is there already."), "r1")
    assert (status, body) == (409, ErrorBody(ErrorDetail("conflict", "It is there already.", "r1")))
    assert describe_error(TooManyRequestsError("Wait."), "r1")[0] == 429


@pytest.mark.parametrize("row", TRANSLATIONS, ids=lambda row: row.code)
def test_private_texts_stay_inside(row: Any) -> None:
    if row.public is not None:
        assert CANARY not in describe_error(row.error(CANARY), "r1")[1].error.message


async def test_a_defect_tells_its_request_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise LookupError(CANARY)

    monkeypatch.setattr(world.services.conversations, "listed", fail)
    with caplog.at_level(logging.DEBUG):
        async with client_of(create_app(world.services)) as client:
            response = await client.get("/api/v1/conversations", headers=world.headers("bob"))
    error = error_of(response)
    assert (response.status_code, error["code"]) == (500, "internal_error")
    assert error["request"] in error["message"]
    assert not [word for word in ("LookupError", "Traceback", CANARY) if word in response.text]
    defects = [record.getMessage() for record in caplog.records if "request_defect" in record.getMessage()]
    assert len(defects) == 1
    assert error["request"] in defects[0]
    assert "LookupError" in defects[0]
    assert CANARY not in caplog.text


async def test_absent_and_forbidden_look_alike(client: httpx.AsyncClient, world: World) -> None:
    asked = question("How many days of paid holiday are there?", muniment={"keep": True})
    answer = await client.post("/v1/chat/completions", json=asked, headers=world.headers("alice"))
    hers = answer.json()["muniment"]["conversation"]
    absent = "c" + "a" * (len(hers) - 1)
    assert (await client.get(f"/api/v1/conversations/{hers}", headers=world.headers("alice"))).status_code == 200

    def told(response: httpx.Response, id_: str) -> tuple[int, str]:
        return response.status_code, error_of(response)["message"].replace(id_, "ID")

    async def tries(id_: str) -> list[tuple[int, str]]:
        named = question("And?", muniment={"conversation": id_})
        bob = world.headers("bob")
        return [
            told(await client.get(f"/api/v1/conversations/{id_}", headers=bob), id_),
            told(await client.post("/v1/chat/completions", json=named, headers=bob), id_),
        ]

    assert await tries(hers) == await tries(absent)
    assert (await tries(hers))[0][0] == 404


async def test_a_conversation_that_does_not_open_says_to_begin_a_new_one(
    client: httpx.AsyncClient, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    asked = question("How many days of paid holiday are there?", muniment={"keep": True})
    answer = await client.post("/v1/chat/completions", json=asked, headers=world.headers("alice"))
    kept = answer.json()["muniment"]["conversation"]
    with world.services.database.begin() as connection:
        connection.exec_driver_sql("UPDATE conversation SET vault = x'0102'")
    follow_up = question("And?", muniment={"conversation": kept})
    for response in (
        await client.get(f"/api/v1/conversations/{kept}", headers=world.headers("alice")),
        await client.post("/v1/chat/completions", json=follow_up, headers=world.headers("alice")),
    ):
        assert (response.status_code, error_of(response)["code"]) == (410, "conversation_unreadable")
        assert "Start a new conversation" in error_of(response)["message"]
    assert "code=conversation_unreadable" in caplog.text, "a record that was altered concerns the operator too"


async def test_a_database_that_somebody_else_writes_to_says_to_try_again(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait_in_vain(*_: object) -> None:
        with world.services.database.execution_options(writing=True).begin() as connection:
            connection.exec_driver_sql("SELECT 1")

    monkeypatch.setattr(world.services.conversations, "listed", wait_in_vain)
    world.services.database.dispose()
    event.listen(world.services.database, "connect", lambda made, _: made.execute("PRAGMA busy_timeout=1"))
    with closing(sqlite3.connect(world.services.home.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        response = await client.get("/api/v1/conversations", headers=world.headers("bob"))
        other.execute("ROLLBACK")
    error = error_of(response)
    assert (response.status_code, error["code"]) == (503, "database_busy")
    assert response.headers["retry-after"]
    assert "set up" not in error["message"]
    assert str(world.services.home) not in error["message"]
