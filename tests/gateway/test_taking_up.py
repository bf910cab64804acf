"""A running service takes up another generator, tries one on some users or unseen, and gives up one that is worse."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import app as app_module
from gateway.app import create_app
from gateway.models import taking_up
from gateway.models.promoting import promote, rollback
from models.catalogue import Catalogue, Kind
from models.errors import EngineUnavailableError
from retrieval.embeddings import VectorBuild
from tests.fakes.hash_embedder import HashEmbedder
from tests.gateway.cli.test_cli_models import artefact
from tests.gateway.conftest import TRAVEL_ANSWER, World, client_of, eventually, question, recorded, until_ready
from tests.gateway.gated_model import GatedModel

PATH = "/v1/chat/completions"
TRAVEL = "What is the daily allowance for travel in Norway?"
OTHER_ANSWER = TRAVEL_ANSWER.removeprefix("The ")
NEW = "other-model"
REASON = "A test of taking it up."


@pytest.fixture
def new(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GatedModel:
    """A further generator, which is here; what it says is another sentence than the one in use says."""
    made = artefact(NEW, world.services.generator.kind)
    shipped = world.services.catalogue
    monkeypatch.setenv("MUNIMENT_MODELS", str(tmp_path / "models"))
    vars(world.services)["catalogue"] = Catalogue(shipped.defaults, (*shipped.artefacts, made))
    (tmp_path / "models" / NEW).mkdir(parents=True)
    (tmp_path / "models" / NEW / "weights.bin").write_bytes(b"other weights")
    model = GatedModel()
    model.says(OTHER_ANSWER)
    world.model.says(TRAVEL_ANSWER)
    world.services.engine_of = lambda _: model  # type: ignore[method-assign]
    monkeypatch.setattr(app_module, "MODELS_LOOK_SECONDS", 0.02)
    return model


@contextlib.asynccontextmanager
async def serving(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        yield client


async def asked(client: httpx.AsyncClient, world: World, user: str = "bob", text: str = TRAVEL) -> httpx.Response:
    return await client.post(PATH, json=question(text), headers=world.headers(user))


def answered_by(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    name: str = response.json()["muniment"]["receipt"]["receipt"]["model"]
    return name


def set_trial(world: World, **settings: object) -> None:
    file = world.services.home.config_file
    text = re.sub(r"\n\[models\.trial\][^\[]*", "", file.read_text())
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    file.write_text(f"{text}\n[models.trial]\n{lines}")


def default_is(world: World, model: str) -> Callable[[], Any]:
    async def check() -> bool:
        return world.services.served.default.id == model

    return check


def canary_is(world: World, *, on: bool) -> Callable[[], Any]:
    async def check() -> bool:
        return (world.services.served.canary is not None) == on

    return check


@pytest.mark.asyncio
async def test_a_promoted_model_answers_without_a_restart_and_running_answers_end(
    world: World, new: GatedModel
) -> None:
    before = world.services.generator.id
    async with serving(world) as client:
        world.model.holds()
        running = asyncio.create_task(asked(client, world))
        await eventually(lambda: _true(world.model.working == 1))
        promote(world.services, NEW, "test", force=True, reason=REASON)
        await eventually(default_is(world, NEW))
        assert not world.model.stopped  # Somebody still waits for it.
        response = await asked(client, world, "alice")
        assert answered_by(response) == response.json()["model"] == NEW
        assert response.json()["choices"][0]["message"]["content"].startswith(OTHER_ANSWER[:-1])
        world.model.lets_go()
        assert answered_by(await running) == before
        await eventually(lambda: _true(world.model.stopped))
        listed = (await client.get("/v1/models", headers=world.headers("bob"))).json()
        assert [model["id"] for model in listed["data"]] == ["muniment", NEW]
        assert (await client.get("/health/ready")).status_code == 200


async def _true(value: bool) -> bool:  # noqa: FBT001 - for `eventually`
    return value


@pytest.mark.asyncio
async def test_a_rollback_is_taken_up_too(world: World, new: GatedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    before, again = world.services.generator.id, GatedModel()
    again.says(TRAVEL_ANSWER)
    monkeypatch.setattr(world.services.models, "verify", lambda _: None)
    async with serving(world) as client:
        promote(world.services, NEW, "test", force=True, reason=REASON)
        await eventually(default_is(world, NEW))
        world.services.engine_of = lambda _: again  # type: ignore[method-assign]
        rollback(world.services, "test", "It is too slow.")
        await eventually(default_is(world, before))
        assert answered_by(await asked(client, world)) == before
        await eventually(lambda: _true(new.stopped))


@pytest.mark.asyncio
async def test_a_model_that_does_not_load_changes_nothing(
    world: World, new: GatedModel, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.services.generator.id
    monkeypatch.setattr(taking_up, "_RETRY_SECONDS", 0.01)
    new.starts_with(EngineUnavailableError("there is no room"))
    async with serving(world) as client:
        promote(world.services, NEW, "test", force=True, reason=REASON)
        await eventually(lambda: _true("does not load" in caplog.text))
        assert answered_by(await asked(client, world)) == before
        assert caplog.text.count("does not load") == 1


@pytest.mark.asyncio
async def test_a_canary_answers_always_the_same_users_and_receipts_say_so(world: World, new: GatedModel) -> None:
    before = world.services.generator.id
    set_trial(world, model=NEW, mode="canary", share=0.5)
    async with serving(world) as client:
        await eventually(canary_is(world, on=True))
        canary = world.services.served.canary
        assert canary is not None
        canary.chosen = lambda user: user == "alice"
        for _ in range(3):
            response = await asked(client, world, "alice")
            assert answered_by(response) == response.json()["model"] == NEW
            assert answered_by(await asked(client, world, "bob")) == before
        named = {**question(TRAVEL), "model": before}  # Who names a model gets that.
        response = await client.post(PATH, json=named, headers=world.headers("alice"))
        assert answered_by(response) == before
        listed = (await client.get("/v1/models", headers=world.headers("bob"))).json()
        assert NEW not in {model["id"] for model in listed["data"]}


@pytest.mark.asyncio
async def test_a_canary_that_fails_is_given_up_by_itself_and_stays_so(
    world: World, new: GatedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.services.generator.id
    set_trial(world, model=NEW, mode="canary", share=1.0)
    monkeypatch.setattr("gateway.models.served._PAUSE_SECONDS", 0.0)
    new.fails(EngineUnavailableError("The worker is gone."))
    async with serving(world) as client:
        await eventually(canary_is(world, on=True))
        codes = [(await asked(client, world)).status_code for _ in range(5)]
        assert codes == [503] * 5
        await eventually(canary_is(world, on=False))
        await eventually(lambda: _true(bool(recorded(world, "model:rolled-back"))))
        assert answered_by(await asked(client, world)) == before
        await eventually(lambda: _true(new.stopped))
        await asyncio.sleep(0.2)
        assert world.services.served.canary is None  # It is not begun again, though the settings name it.
    (event,) = recorded(world, "model:rolled-back")
    assert event["cause"] == "failures: 5 in a row"
    assert (event["by"], event["model"], event["previous"]) == ("serve", before, NEW)
    (row, *_) = world.services.history.listed()
    assert (row.cause, row.reason) == ("trial-ended", "failures: 5 in a row")


@pytest.mark.asyncio
async def test_while_a_canary_is_down_its_users_are_answered_by_the_other(world: World, new: GatedModel) -> None:
    before = world.services.generator.id
    set_trial(world, model=NEW, mode="canary", share=1.0)
    new.fails(EngineUnavailableError("The worker is gone."))
    async with serving(world) as client:
        await eventually(canary_is(world, on=True))
        assert (await asked(client, world)).status_code == 503
        assert answered_by(await asked(client, world)) == before
    assert recorded(world, "model:rolled-back") == []


@pytest.mark.asyncio
async def test_without_the_watch_a_failing_canary_goes_on(
    world: World, new: GatedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the two above: nobody judges, so it is never given up."""
    set_trial(world, model=NEW, mode="canary", share=1.0)
    monkeypatch.setattr("gateway.models.served._PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(taking_up, "verdict", lambda *_: "")
    new.fails(EngineUnavailableError("The worker is gone."))
    async with serving(world) as client:
        await eventually(canary_is(world, on=True))
        for _ in range(8):
            assert (await asked(client, world)).status_code == 503
        assert world.services.served.canary is not None


@pytest.mark.asyncio
async def test_a_canary_ends_by_a_command_too(world: World, new: GatedModel) -> None:
    set_trial(world, model=NEW, mode="canary", share=1.0)
    async with serving(world):
        await eventually(canary_is(world, on=True))
        rollback(world.services, "test", "People complain.")
        await eventually(canary_is(world, on=False))
        set_trial(world, model=NEW, mode="canary", share=0.9)  # Another trial.
        await eventually(canary_is(world, on=True))


@pytest.mark.asyncio
async def test_a_promoted_canary_goes_on_in_the_process_it_has(world: World, new: GatedModel) -> None:
    set_trial(world, model=NEW, mode="canary", share=1.0)
    async with serving(world) as client:
        await eventually(canary_is(world, on=True))
        promote(world.services, NEW, "test", force=True, reason=REASON)
        await eventually(default_is(world, NEW))
        assert world.services.served.canary is None
        assert answered_by(await asked(client, world)) == NEW
        assert not new.stopped


@pytest.mark.asyncio
async def test_a_shadow_is_compared_and_never_shown(world: World, new: GatedModel) -> None:
    before = world.services.generator.id
    set_trial(world, model=NEW, mode="shadow", share=1.0)
    new.says("The daily allowance for travel in Norway is 512 kroner.")
    async with serving(world) as client:
        await eventually(lambda: _true(world.services.served.shadow is not None))
        response = await asked(client, world)
        assert answered_by(response) == before
        assert "512" not in response.text
        await eventually(lambda: _true(bool(recorded(world, "model:compared"))))
    (event,) = recorded(world, "model:compared")
    request = response.json()["muniment"]["receipt"]["receipt"]["request"]
    assert (event["request"], event["model"], event["other"]) == (request, NEW, before)
    assert event["agreed"] is False
    assert event["words_other"] == len(TRAVEL_ANSWER.split())
    # It was shown what the other was shown, in the same access domain, and nothing it said is anywhere.
    assert new.generations[0].turns == world.model.generations[0].turns
    assert new.generations[0].domain == world.model.generations[0].domain
    kept = [path.read_bytes() for path in world.services.home.folder.rglob("*") if path.is_file()]
    assert not any(b"512 kroner" in content for content in kept)


@pytest.mark.asyncio
async def test_a_shadow_keeps_nobody_waiting_and_leaves_out_what_does_not_fit(world: World, new: GatedModel) -> None:
    set_trial(world, model=NEW, mode="shadow", share=1.0)
    new.holds()
    async with serving(world) as client:
        await eventually(lambda: _true(world.services.served.shadow is not None))
        for _ in range(8):
            assert (await asked(client, world)).status_code == 200
        new.lets_go()
        await eventually(lambda: _true(len(recorded(world, "model:compared")) >= 5))
        await asyncio.sleep(0.1)
    assert len(recorded(world, "model:compared")) < 8


@pytest.mark.asyncio
async def test_a_question_that_waits_for_a_comparison_is_let_go_of_when_somebody_is_erased(
    world: World, new: GatedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_trial(world, model=NEW, mode="shadow", share=1.0)
    async with serving(world) as client:
        await eventually(lambda: _true(world.services.served.shadow is not None))
        began = world.services.recorder.erasures_so_far()
        await asked(client, world)
        await eventually(lambda: _true(len(recorded(world, "model:compared")) == 1))
        later = iter([began])  # When it is asked; an erasure comes before it is compared.
        monkeypatch.setattr(world.services.recorder, "erasures_so_far", lambda: next(later, None))
        await asked(client, world)
        await asyncio.sleep(0.3)
        assert len(recorded(world, "model:compared")) == 1


@pytest.mark.asyncio
async def test_settings_that_cannot_be_read_change_nothing(
    world: World, new: GatedModel, caplog: pytest.LogCaptureFixture
) -> None:
    before = world.services.generator.id
    async with serving(world) as client:
        file = world.services.home.config_file
        text = file.read_text()
        file.write_text("nonsense = [")
        await eventually(lambda: _true("model_not_taken_up" in caplog.text))
        assert answered_by(await asked(client, world)) == before
        file.write_text(text)
        set_trial(world, model="no-such-model")
        await eventually(lambda: _true("no-such-model" in caplog.text))
        assert answered_by(await asked(client, world)) == before


@pytest.mark.asyncio
async def test_receipts_name_every_version(world: World, new: GatedModel) -> None:
    async with serving(world) as client:
        receipt = (await asked(client, world)).json()["muniment"]["receipt"]["receipt"]
    catalogue, options = world.services.catalogue, world.services.config.models
    assert receipt["versions"] == {
        "generator": receipt["model_sha256"],
        "embedder": catalogue.artefact(options.embedder).version_sha256,
        "entity-recogniser": catalogue.artefact(options.recogniser).version_sha256,
        "russian-recogniser": catalogue.artefact(options.russian_recogniser).version_sha256,
    }


@pytest.mark.asyncio
async def test_another_embedder_is_searched_with_once_its_index_is_made(world: World, new: GatedModel) -> None:
    """The old one is searched with until then; a search never sees vectors of both."""

    class Longer(HashEmbedder):
        id = "longer"
        dimensions = 48

    services = world.services
    made = artefact("tiny-embedder", Kind.EMBEDDER)
    shipped = services.catalogue
    vars(services)["catalogue"] = Catalogue(shipped.defaults, (*shipped.artefacts, made))
    services.embedder_of = lambda _: Longer()  # type: ignore[method-assign,assignment,return-value]
    async with serving(world) as client:
        before = await client.post("/api/v1/search", json={"query": "Norway"}, headers=world.headers("bob"))
        build = VectorBuild(services.database, Longer(), "tiny-embedder")  # type: ignore[arg-type]
        await asyncio.to_thread(build.run)
        searching = asyncio.create_task(_search_on(client, world))
        assert await asyncio.to_thread(build.switch)
        await eventually(lambda: _true(services.embedder_id == "tiny-embedder"))
        assert not searching.done()  # Each search so far was answered.
        searching.cancel()
        after = await client.post("/api/v1/search", json={"query": "Norway"}, headers=world.headers("bob"))
        assert {one["path"] for one in after.json()["passages"]} == {one["path"] for one in before.json()["passages"]}
        receipt = (await asked(client, world)).json()["muniment"]["receipt"]["receipt"]
        assert receipt["versions"]["embedder"] == made.version_sha256
        services.sources.sync("company", services.ingestion, by="test", on_progress=lambda _: None)


async def _search_on(client: httpx.AsyncClient, world: World) -> None:
    while True:
        found = await client.post("/api/v1/search", json={"query": "Norway"}, headers=world.headers("bob"))
        assert found.status_code == 200, found.text
