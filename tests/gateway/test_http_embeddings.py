"""Vectors in OpenAI's form: those that searches use, in either encoding, for whoever may, and in the trail."""

import base64
from typing import Any

import httpx
import numpy as np
import pytest

from policies.audit.events import EmbeddingsMade
from policies.audit.reader import EntryQuery, read_entries
from tests.gateway.conftest import World

PATH = "/v1/embeddings"


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "muniment", "input": ["the travel policy", "the budget"]} | fields


async def vectors(client: httpx.AsyncClient, world: World, **fields: Any) -> list[Any]:
    response = await client.post(PATH, json=asked(**fields), headers=world.headers("bob"))
    assert response.status_code == 200, response.text
    return [each["embedding"] for each in response.json()["data"]]


async def test_who_may_not_gets_none(client: httpx.AsyncClient, world: World) -> None:
    assert (await client.post(PATH, json=asked())).status_code == 401
    assert (await client.post(PATH, json=asked(), headers=world.headers("audra"))).status_code == 403


async def test_vectors_are_those_that_searches_use(client: httpx.AsyncClient, world: World) -> None:
    given = await vectors(client, world)
    expected = world.services.embedder.embed(["the travel policy", "the budget"])
    np.testing.assert_allclose(np.array(given), expected, rtol=1e-6)
    assert await vectors(client, world, input="the budget") == [given[1]]
    encoded = await vectors(client, world, encoding_format="base64")
    for text, vector in zip(encoded, expected, strict=True):
        np.testing.assert_array_equal(np.frombuffer(base64.b64decode(text), dtype="<f4"), vector)


async def test_the_trail_says_that_they_were_made_and_not_of_what(client: httpx.AsyncClient, world: World) -> None:
    await vectors(client, world, input=["a secret thought"])
    entry = read_entries(world.services.trail_place, EntryQuery(kind=EmbeddingsMade.kind))[0]
    assert (entry.event["texts"], entry.event["tokens"]) == (1, 3)
    assert "secret" not in str(entry)


@pytest.mark.parametrize("name", ["muniment", "all-minilm-l6-v2"])
async def test_the_model_may_be_named_either_way(client: httpx.AsyncClient, world: World, name: str) -> None:
    assert len(await vectors(client, world, model=name)) == 2
