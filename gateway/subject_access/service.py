"""Handing a person a copy of what is held about them: recorded first."""

from collections.abc import Mapping

from gateway.services import Services
from gateway.subject_access.gathering import gather
from gateway.subject_access.writing import files_of
from policies.audit.events import SubjectExported


def export_copy(services: Services, user: str, by: str) -> Mapping[str, bytes]:
    """The files of a copy of what is held about a user, by their names.

    Raises:
        NotFoundError: There is no such user.
        TrailUnavailableError: It cannot be recorded, so nothing is handed out.
    """
    copy = gather(services, user)
    services.recorder.record_now(
        SubjectExported(by=by, user=user, conversations=len(copy.conversations), entries=len(copy.entries))
    )
    return files_of(copy)
