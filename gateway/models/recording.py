"""What promoting a generator and an embedder have in common: how a change is told, refused and written down."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.models.gates import Gate, failed
from gateway.models.history import Cause, ModelChangeRow
from gateway.models.versions import version_of
from gateway.services import Services
from models.catalogue import Artefact, Kind
from models.openai.options import Upstream
from policies.audit.events import ModelPromoted


@dataclass(frozen=True, slots=True)
class Change:
    """What works now, what no longer does, and the gates that were looked at."""

    kind: Kind
    model: str
    previous: str
    gates: Sequence[Gate] = ()


def row_of(
    services: Services, model: Artefact | Upstream, previous: str, by: str, cause: Cause, reason: str
) -> ModelChangeRow:
    """A change as the history has it."""
    version = version_of(model)
    return ModelChangeRow(
        kind=(model.kind if isinstance(model, Artefact) else Kind.GENERATOR).value,
        model=version.id,
        sha256=version.sha256,
        previous=previous,
        by_token=services.recorder.token(by),
        cause=cause.value,
        reason=reason,
    )


def record_promotion(
    services: Services, artefact: Artefact, previous: str, by: str, report: str, gates: Sequence[Gate], reason: str
) -> None:
    """Say in trail and history that a model is about to be put to use; with a reason, in spite of its gates.

    Raises:
        TrailUnavailableError: It could not be recorded, so it must not be done.
    """
    event = ModelPromoted(
        by=by,
        role=artefact.kind.value,
        model=artefact.id,
        model_sha256=artefact.version_sha256,
        previous=previous,
        report=report,
        forced=bool(reason),
        reason=reason,
        failed=tuple(gate.name for gate in failed(gates)),
    )
    services.recorder.record_now(event)
    row = row_of(services, artefact, previous, by, Cause.FORCED if reason else Cause.PROMOTED, reason)
    row.report = report
    services.history.add(row)


def refusal(model: str, gates: Sequence[Gate]) -> str:
    """What to say of gates that are closed."""
    told = ". ".join(str(gate)[0].upper() + str(gate)[1:] for gate in gates)
    return f"{model} was not promoted. {told}. Nothing was changed; --force with --reason goes past the gates."
