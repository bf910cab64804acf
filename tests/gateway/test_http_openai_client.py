"""The official OpenAI client talks to a real server on loopback."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx
import openai
import pytest
import uvicorn

from gateway.app import create_app, server_config
from gateway.config import ServerOptions
from tests.gateway.conftest import TRAVEL_ANSWER, World, eventually, recorded

TRAVEL = "What is the daily allowance for travel in Norway?"
pytestmark = [pytest.mark.network, pytest.mark.allow_hosts(["127.0.0.1"])]


@contextlib.asynccontextmanager
async def serving(world: World) -> AsyncIterator[str]:
    """The address of the service, served by uvicorn as `muniment serve` does."""
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        server = uvicorn.Server(server_config(create_app(world.services), ServerOptions(port=port)))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await until_answering(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            await running


async def until_answering(address: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:

        async def ready() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return (await client.get(f"{address}/health/ready")).status_code == 200
            return False

        await eventually(ready)


@pytest.fixture
async def address(world: World) -> AsyncIterator[str]:
    world.model.says(TRAVEL_ANSWER)
    async with serving(world) as address:
        yield address


def client_for(address: str, key: str) -> openai.AsyncOpenAI:
    http = openai.DefaultAsyncHttpxClient(trust_env=False)
    return openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, http_client=http)


async def test_a_completion_with_and_without_streaming(world: World, address: str) -> None:
    async with client_for(address, world.keys["bob"]) as client:
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": TRAVEL}]
        whole = await client.chat.completions.create(model="muniment", messages=messages)  # type: ignore[arg-type]
        assert "480 kroner" in (whole.choices[0].message.content or "")
        assert whole.usage is not None
        assert whole.usage.total_tokens > 0
        assert whole.model_extra is not None
        assert whole.model_extra["muniment"]["citations"][0]["path"] == "handbook/travel.md"
        stream = await client.chat.completions.create(
            model="muniment",
            messages=messages,  # type: ignore[arg-type]
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"muniment": {"keep": True}},
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert chunks[-1].model_extra is not None
    assert chunks[-1].model_extra["muniment"]["conversation"]


async def test_models_are_listed(world: World, address: str) -> None:
    async with client_for(address, world.keys["bob"]) as client:
        assert "muniment" in [model.id async for model in client.models.list()]
        assert (await client.models.retrieve("muniment")).owned_by == "muniment"


async def test_errors_arrive_as_the_clients_own(world: World, address: str) -> None:
    asked = [{"role": "user", "content": TRAVEL}]
    async with client_for(address, "nonsense") as client:
        with pytest.raises(openai.AuthenticationError, match="API key"):
            await client.models.list()
    async with client_for(address, world.keys["bob"]) as client:
        with pytest.raises(openai.NotFoundError, match="/v1/models"):
            await client.chat.completions.create(model="gpt-9", messages=asked)  # type: ignore[arg-type]
        with pytest.raises(openai.BadRequestError, match="`n`"):
            await client.chat.completions.create(model="muniment", messages=asked, n=2)  # type: ignore[arg-type]


async def test_closing_the_connection_ends_the_work(world: World, address: str) -> None:
    world.model.holds()
    messages = [{"role": "user", "content": TRAVEL}]

    async def working() -> bool:
        return world.model.working > 0

    async def idle() -> bool:
        return not world.model.working

    for stream in (False, True):
        async with client_for(address, world.keys["bob"]) as client:
            asked = client.chat.completions.create(model="muniment", messages=messages, stream=stream)  # type: ignore[call-overload]
            asking = asyncio.create_task(asked)
            await eventually(working)
            asking.cancel()
        await eventually(idle)
    assert world.model.cancelled == 2

    async def told() -> bool:
        return len(recorded(world, "answer:failed")) == 2

    await eventually(told)


async def test_the_server_says_little_about_itself_and_trusts_no_proxy(world: World, address: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(f"{address}/health/live")
        assert "server" not in response.headers
        elsewhere = {"Host": "elsewhere.example", "X-Forwarded-Host": "localhost"}
        assert (await client.get(f"{address}/health/live", headers=elsewhere)).status_code == 400
