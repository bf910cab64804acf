"""Another embedder: its vectors are made beside those in use, whatever happens meanwhile, and then it is switched."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import event
from sqlmodel import Session, select

from gateway.cli import product
from gateway.config import Home, load_config
from gateway.services import Services
from models.catalogue import Catalogue, load_catalogue
from retrieval import embeddings
from retrieval.embeddings import EmbedderRow, PassageVectorRow, VectorBuild
from retrieval.errors import SyncFailedError
from retrieval.tables import PassageRow
from tests.fakes.hash_embedder import HashEmbedder
from tests.gateway.cli.commands import Commands, services_catalogue
from tests.gateway.cli.test_cli_eval import questions as questions
from tests.gateway.cli.test_cli_models import catalogue as catalogue
from tests.gateway.cli.test_cli_models import mirror as mirror
from tests.gateway.cli.test_cli_models import models_folder as models_folder
from tests.gateway.cli.test_cli_promoting import set_up

NEW = "tiny-embedder"
FORCE = ("--force", "--reason", "The old one is no longer licensed.")


class OtherEmbedder(HashEmbedder):
    """Another space: as many words, in other places, and of another length."""

    id = "tiny-embedder/float32"
    dimensions = 48
    before: Callable[[], None] | None = None
    """Called once, before the first texts are embedded."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        before, OtherEmbedder.before = OtherEmbedder.before, None
        if before is not None:
            before()
        return super().embed([f"{text} again" for text in texts])


@pytest.fixture(autouse=True)
def nothing_before() -> Iterator[None]:
    yield
    OtherEmbedder.before = None


