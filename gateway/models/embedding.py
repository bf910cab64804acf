"""Another embedder: its vectors are made beside those in use, and then one row names it, at once for everybody.

Until then the embedder in use answers, and documents may change as ever. Afterwards its vectors stay, so that going
back is as quick, until `muniment index drop-old` removes them.
"""

import copy
from collections.abc import Callable

from gateway.errors import ConflictError, GateFailedError
from gateway.models.choosing import put_to_use, require_changeable
from gateway.models.gates import Gate, embedder_gates, failed
from gateway.models.history import Cause
from gateway.models.recording import Change, record_promotion, refusal, row_of
from gateway.services import Services
from models.catalogue import Artefact, Kind
from policies.audit.events import ModelRolledBack, VectorsDropped
from retrieval.embeddings import VectorBuild, drop_others
from retrieval.tables import utc_now

Advance = Callable[[int, int], None]
"""Told how many vectors are made, of how many."""


def promote_embedder(services: Services, artefact: Artefact, by: str, reason: str, on_progress: Advance) -> Change:
    """Make an embedder's vectors, hold its newest report to the gates, and put it to use; a reason forces it.

    Raises:
        ConflictError: It is in use already.
        GateFailedError: A gate is not passed. The vectors stay, so that it can be measured: `eval --embedder`.
        TrailUnavailableError: The change could not be recorded, so it was not made.
    """
    previous = services.embedder_use.current
    if artefact.id == previous:
        message = f"{artefact.id} is the embedder in use already."
        raise ConflictError(message)
    build = _build(services, artefact.id)
    build.run(on_progress)
    report, gates = _gates(services, artefact)
    if failed(gates) and not reason:
        raise GateFailedError(refusal(artefact.id, failed(gates)))
    require_changeable(services, Kind.EMBEDDER, artefact.id)
    record_promotion(services, artefact, previous, by, report, gates, reason)
    _switch(services, build, artefact.id, on_progress)
    return Change(Kind.EMBEDDER, artefact.id, previous, gates)


def rollback_embedder(services: Services, by: str, cause: str, on_progress: Advance) -> Change:
    """Go back to the embedder before, making the vectors of what changed since.

    Raises:
        ConflictError: It is not known which one was before.
        ModelMissingError: That one is not here any more.
        TrailUnavailableError: The change could not be recorded, so it was not made.
    """
    current = services.embedder_use.current
    previous = services.history.before(Kind.EMBEDDER, current)
    if previous is None:
        message = f"It is not known which embedder was in use before {current}. Promote one: muniment models promote ID"
        raise ConflictError(message)
    artefact, build = services.catalogue.artefact(previous), _build(services, previous)
    build.run(on_progress)
    require_changeable(services, Kind.EMBEDDER, previous)
    services.recorder.record_now(ModelRolledBack(by, Kind.EMBEDDER.value, previous, current, cause))
    services.history.add(row_of(services, artefact, current, by, Cause.ROLLED_BACK, cause))
    _switch(services, build, previous, on_progress)
    return Change(Kind.EMBEDDER, previous, current)


def searching_with(services: Services, id_: str) -> Services:
    """The same installation searched with another embedder, whose vectors have been made; nobody else is.

    Raises:
        CatalogueError: The catalogue does not hold it.
        ConflictError: It is no embedder, or its vectors have not been made.
        ModelMissingError: It has not been pulled.
    """
    if services.catalogue.artefact(id_).kind is not Kind.EMBEDDER:
        message = f"{id_} is no embedder."
        raise ConflictError(message)
    missing = _build(services, id_).missing()
    if missing:
        message = (
            f"{missing} passages have no vector of {id_} yet. Run `muniment models promote {id_}`: it makes them, and "
            "asks for a report before it changes anything."
        )
        raise ConflictError(message)
    other = copy.copy(services)
    for part in ("embedder", "index", "retriever", "searches", "chats", "ingestion"):
        vars(other).pop(part, None)
    other.embedder_id, other.embedder = id_, services.embedder_of(id_)
    index = other.index_of(other.embedder, id_, None)
    index.rebuild()
    other.index = index
    return other


def drop_old_vectors(services: Services, by: str) -> int:
    """Remove the vectors of embedders that are not in use; returns of how many passages.

    Raises:
        TrailUnavailableError: It could not be recorded. What was removed is removed.
    """
    current = services.embedder_use.current
    dropped = drop_others(services.database)
    services.recorder.record_now(VectorsDropped(by, current, dropped))
    return dropped


def _build(services: Services, id_: str) -> VectorBuild:
    return VectorBuild(services.database, services.embedder_of(id_), id_)


def _switch(services: Services, build: VectorBuild, id_: str, on_progress: Advance) -> None:
    """Documents may change until the last moment: what they lack then is made, and it is tried again."""
    while not build.switch():
        if services.embedder_use.current == id_:
            break
        build.run(on_progress)
    put_to_use(services, Kind.EMBEDDER, id_)


def _gates(services: Services, artefact: Artefact) -> tuple[str, list[Gate]]:
    """The newest report on an embedder, and how it comes out, beside one on that in use over the same questions."""
    kind, reports = Kind.EMBEDDER.value, services.evaluations.listed()
    current = services.catalogue.artefact(services.embedder_use.current)
    measured = [one for one in reports if kind in one.models]
    found = next((one for one in measured if one.models[kind].sha256 == artefact.version_sha256), None)
    other = next(
        (
            one
            for one in measured
            if found is not None
            and one.models[kind].sha256 == current.version_sha256
            and one.questions_sha256 == found.questions_sha256
        ),
        None,
    )
    gates = embedder_gates(services.config.models.gates, found, other, utc_now())
    return found.id if found else "", gates
