"""Within which investigation somebody reads the trail. Every route that shows entries asks here first."""

from dataclasses import dataclass

from gateway.audit.investigations import Investigations
from gateway.errors import InvestigationNeededError
from gateway.recording import Recorder, new_request_id
from policies.actions import Action
from policies.audit.events import AccessDenied, TrailRead
from policies.principals import Principal


@dataclass(frozen=True, slots=True)
class Looking:
    """Who looks into the trail, and the investigation they do it in; `os_user` is whoever runs a command for them."""

    by: str
    investigation: str = ""
    os_user: str = ""

    def read(self, operation: str, entries: int, filters: tuple[str, ...] = (), user: str = "") -> TrailRead:
        """What the trail must hold before so many entries are shown."""
        return TrailRead(
            by=self.by,
            operation=operation,
            entries=entries,
            investigation=self.investigation,
            filters=filters,
            user=user,
            os_user=self.os_user,
        )


def require_looking(
    investigations: Investigations, recorder: Recorder, principal: Principal, investigation: str
) -> Looking:
    """Let somebody look who has an open investigation of their own; that others were refused is recorded.

    Raises:
        InvestigationNeededError: They name none that is theirs and open.
        TrailUnavailableError: The refusal could not be recorded.
    """
    try:
        found = investigations.require_open(principal.id, investigation)
    except InvestigationNeededError as error:
        denied = AccessDenied(
            principal=principal.id, action=Action.AUDIT_READ.value, reason=str(error), request=new_request_id()
        )
        recorder.record_now(denied)
        raise
    return Looking(principal.id, found.id)
