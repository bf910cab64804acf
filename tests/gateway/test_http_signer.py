"""Answers while the process that holds the signing key is gone: none, and again as soon as it is back."""

import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.app import create_app
from policies.audit.receipts import verify_receipt
from policies.audit.verifier import verify
from policies.keys import open_keys
from policies.signing_socket import Notary, SocketSigner, serve_signatures
from tests.gateway.conftest import World, client_of, eventually, question, until_ready

ASKED = "What is the Kestrel budget for 2027?"


@contextmanager
def signing(folder: Path) -> Iterator[None]:
    server = serve_signatures(Notary(folder), folder / "s", {os.getuid()})
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def signer(world: World, tmp_path: Path) -> Path:
    """The signing key is moved out of the home, before anything of it is opened."""
    folder = tmp_path / "signer"
    folder.mkdir(mode=0o700)
    keys = world.services.home.keys
    (keys / "signing.pem").rename(folder / "signing.pem")
    world.services.keys = open_keys(keys, SocketSigner(folder / "s"))
    return folder


@pytest.fixture
async def client(world: World, signer: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        yield client


async def test_there_is_no_answer_without_it_and_one_again_with_it(
    client: httpx.AsyncClient, world: World, signer: Path
) -> None:
    headers = {"Authorization": f"Bearer {world.keys['alice']}"}

    async def ask() -> httpx.Response:
        return await client.post("/v1/chat/completions", json=question(ASKED), headers=headers)

    async def answered() -> bool:
        return (await ask()).status_code == 200

    with signing(signer):
        await eventually(answered, seconds=20)  # It knows the trail once it has signed a checkpoint.
    refused = await ask()
    assert refused.status_code == 503
    assert "1400000" not in refused.text
    with signing(signer):
        again = await ask()
        assert again.status_code == 200, "it is found again at once"
        assert verify_receipt(again.json()["muniment"]["receipt"], world.services.keys.public_key_pem())
        world.services.trail.close()
    report = verify(world.services.home.trail, world.services.keys.public_key_pem())
    assert (report.ok, report.sealed) == (True, report.entries)
