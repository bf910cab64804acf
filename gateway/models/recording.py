"""What promoting a generator and an embedder have in common: how a change is told, refused and written down."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.models.gates import Gate
from gateway.models.history import Cause, ModelChangeRow
from gateway.models.versions import version_of
from gateway.services import Services
from models.catalogue import Artefact, Kind
from models.openai.options import Upstream


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


def refusal(model: str, gates: Sequence[Gate]) -> str:
    """What to say of gates that are closed."""
    told = ". ".join(str(gate)[0].upper() + str(gate)[1:] for gate in gates)
    return f"{model} was not promoted. {told}. Nothing was changed; --force with --reason goes past the gates."