@pytest.fixture
def ready(commands: Commands, catalogue: Catalogue, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Documents embedded with one embedder, and another one that is here; both are fakes of their own spaces."""
    shipped = load_catalogue()
    services_catalogue(monkeypatch, Catalogue(shipped.defaults, (*shipped.artefacts, *catalogue.artefacts)))
    commands.succeed("models", "pull", NEW, "--mirror", str(mirror))
    set_up(commands, questions_least="1")

    def embedder_of(_: Services, id_: str) -> Any:
        return OtherEmbedder() if id_ == NEW else HashEmbedder()

    monkeypatch.setattr(Services, "embedder_of", embedder_of)
    opened = product.Services

    def without_a_fixed_one(home: Home) -> Services:
        services = opened(home)
        vars(services).pop("embedder", None)
        monkeypatch.setattr(services.models, "verify", lambda _: None)
        return services

    monkeypatch.setattr(product, "Services", without_a_fixed_one)
    return commands


def services_of(commands: Commands) -> Services:
    opened: Services = product.Services(Home(commands.home))
    return opened


def in_use(commands: Commands) -> str:
    with services_of(commands) as services:
        return services.embedder_use.current


def vectors(commands: Commands, embedder: str) -> dict[int, bytes]:
    """The vectors that an index of this embedder reads, by passage."""
    with services_of(commands) as services, Session(services.database) as session:
        query = select(PassageRow.id, embeddings.vector_of(embedder, services.embedder_use))
        return {id_ or 0: vector for id_, vector in session.exec(query)}


def texts(commands: Commands) -> dict[int, str]:
    with services_of(commands) as services, Session(services.database) as session:
        rows = session.connection().execute(embeddings._TEXTS)
        return {wanted.id: wanted.text for wanted in embeddings._wanted(rows)}


def assert_right(commands: Commands, embedder: str, of: HashEmbedder) -> None:
    """Every passage has the vector that this embedder makes of the text it has now."""
    found, wanted = vectors(commands, embedder), texts(commands)
    assert found.keys() == wanted.keys()
    assert wanted
    for id_, text in wanted.items():
        assert found[id_] == of.embed([text])[0].tobytes()


def test_a_new_embedder_is_built_beside_and_switched(ready: Commands) -> None:
    before = ready.json("search", "holiday days", "--as", "bob")["passages"]
    ready.succeed("models", "promote", NEW, *FORCE)
    assert in_use(ready) == load_config(Home(ready.home)).models.embedder == NEW
    assert_right(ready, NEW, OtherEmbedder())
    after = ready.json("search", "holiday days", "--as", "bob")["passages"]
    assert {one["path"] for one in after} == {one["path"] for one in before}
    (promoted,) = ready.recorded("model:promoted")
    assert (promoted["role"], promoted["model"], promoted["failed"]) == ("embedder", NEW, ["report"])


def test_a_sync_after_the_switch_reads_nothing_anew(ready: Commands) -> None:
    ready.succeed("models", "promote", NEW, *FORCE)
    read = ready.recorded("sync:finished")
    ready.succeed("sync")
    (again,) = ready.recorded("sync:finished")[len(read) :]
    assert (again["upserted"], again["deleted"]) == (0, 0)


def test_its_report_decides_and_it_is_measured_beside(ready: Commands, questions: str) -> None:
    access = ("--as-readers-from", str(ready.access), "--only", "retrieval")
    assert "models promote" in ready.fail("eval", questions, *access, "--embedder", NEW, exit_code=6)
    assert "muniment eval" in ready.fail("models", "promote", NEW, exit_code=6)
    assert in_use(ready) != NEW
    report = ready.json("eval", questions, *access, "--embedder", NEW)
    assert report["models"]["embedder"]["id"] == NEW
    assert report["embedder"] == OtherEmbedder.id
    assert "no report on the model in use" in ready.fail("models", "promote", NEW, exit_code=6)
    ready.json("eval", questions, *access)
    ready.succeed("models", "promote", NEW)
    assert in_use(ready) == NEW
    assert ready.recorded("model:promoted")[0]["report"] == report["id"]


def test_rollback_goes_back_and_makes_what_changed_since(ready: Commands) -> None:
    old = in_use(ready)
    ready.succeed("models", "promote", NEW, *FORCE)
    change_documents(ready)
    ready.succeed("sync")
    ready.succeed("models", "rollback", "--embedder", "--reason", "It finds less.")
    assert in_use(ready) == old
    assert_right(ready, old, HashEmbedder())
    assert ready.recorded("model:rolled-back")[0]["cause"] == "It finds less."


def change_documents(commands: Commands) -> None:
    """Every document is another one now; their passages take the numbers of those that were there before."""
    commands.succeed("sources", "remove", "company")
    for path in commands.documents.rglob("*.md"):
        path.write_text(path.read_text() + "\n\n## Added\n\nA sentence that was not there before.\n")
    arguments = ("--type", "folder", "--set", f"path={commands.documents}", "--access", str(commands.access))
    commands.succeed("sources", "add", "company", *arguments)


def test_documents_that_change_during_the_build_are_right_in_both(ready: Commands) -> None:
    """While the first texts are embedded, all documents are replaced: their passages' numbers are given out anew."""
    old = in_use(ready)

    def meanwhile() -> None:
        change_documents(ready)
        ready.succeed("sync")

    OtherEmbedder.before = meanwhile
    ready.succeed("models", "promote", NEW, *FORCE)
    assert in_use(ready) == NEW
    assert_right(ready, NEW, OtherEmbedder())
    assert_right(ready, old, HashEmbedder())


def test_without_looking_again_another_text_would_get_the_vector(
    ready: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: a build that trusts the numbers of passages."""
    monkeypatch.setattr(embeddings._Wanted, "digest", property(lambda _: b""))

    def meanwhile() -> None:
        change_documents(ready)
        ready.succeed("sync")

    OtherEmbedder.before = meanwhile
    ready.succeed("models", "promote", NEW, *FORCE)
    with pytest.raises(AssertionError):
        assert_right(ready, NEW, OtherEmbedder())


def test_a_sync_that_began_before_the_switch_writes_nothing_after_it(ready: Commands) -> None:
    with services_of(ready) as services:
        ingestion = services.ingestion
        ready.succeed("models", "promote", NEW, *FORCE)
        with Session(services.database) as session, pytest.raises(SyncFailedError, match="Another embedder"):
            ingestion._require_in_use(session, "company")


def test_it_is_not_switched_while_a_passage_lacks_its_vector(ready: Commands) -> None:
    with services_of(ready) as services:
        build = VectorBuild(services.database, OtherEmbedder(), NEW)  # type: ignore[arg-type]
        assert not build.switch()
        assert services.embedder_use.current != NEW
        build.run()
        assert build.switch()
        assert services.embedder_use.current == NEW


@pytest.mark.parametrize("where", ["while building", "before the switch", "after the switch"])
def test_killed_at_any_step_it_is_the_old_one_or_the_new_one(
    ready: Commands, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    old = in_use(ready)
    monkeypatch.setattr(embeddings, "_BATCH", 1)
    pid = os.fork()
    if pid == 0:
        original: Any = VectorBuild.switch
        written: Any = VectorBuild._write

        def dead(*_: Any) -> Any:
            os.kill(os.getpid(), signal.SIGKILL)

        if where == "while building":
            VectorBuild._write = lambda *given: (written(*given), dead())  # type: ignore[assignment,method-assign]
        elif where == "before the switch":
            VectorBuild.switch = dead  # type: ignore[method-assign]
        else:
            VectorBuild.switch = lambda build: (original(build), dead())  # type: ignore[assignment,method-assign]
        ready("models", "promote", NEW, *FORCE)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert in_use(ready) == (NEW if where == "after the switch" else old)
    assert ready.json("search", "holiday days", "--as", "bob")["passages"]
    if where != "after the switch":
        made = sum(vector is not None for vector in vectors(ready, NEW).values())
        assert made  # What was made is gone on from.
        ready.succeed("models", "promote", NEW, *FORCE)
    assert_right(ready, NEW, OtherEmbedder())


def test_a_full_disk_leaves_everything_as_it_is(ready: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    old = in_use(ready)
    written: Any = VectorBuild._write

    def without_room(build: VectorBuild, *given: Any) -> None:
        pages = build._database.connect().exec_driver_sql("PRAGMA page_count").scalar_one()
        event.listen(build._database, "begin", lambda made: made.exec_driver_sql(f"PRAGMA max_page_count={pages}"))
        written(build, *given)

    monkeypatch.setattr(OtherEmbedder, "dimensions", 500_000)
    monkeypatch.setattr(VectorBuild, "_write", without_room)
    result = ready("models", "promote", NEW, *FORCE)
    assert result.exit_code == 11, result.output
    assert "Free some space" in result.stderr
    monkeypatch.undo()
    assert ready("audit", "verify").exit_code == 0
    assert old != NEW


def test_old_vectors_can_be_dropped(ready: Commands) -> None:
    old = in_use(ready)
    ready.succeed("models", "promote", NEW, *FORCE)
    assert str(len(texts(ready))) in ready.succeed("index", "drop-old")
    with services_of(ready) as services, Session(services.database) as session:
        assert session.exec(select(PassageVectorRow)).all() == []
        assert session.exec(select(EmbedderRow.current)).one() == NEW
    assert_right(ready, NEW, OtherEmbedder())
    assert set(vectors(ready, old).values()) == {None}
    assert ready.recorded("vectors:dropped")[0]["model"] == NEW
    ready.succeed("models", "rollback", "--embedder")  # Everything is embedded again for it.
    assert_right(ready, old, HashEmbedder())


def test_where_no_embedder_was_before_it_is_said(ready: Commands) -> None:
    assert "models promote" in ready.fail("models", "rollback", "--embedder", exit_code=6)


def test_the_settings_cannot_mix_two_embedders(ready: Commands) -> None:
    """Whoever edits them by hand changes nothing that was embedded; what is in use says the database."""
    old = in_use(ready)
    set_up(ready, embedder=f'"{NEW}"')
    assert in_use(ready) == old
    assert ready.json("search", "holiday days", "--as", "bob")["passages"]
