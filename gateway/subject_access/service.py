"""Handing a person a copy of what is held about them: recorded first."""

from collections.abc import Mapping

from gateway.errors import BadRequestError
from gateway.identity_file import Identity
from gateway.services import Services
from gateway.subject_access.documents import documents_naming
from gateway.subject_access.gathering import gather
from gateway.subject_access.writing import files_of
from policies.audit.events import SubjectExported


def export_copy(services: Services, user: str, by: str, identity: Identity | None = None) -> Mapping[str, bytes]:
    """The files of a copy of what is held about a user, about a person whom documents name, or about one who is both.

    Raises:
        BadRequestError: Nobody is named.
        ErasedValueError: A value of the identity is too short or too long to be looked for.
        NotFoundError: There is no such user.
        TrailUnavailableError: It cannot be recorded, so nothing is handed out.
    """
    if not user and identity is None:
        message = "Name a user, or a file that says what a person is called with --identity."
        raise BadRequestError(message)
    copy = gather(services, user) if user else None
    documents = None if identity is None else documents_naming(services.database, identity)
    services.recorder.record_now(
        SubjectExported(
            by=by,
            user=user,
            conversations=len(copy.conversations) if copy else 0,
            entries=len(copy.entries) if copy else 0,
            documents=len(documents or ()),
        )
    )
    return files_of(copy, documents)
