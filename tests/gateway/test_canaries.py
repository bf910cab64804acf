"""T9: what is planted in documents, questions, history, file names and errors stands in no log, metric, trail, cache or
temporary file, and reaches no model."""

import base64
import json
import logging
import sqlite3
import tempfile
import traceback
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from gateway.app import create_app
from gateway.chat.service import Chats
from policies.errors import RedactionFailedError
from policies.personal_data import EntityType
from policies.redaction.isolated import IsolatedRedactor
from tests.fakes.scripted_model import prompt_of
from tests.gateway.canaries import CANARIES, SENTENCES, VALUES, found_in, spread
from tests.gateway.conftest import World, build_home, client_of, open_services, question, until_ready
from tests.gateway.gated_model import GatedModel

pytestmark = pytest.mark.models
ANSWER = "The Kestrel budget was looked at again."
TABLES_OF_DOCUMENTS = ("passage", "document", "skip")
"""Where texts of documents belong; index files hold their words, since that is what a keyword index is. Conversations
are sealed, and are looked through like everything else."""


class Everything:
    """Whatever left a run behind, by name."""

    def __init__(self) -> None:
        self.pieces: dict[str, bytes] = {}

    def leaks(self) -> dict[str, set[str]]:
        return {name: found for name, content in self.pieces.items() if (found := found_in(content))}


@pytest.fixture(scope="module")
def redactor(model_path: Callable[[str], Path]) -> Iterator[IsolatedRedactor]:
    made = IsolatedRedactor(model_path("en-core-web-sm-3.8.0"))
    yield made
    made.close()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def planted(tmp_path: Path, scratch: Path, redactor: IsolatedRedactor) -> Iterator[World]:
    """An installation whose documents, one of them unreadable, hold every canary, some in their names too."""
    model = GatedModel()

    def opened(home: Path) -> object:
        services = open_services(home, model)
        services.redactor = redactor
        return services

    documents = tmp_path / "planted" / "documents" / "handbook"
    documents.mkdir(parents=True)
    for number, (kind, value) in enumerate(CANARIES):
        text = f"# Note {number}\n\n{SENTENCES[kind].format(value)} The Kestrel budget was looked at again.\n"
        (documents / f"note-{number}.md").write_text(text, encoding="utf-8")
    for kind in (EntityType.CREDIT_CARD, EntityType.IBAN_CODE):
        (documents / f"{VALUES[kind][0]}.pdf").write_bytes(b"%PDF-1.7 broken " + VALUES[kind][1].encode())
    (documents / "odd.bin").write_bytes(b"\x00\xff" + VALUES[EntityType.SECRET][0].encode())
    home, keys = build_home(tmp_path / "planted", "[audit]\ndeadline_seconds = 60\n", opened)  # type: ignore[arg-type]
    with opened(home) as services:  # type: ignore[attr-defined]
        redactor.load()
        yield World(services, keys, model)


def database_without_documents(path: Path, scratch: Path) -> bytes:
    """The bytes of a database once the tables that are for texts of documents have been emptied."""
    copy = scratch / "copy.db"
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        for table in TABLES_OF_DOCUMENTS:
            target.execute(f"DELETE FROM {table}")
        target.commit()
        target.execute("VACUUM")
    content = copy.read_bytes()
    copy.unlink()
    return content


def look_around(home: Path, scratch: Path, everything: Everything) -> None:
    for path in [*home.rglob("*"), *scratch.rglob("*")]:
        if path.is_file() and not path.is_relative_to(home / "index") and not path.name.startswith("muniment.db"):
            everything.pieces[str(path.name)] = path.read_bytes()
    everything.pieces["muniment.db"] = database_without_documents(home / "data" / "muniment.db", scratch)


