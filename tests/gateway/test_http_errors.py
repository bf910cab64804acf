"""Errors over HTTP have one shape, a stable code, a sentence that helps, and nothing from inside."""

import logging
from typing import Any

import httpx
import pytest

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
