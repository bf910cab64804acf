"""A worker that cannot be started says why, leaves nothing open, and is tried again until it can be."""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.catalogue import Artefact, load_catalogue
from models.errors import EngineUnavailableError
from models.llama import client
from models.llama.client import Worker
from models.llama.engine import LlamaEngine, WorkerOptions
from tests.models.llama.conftest import SMALL


def no_more_files(*_: object, **__: object) -> Any:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def no_more_files_later(*_: object, **__: object) -> Any:
    no_more_files()


def open_files() -> set[str]:
    """What this process holds open; names of sockets and pipes are their numbers."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(str(entry.readlink()))
        except FileNotFoundError:
            continue  # The one that reads the folder itself.
    return {name for name in found if name.startswith(("socket:", "pipe:"))}


@pytest.mark.parametrize(
    ("place", "name", "fails"),
    [
        (socket, "socketpair", no_more_files),
        (client.asyncio, "create_subprocess_exec", no_more_files_later),
        (client.asyncio, "open_unix_connection", no_more_files_later),
    ],
    ids=["socketpair", "process", "connection"],
)
async def test_a_system_without_room_is_told_and_nothing_stays_open(
    monkeypatch: pytest.MonkeyPatch, place: Any, name: str, fails: Callable[..., Any]
) -> None:
    started: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def remember(*arguments: Any, **more: Any) -> asyncio.subprocess.Process:
        started.append(await start(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(client.asyncio, "create_subprocess_exec", remember)
    before = open_files()
    monkeypatch.setattr(place, name, fails)
    with pytest.raises(EngineUnavailableError, match=r"cannot be started: .*open files"):
        await Worker.spawn("error")
    monkeypatch.undo()
    assert open_files() <= before
    assert [process.returncode for process in started] == [-9] * len(started)


class BriefWorker:
    """A worker that is gone as soon as it is watched; `trouble` is what letting go of it raises."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.trouble = trouble
        self.killed = False

    async def ended(self, within: float) -> bool:
        assert within
        return True

    async def end(self) -> None:
        if self.trouble:
            raise self.trouble

    def ending(self) -> str:
        return "The model's worker ended with SIGSEGV"

    def kill(self) -> None:
        self.killed = True


class Restarted(LlamaEngine):
    """An engine whose workers are given; an exception among them is what launching raises. The last one stays."""

    def __init__(self, artefact: Artefact, *launches: BriefWorker | Exception) -> None:
        super().__init__(Path("none"), artefact=artefact, options=WorkerOptions(restart=(0.0,)))
        self.launches = list(launches)
        self.all_launched = asyncio.Event()
        self.details: list[str] = []

    async def _launch(self) -> Any:
        self.details.append(self._detail)
        if not self.launches:
            self.all_launched.set()
            await asyncio.Event().wait()
        launched = self.launches.pop(0)
        if isinstance(launched, Exception):
            raise launched
        return launched


@pytest.mark.parametrize("trouble", [OSError(errno.EMFILE, "full"), RuntimeError("no thread"), ValueError("35")])
async def test_the_supervisor_survives_whatever_a_restart_raises(trouble: Exception) -> None:
    artefact = load_catalogue().artefact(SMALL)
    stubborn = BriefWorker(trouble)
    engine = Restarted(artefact, BriefWorker(), trouble, EngineUnavailableError("No memory."), stubborn)
    await engine.start()
    await asyncio.wait_for(engine.all_launched.wait(), 20)
    assert stubborn.killed
    _, after_end, after_trouble, after_failure, after_stubborn = engine.details
    assert "SIGSEGV; it is being started again" in after_end
    assert repr(trouble) in after_trouble
    assert after_failure == "No memory."
    assert repr(trouble) in after_stubborn
    await engine.stop()
