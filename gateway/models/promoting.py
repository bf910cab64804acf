"""Putting a model to use once its report passes the gates, and going back to the one before.

The order is the same for both: the trail says it, the history says it, and the settings are replaced as a whole. A
process that is killed in between leaves the old model in use; the history then tells of a change that did not happen,
and is not followed, since it is looked at from the model that is in use.
"""

from collections.abc import Sequence

from gateway.config import load_config
from gateway.errors import BadRequestError, ConflictError, GateFailedError
from gateway.models.choosing import put_to_use, require_changeable
from gateway.models.embedding import Advance, promote_embedder
from gateway.models.gates import Gate, Measured, Present, failed, generator_gates
from gateway.models.history import Cause
from gateway.models.recording import Change, record_promotion, refusal, row_of
from gateway.models.trial import trial_of
from gateway.models.versions import digests, supporting_versions, version_of
from gateway.services import Services
from models.catalogue import Artefact, Kind
from models.openai.options import Upstream
from policies.audit.events import ModelRolledBack
from retrieval.tables import utc_now

LEAST_REASON_WORDS = 3


def promote(
    services: Services,
    model: str,
    by: str,
    *,
    force: bool = False,
    reason: str = "",
    on_progress: Advance = lambda _done, _of: None,
) -> Change:
    """Put a generator or an embedder to use if its newest report passes every gate, or by force for a reason.

    Raises:
        BadRequestError: Force without a reason.
        CatalogueError: The catalogue does not hold it.
        ModelMissingError: It has not been pulled.
        ModelCorruptError: Its bytes are not the publisher's.
        ConflictError: It is in use already, or is of a kind that is not promoted.
        GateFailedError: A gate is not passed.
        TrailUnavailableError: The change could not be recorded, so it was not made.
    """
    if force and len(reason.split()) < LEAST_REASON_WORDS:
        message = "To force a model past its gates, say why with --reason, in a sentence. It is kept in the trail."
        raise BadRequestError(message)
    artefact = services.generator_named(model)
    if isinstance(artefact, Upstream):
        message = (
            f"{model} answers on servers: nobody here sees which version that is, so no report can vouch for it. "
            f"Use `muniment models use {model}`."
        )
        raise ConflictError(message)
    services.models.verify(model)
    if artefact.kind is Kind.EMBEDDER:
        return promote_embedder(services, artefact, by, reason if force else "", on_progress)
    _require_promotable(artefact, services)
    report, gates = gates_of(services, artefact)
    if failed(gates) and not force:
        raise GateFailedError(refusal(model, failed(gates)))
    return _change(services, artefact, by, report, gates, reason if force else "")


def gates_of(services: Services, artefact: Artefact) -> tuple[str, list[Gate]]:
    """The newest report on a generator, and how it comes out at the gates."""
    options, reports = load_config(services.home).models, services.evaluations
    found = reports.newest_of(version_of(artefact))
    current = version_of(services.generator_named(options.generator))
    other = reports.newest_of(current, found[0].questions_sha256) if found else None
    present = Present(
        utc_now(),
        digests(supporting_versions(services.catalogue, options, services.embedder_use.current)),
        artefact.template_sha256,
    )
    candidate = Measured(*found) if found else None
    gates = generator_gates(options.gates, candidate, Measured(*other) if other else None, present)
    return found[0].id if found else "", gates


def rollback(services: Services, by: str, cause: str = "asked for") -> Change:
    """Give up the generator on trial; where there is none, go back to the generator before, without a report.

    Raises:
        ConflictError: It is not known which one was before.
        ModelMissingError: That one is not here any more.
        TrailUnavailableError: The change could not be recorded, so it was not made.
    """
    options = load_config(services.home).models
    trial = trial_of(options, services.catalogue)
    if trial is not None and services.history.trial_ended(trial.key) is None:
        end_trial(services, by, cause)
        return Change(Kind.GENERATOR, options.generator, trial.artefact.id)
    previous = services.history.before(Kind.GENERATOR, options.generator)
    if previous is None:
        message = (
            f"It is not known which generator was in use before {options.generator}. Choose one: muniment models use ID"
        )
        raise ConflictError(message)
    artefact = services.generator_named(previous)
    if isinstance(artefact, Artefact):
        services.models.verify(previous)
    require_changeable(services, Kind.GENERATOR, previous)
    event = ModelRolledBack(by, Kind.GENERATOR.value, previous, options.generator, cause)
    services.recorder.record_now(event)
    services.history.add(row_of(services, artefact, options.generator, by, Cause.ROLLED_BACK, cause))
    put_to_use(services, Kind.GENERATOR, previous)
    return Change(Kind.GENERATOR, previous, options.generator)


def end_trial(services: Services, by: str, cause: str) -> None:
    """Give up the generator on trial; nothing where there is none, or it was given up already.

    Raises:
        TrailUnavailableError: It could not be recorded, so it goes on.
    """
    options = load_config(services.home).models
    trial = trial_of(options, services.catalogue)
    if trial is None or services.history.trial_ended(trial.key) is not None:
        return
    role = Kind.GENERATOR.value
    services.recorder.record_now(ModelRolledBack(by, role, options.generator, trial.artefact.id, cause))
    default = services.generator_named(options.generator)
    ended = row_of(services, default, trial.artefact.id, by, Cause.TRIAL_ENDED, cause)
    ended.trial = trial.key
    services.history.add(ended)


def trial_state(services: Services) -> str:
    """How the trial that the settings name does, in words; empty where they name none.

    Raises:
        CatalogueError: The catalogue does not hold the model.
        ConfigurationError: It is no generator.
    """
    trial = trial_of(load_config(services.home).models, services.catalogue)
    if trial is None:
        return ""
    ended = services.history.trial_ended(trial.key)
    if ended is not None:
        return f"given up at {ended.at:%Y-%m-%d %H:%M}: {ended.reason}"
    return f"{trial.options.mode} with {trial.options.share:.0%}"


def _require_promotable(artefact: Artefact, services: Services) -> None:
    if artefact.kind is not Kind.GENERATOR:
        message = (
            f"{artefact.id} is of the kind {artefact.kind}, which is not promoted by a report. "
            f"Use `muniment models use {artefact.id}`, then `muniment sync`."
        )
        raise ConflictError(message)
    if artefact.id == load_config(services.home).models.generator:
        message = f"{artefact.id} is the generator in use already."
        raise ConflictError(message)


def _change(services: Services, artefact: Artefact, by: str, report: str, gates: Sequence[Gate], reason: str) -> Change:
    previous = load_config(services.home).models.generator
    require_changeable(services, artefact.kind, artefact.id)
    record_promotion(services, artefact, previous, by, report, gates, reason)
    put_to_use(services, artefact.kind, artefact.id)
    return Change(artefact.kind, artefact.id, previous, gates)
