"""Several models side by side: a question names one, answer and receipt name it too, and one that fails is alone."""

import pytest

from gateway.app import create_app
from gateway.errors import ModelNotFoundError
from gateway.models.served import ServedModel, ServedModels
from models.errors import EngineUnavailableError
from tests.fakes.scripted_model import ScriptedModel
from tests.gateway.conftest import TRAVEL_ANSWER, World, client_of, question, until_ready
from tests.gateway.gated_model import GatedModel

PATH = "/v1/chat/completions"
TRAVEL = "What is the daily allowance for travel in Norway?"
OTHER_ANSWER = TRAVEL_ANSWER.removeprefix("The ")


def test_no_name_and_the_alias_are_the_default() -> None:
    models = ServedModels(ServedModel("one", "", ScriptedModel()), [ServedModel("two", "", ScriptedModel())])
    assert [models.named(name).id for name in ("", "muniment", "one", "two")] == ["one", "one", "one", "two"]
    assert models.names == ["muniment", "one", "two"]
    with pytest.raises(ModelNotFoundError, match="'three'"):
        models.named("three")


@pytest.mark.asyncio
async def test_each_question_goes_to_the_model_it_names(world: World) -> None:
    other = GatedModel()
    world.model.says(TRAVEL_ANSWER)
    other.says(OTHER_ANSWER)
    default = world.services.served.default
    world.services.served = ServedModels(default, [ServedModel("other", "ab" * 32, other)])
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        bodies = {}
        for name in ("muniment", "other"):
            asked = {**question(TRAVEL), "model": name}
            response = await client.post(PATH, json=asked, headers=world.headers("bob"))
            assert response.status_code == 200, response.text
            bodies[name] = response.json()
        listed = (await client.get("/v1/models", headers=world.headers("bob"))).json()
        unknown = {**question(TRAVEL), "model": "third"}
        assert (await client.post(PATH, json=unknown, headers=world.headers("bob"))).status_code == 404
    assert [model["id"] for model in listed["data"]] == ["muniment", default.id, "other"]
    assert bodies["muniment"]["model"] == default.id
    assert bodies["other"]["model"] == "other"
    assert bodies["other"]["choices"][0]["message"]["content"].startswith(OTHER_ANSWER[:-1])
    receipt = bodies["other"]["muniment"]["receipt"]["receipt"]
    assert (receipt["model"], receipt["model_sha256"]) == ("other", "ab" * 32)


@pytest.mark.asyncio
async def test_a_model_that_does_not_load_takes_no_other_with_it(world: World) -> None:
    world.model.says(TRAVEL_ANSWER)
    broken = GatedModel()
    broken.starts_with(EngineUnavailableError("there is no room"))
    world.services.served = ServedModels(world.services.served.default, [ServedModel("broken", "", broken)])
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        response = await client.post(PATH, json=question(TRAVEL), headers=world.headers("bob"))
        assert response.status_code == 200, response.text
