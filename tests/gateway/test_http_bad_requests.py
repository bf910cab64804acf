"""What cannot be understood, is not offered or is not there: the right status, and a sentence that helps.

Nothing here changes anything, so all of it asks one installation.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.app import create_app
from gateway.http_errors import MAX_BODY_BYTES
from tests.gateway.conftest import World, client_of, error_of, opened_world, question, until_ready

pytestmark = pytest.mark.asyncio(loop_scope="module")
ASKED = b'{"model": "muniment", "messages": [{"role": "user"}]'


@pytest.fixture(scope="module")
def world(built_home: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with opened_world(built_home, tmp_path_factory.mktemp("shared")) as world:
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        yield client


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no body"),
        (b"{", "not valid JSON"),
        (b"[]", "Expected `object`, got `array`"),
        (b"null", "Expected `object`, got `null`"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b'{"model": "\xff"}', "not valid JSON"),
        (b'{"model": "\\ud800", "messages": []}', "not valid JSON"),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"tools": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}", "nested too deeply"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "`model`"),
        (b'{"model": 1, "messages": []}', "`model`: Expected `str`, got `int`"),
        (b'{"model": "muniment"}', "`messages`"),
        (b'{"model": "muniment", "messages": []}', "`messages`: Expected `array` of length >= 1"),
        (b'{"model": "muniment", "messages": [{"role": "wizard"}]}', "`messages[0].role`"),
        (b'{"model": "muniment", "messages": [{"role": "user", "content": 3}]}', "`messages[0].content`"),
        (ASKED + b', "temperature": 9}', "`temperature`"),
        (ASKED + b', "seed": ' + b"9" * 40 + b"}", "`seed`"),
        (ASKED + b', "muniment": {"sauces": []}}', "`sauces`"),
        (ASKED + b', "model": "other"}', "'model' twice"),
        (ASKED + b', "muniment": {"sources": ["a"], "so\\u0075rces": ["b"]}}', "'sources' twice"),
        (ASKED + b', "tools": [' + b'{"a": 1}, ' * 9_000 + b'{"a": 1, "a": 2}]}', "'a' twice"),
        (ASKED + b', "muniment": {"modified_after": "2026-01-01T00:00:00"}}', "timezone"),
    ],
    ids=lambda value: repr(value[:60]),
)
async def test_a_body_that_does_not_fit_says_where(
    client: httpx.AsyncClient, world: World, body: bytes, says: str
) -> None:
    response = await client.post("/v1/chat/completions", content=body, headers=world.headers("bob"))
    error = error_of(response)
    assert (response.status_code, error["code"]) == (400, "bad_request")
    assert says in error["message"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"n": 2}, "`n`"),
        ({"tools": [{"type": "function"}]}, "`tools`"),
        ({"functions": [{"name": "f"}]}, "`functions`"),
        ({"logprobs": True}, "`logprobs`"),
        ({"response_format": {"type": "json_object"}}, "`response_format`"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "image_url"),
        ({"messages": [{"role": "system", "content": "Obey."}]}, "no question"),
        ({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Well"}]}, "no question"),
        ({"messages": [{"role": "user", "content": ""}]}, "empty"),
        ({"messages": [{"role": "user", "content": None}]}, "empty"),
        ({"messages": [{"role": "user", "content": " \n"}]}, "empty"),
        ({"messages": [{"role": "user", "content": "x" * 100_000}]}, "100000 characters"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_what_is_not_offered_is_said_plainly(
    client: httpx.AsyncClient, world: World, change: Any, says: str
) -> None:
    body = question("How many days of holiday are there?") | change
    response = await client.post("/v1/chat/completions", json=body, headers=world.headers("bob"))
    error = error_of(response)
    assert (response.status_code, error["code"]) == (400, "bad_request")
    assert says in error["message"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (("POST", "/api/v1/search", {"query": ""}), (400, "bad_request")),
        (("POST", "/api/v1/search", {"query": "x" * 100_000}), (400, "bad_request")),
        (("POST", "/api/v1/search", {"query": "x", "limit": 0}), (400, "bad_request")),
        (("POST", "/api/v1/search", {"query": "x", "limits": 5}), (400, "bad_request")),
        (("POST", "/api/v1/search", {"query": "x", "sources": ["s"] * 101}), (400, "bad_request")),
        (
            ("POST", "/api/v1/search", {"query": "x", "modified_after": "0001-01-01T00:00:00+14:00"}),
            (400, "bad_request"),
        ),
        (("POST", "/api/v1/search", {"query": "x", "sources": ["s"] * 100}), (200, "")),
        (
            ("POST", "/v1/chat/completions", question("x", muniment={"sources": ["s"] * 101})),
            (400, "bad_request"),
        ),
        (("POST", "/v1/embeddings", {"model": "muniment", "input": ""}), (400, "bad_request")),
        (("POST", "/v1/embeddings", {"model": "muniment", "input": []}), (400, "bad_request")),
        (("POST", "/v1/embeddings", {"model": "muniment", "input": ["x"] * 65}), (400, "bad_request")),
        (("POST", "/v1/embeddings", {"model": "muniment", "input": "x" * 8001}), (400, "bad_request")),
        (("POST", "/v1/embeddings", {"model": "muniment", "input": [[1, 2]]}), (400, "bad_request")),
        (("POST", "/v1/embeddings", {"model": "muniment", "input": "x", "dimensions": 7}), (400, "bad_request")),
        (("POST", "/v1/embeddings", {"model": "gpt-9", "input": "x"}), (404, "model_not_found")),
        (("GET", "/metrics", None), (403, "not_allowed")),
        (("GET", "/nowhere", None), (404, "not_found")),
        (("GET", "/schema/nowhere", None), (404, "not_found")),
        (("GET", "/schema/nowhere.json", None), (404, "not_found")),
        (("GET", "/api/v1/conversations/c234", None), (404, "not_found")),
        (("GET", "/v1/models/gpt-9", None), (404, "model_not_found")),
        (("POST", "/v1/chat/completions", {**question("x"), "model": "gpt-9"}), (404, "model_not_found")),
        (("GET", "/v1/chat/completions", None), (405, "method_not_allowed")),
        (("HEAD", "/v1/models", None), (405, "method_not_allowed")),
        (("POST", "/api/v1/search", {"query": "x" * MAX_BODY_BYTES}), (413, "too_large")),
    ],
)
async def test_each_status_has_its_code(
    client: httpx.AsyncClient, world: World, request_: tuple[str, str, Any], expected: tuple[int, str]
) -> None:
    method, path, body = request_
    response = await client.request(method, path, json=body, headers=world.headers("bob"))
    assert response.status_code == expected[0]
    if method != "HEAD":
        assert (error_of(response)["code"] if response.is_error else "") == expected[1]


async def test_a_method_not_allowed_names_those_that_are(client: httpx.AsyncClient, world: World) -> None:
    response = await client.get("/v1/chat/completions", headers=world.headers("bob"))
    assert "POST" in response.headers["allow"]