async def run_everything(world: World, everything: Everything) -> None:
    """Ask with canaries in questions and history, keep conversations, search, fail in every way."""
    world.model.says(ANSWER)
    failed: list[httpx.Response] = []
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        headers = world.headers("bob")

        async def ask(text: str, **more: object) -> httpx.Response:
            return await client.post("/v1/chat/completions", json=question(text, **more), headers=headers)

        for kind, value in spread(14, 0):
            said = SENTENCES[kind].format(value)
            before = [{"role": "user", "content": said}, {"role": "assistant", "content": "Noted."}]
            asked = {"role": "user", "content": f"{said} What is the Kestrel budget?"}
            reply = await ask("", messages=[*before, asked], muniment={"keep": True})
            failed += [reply] if reply.status_code != 200 else []
            await client.post("/api/v1/search", json={"query": said, "limit": 5}, headers=headers)
        for kind, value in spread(14, 1):
            said = SENTENCES[kind].format(value)
            world.model.fails(RuntimeError(f"the prompt was {said}"))
            failed.append(await ask(f"What is the Kestrel budget? {said}"))
            failed.append(await ask(said * 400))
            failed.append(await client.post("/v1/chat/completions", content=f'{{"model": {said}', headers=headers))
            failed.append(await client.get(f"/api/v1/{urllib.parse.quote(value)}", headers=headers))
        measured = await client.get("/metrics", headers=world.headers("mona"))
        everything.pieces["metrics"] = measured.content
    # Not a caller's own words sent back to them, but what a proxy or a client would log of an error.
    everything.pieces["errors"] = b"\n".join(reply.content for reply in failed if reply.status_code >= 500)
    assert sum(reply.status_code >= 500 for reply in failed) >= 14
    told = [prompt_of(asked.turns) for asked in [*world.model.generations, *world.model.choices]]
    assert any("Kestrel" in part for part in told)
    everything.pieces["model"] = "\n".join(told).encode()


async def whole_run(
    world: World, scratch: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> Everything:
    everything = Everything()
    with caplog.at_level(logging.DEBUG):
        await run_everything(world, everything)
        for kind, value in CANARIES[:5]:
            try:
                world.services.redactor.find(f"{SENTENCES[kind].format(value)} " * 200_000)
            except RedactionFailedError:
                everything.pieces["traceback"] = traceback.format_exc().encode()
    formatter = logging.Formatter("%(message)s")
    ours = (record for record in caplog.records if record.name not in {"httpx", "asyncio"})  # The test's own client.
    everything.pieces["log"] = "\n".join(map(formatter.format, ours)).encode()
    printed = capfd.readouterr()
    everything.pieces["printed"] = (printed.out + printed.err).encode()
    look_around(world.services.home.folder, scratch, everything)
    return everything


async def test_canaries_are_found_nowhere_outside(
    planted: World, scratch: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    everything = await whole_run(planted, scratch, caplog, capfd)
    assert {"audit.db", "metrics", "errors", "model", "log", "printed", "muniment.db", "traceback"} <= set(
        everything.pieces
    )
    assert everything.leaks() == {}


async def test_a_build_that_logs_the_question_is_noticed(
    planted: World,
    scratch: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative control."""
    real = Chats._intent

    def logging_it(self: Chats, run: object) -> object:
        logging.getLogger("gateway.chat.service").debug("asked %s", run.question.text)  # type: ignore[attr-defined]
        return real(self, run)  # type: ignore[arg-type]

    monkeypatch.setattr(Chats, "_intent", logging_it)
    everything = await whole_run(planted, scratch, caplog, capfd)
    assert len(everything.leaks()["log"]) >= 14


def test_there_are_fifty_of_every_kind() -> None:
    assert len(CANARIES) >= 50
    assert {kind for kind, _ in CANARIES} == set(EntityType)


@pytest.mark.parametrize(("kind", "value"), CANARIES)
def test_each_is_recognised(redactor: IsolatedRedactor, kind: EntityType, value: str) -> None:
    text = SENTENCES[kind].format(value)
    assert any(
        text[span.start : span.end] in value or value in text[span.start : span.end] for span in redactor.find(text)
    )


@pytest.mark.parametrize(
    "hide",
    [
        str.encode,
        lambda text: text.encode("utf-16-le"),
        lambda text: b"x" + base64.b64encode(b"ab" + text.encode() + b"cde"),
        lambda text: text.encode().hex().encode(),
        lambda text: urllib.parse.quote(text).encode(),
        lambda text: json.dumps({"a": text}).encode(),
    ],
)
def test_every_form_is_found(hide: Callable[[str], bytes]) -> None:
    """Negative control of the search itself."""
    for _, value in CANARIES:
        assert value in found_in(b"..." + hide(value) + b"...")
