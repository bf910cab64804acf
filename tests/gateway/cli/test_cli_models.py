"""Models at the command line: which there are, fetching from a mirror, checking, and choosing."""

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import models as models_commands
from gateway.cli.program import app
from gateway.config import Config, Home, load_config
from models.catalogue import Artefact, Catalogue, Kind, ModelFile, load_catalogue
from tests.gateway.cli.commands import Commands, services_catalogue

WEIGHTS = {
    "small-model": b"small weights",
    "other-model": b"other weights",
    "tiny-embedder": b"tiny vectors",
    "tiny-recogniser": b"tiny names",
}


def artefact(id_: str, kind: Kind) -> Artefact:
    content = WEIGHTS[id_]
    generator = kind is Kind.GENERATOR
    return Artefact(
        id=id_,
        kind=kind,
        title=id_,
        licence="Apache-2.0",
        digests_from="https://models.example/",
        files=(ModelFile("weights.bin", len(content), hashlib.sha256(content).hexdigest()),),
        sources=(),
        context_tokens=128 if generator else None,
        template="chatml" if generator else None,
    )


@pytest.fixture
def catalogue(empty: Commands, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """A catalogue of models of a few bytes, once `empty` has set up its fakes."""
    assert empty
    kinds = {
        "small-model": Kind.GENERATOR,
        "other-model": Kind.GENERATOR,
        "tiny-embedder": Kind.EMBEDDER,
        "tiny-recogniser": Kind.ENTITY_RECOGNISER,
    }
    real = load_catalogue()
    made = Catalogue(real.defaults, tuple(artefact(id_, kind) for id_, kind in kinds.items()))
    monkeypatch.setattr(models_commands, "load_catalogue", lambda: made)
    services_catalogue(monkeypatch, made)
    return made


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    for id_, content in WEIGHTS.items():
        (tmp_path / "mirror" / id_).mkdir(parents=True)
        (tmp_path / "mirror" / id_ / "weights.bin").write_bytes(content)
    return tmp_path / "mirror"


@pytest.fixture(autouse=True)
def models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MUNIMENT_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def test_a_home_that_was_named_and_is_not_there_is_a_mistake(empty: Commands) -> None:
    empty.fail("models", "list", exit_code=10)


def test_the_shipped_catalogue_is_listed_without_a_home(empty: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(empty.home.parent))
    result = CliRunner().invoke(app, ["models", "list", "--json"])
    listed = {model["id"]: model for model in json.loads(result.stdout)}
    assert listed["all-minilm-l6-v2"]["in_use"] is True
    assert listed["all-minilm-l6-v2"]["present"] is False
    assert {model["kind"] for model in listed.values()} == {kind.value for kind in Kind}


@pytest.mark.usefixtures("catalogue")
def test_a_model_is_pulled_checked_and_recorded(commands: Commands, mirror: Path, models_folder: Path) -> None:
    said = commands.succeed("models", "pull", "small-model", "--mirror", str(mirror))
    assert (models_folder / "small-model" / "weights.bin").read_bytes() == WEIGHTS["small-model"]
    assert str(models_folder) in said
    assert commands.recorded("model:pulled")[0]["model"] == "small-model"
    assert "as published" in commands.succeed("models", "verify", "small-model")
    assert commands.succeed("models", "pull", "small-model", "--mirror", str(mirror / "gone"))  # It is there already.


@pytest.mark.usefixtures("catalogue")
def test_wrong_bytes_are_never_in_use(commands: Commands, mirror: Path) -> None:
    (mirror / "small-model" / "weights.bin").write_bytes(b"SMALL WEIGHTS")
    said = commands.fail("models", "pull", "small-model", "--mirror", str(mirror), exit_code=9)
    assert "small-model" in said
    assert [model["present"] for model in commands.json("models", "list")] == [False] * 4
    assert commands.recorded("model:pulled") == []


@pytest.mark.usefixtures("catalogue")
def test_a_changed_model_is_told(commands: Commands, mirror: Path, models_folder: Path) -> None:
    commands.succeed("models", "pull", "small-model", "other-model", "--mirror", str(mirror))
    weights = models_folder / "small-model" / "weights.bin"
    weights.chmod(0o600)
    weights.write_bytes(b"SMALL WEIGHTS")
    commands.succeed("models", "verify", "other-model")
    assert "small-model" in commands("models", "verify").stderr
    assert commands("models", "verify").exit_code == 9


def test_a_model_nobody_knows_is_said(commands: Commands) -> None:
    for command in ("pull", "verify", "use"):
        assert "no-such-model" in commands.fail("models", command, "no-such-model", exit_code=10)


def test_there_is_nothing_to_verify_without_models(commands: Commands) -> None:
    assert "muniment models pull" in commands.fail("models", "verify", exit_code=9)


@pytest.mark.usefixtures("catalogue")
def test_another_generator_is_put_to_use(commands: Commands, mirror: Path) -> None:
    assert "muniment models pull" in commands.fail("models", "use", "small-model", exit_code=9)
    commands.succeed("models", "pull", "small-model", "--mirror", str(mirror))
    before = (commands.home / "muniment.toml").read_text().splitlines()
    commands.succeed("models", "use", "small-model")
    assert load_config(Home(commands.home)).models.generator == "small-model"
    after = (commands.home / "muniment.toml").read_text().splitlines()
    assert [line for line in after if line not in before] == ['generator = "small-model"']
    event = commands.recorded("model:selected")[0]
    assert (event["model"], event["previous"]) == ("small-model", Config().models.generator)
    assert {model["id"] for model in commands.json("models", "list") if model["in_use"]} == {"small-model"}


@pytest.mark.usefixtures("catalogue")
def test_the_embedder_of_a_filled_index_stays(commands: Commands, mirror: Path) -> None:
    commands.succeed("models", "pull", "tiny-embedder", "--mirror", str(mirror))
    assert "cannot be compared" in commands.fail("models", "use", "tiny-embedder", exit_code=6)
    commands.succeed("sources", "remove", "company")
    commands.succeed("models", "use", "tiny-embedder")
    assert load_config(Home(commands.home)).models.embedder == "tiny-embedder"


def test_pulling_needs_no_home(empty: Commands, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mirror does not hold it, so this fails; that there is no home is no matter."""
    monkeypatch.setenv("HOME", str(empty.home.parent))
    result = CliRunner().invoke(app, ["models", "pull", "all-minilm-l6-v2", "--mirror", str(mirror)])
    assert result.exit_code == 9
    assert "all-minilm-l6-v2" in result.stderr
