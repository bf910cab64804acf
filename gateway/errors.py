"""The gateway's own errors, and how every folder's errors look from outside.

Errors below know nothing of HTTP or of exit codes; `TRANSLATIONS` is the one place that gives each a status, an exit
code and a stable name. The first class in the table that an error is an instance of decides.
"""

from dataclasses import dataclass

from connectors.errors import ConnectorError
from models.errors import (
    CatalogueError,
    EngineUnavailableError,
    ModelCorruptError,
    ModelMissingError,
    ModelsError,
    PromptTooLongError,
    PullFailedError,
)
from policies.errors import (
    CopyOverdueError,
    KeysUnusableError,
    PoliciesError,
    RedactionFailedError,
    TrailUnavailableError,
    VaultUnreadableError,
)
from retrieval.errors import IndexUnsafeError, RetrievalError, SyncBusyError


class GatewayError(Exception):
    """The root of this folder's errors; its text says what happened and what to do."""


class ConfigurationError(GatewayError):
    """The installation's settings are wrong: the operator corrects the place the text names."""


class HomeMissingError(ConfigurationError):
    """There is no installation where one was looked for: run `muniment init`."""


class DatabaseUnusableError(GatewayError):
    """The database cannot be opened: the operator restores it or follows the text."""


class DatabaseBusyError(GatewayError):
    """Another process has been writing to the database for too long: the caller tries again in a moment."""


class LedgerUnusableError(GatewayError):
    """The ledger of erasures was altered, or cannot be read or written: the operator restores it; nothing is erased."""


class BackupError(GatewayError):
    """A backup cannot be made, opened or restored: nothing is left half done; the operator follows the text."""


class BadRequestError(GatewayError):
    """The request cannot be understood or is out of bounds: the caller corrects it."""


class NotAuthenticatedError(GatewayError):
    """No valid credentials came with the request: the caller presents some.

    `reason`, `key_id` and `user` are for the trail and are not part of the text: why credentials are not valid is not
    said.
    """

    def __init__(self, message: str, reason: str = "missing", key_id: str = "", user: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.key_id = key_id
        self.user = user


class NotAllowedError(GatewayError):
    """The caller may not do this; whether what it named exists is not said."""


class InvestigationNeededError(GatewayError):
    """The trail is read within an investigation only, and none of the caller's is open: they begin one and name it."""


class NotFoundError(GatewayError):
    """There is no such thing, or the caller may not see it: both look the same."""


class ModelNotFoundError(NotFoundError):
    """A request names a model that is not offered: the caller names one that is."""


class ConflictError(GatewayError):
    """The thing exists already, or is in a state that forbids this: the caller looks and decides."""


class GateFailedError(ConflictError):
    """What a model's report shows is not enough to put it to use: the operator measures again, or forces it."""


class TooManyRequestsError(GatewayError):
    """There is no room for one more request now: the caller waits, so long where it is known, and tries again."""

    def __init__(self, message: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class QuotaExceededError(TooManyRequestsError):
    """A limit on what somebody may use has no room for this: the caller comes back when it begins anew.

    `most` is the limit, of what `what` names, and `left` what is left of it.
    """

    def __init__(self, message: str, retry_after_seconds: int, *, what: str, most: int, left: int) -> None:
        super().__init__(message, retry_after_seconds)
        self.what = what
        self.most = most
        self.left = left


class MlflowUnavailableError(GatewayError):
    """The MLflow server cannot be reached, or does not take a report: it is stored here, and can be made again."""


class NotReadyError(GatewayError):
    """The service is still starting, or a part of it does not work: the caller tries again in a moment."""


class ProviderUnavailableError(GatewayError):
    """The identity provider cannot be reached, or does not answer as one: nobody is signed in; try again later."""


class DirectoryUnavailableError(GatewayError):
    """The directory cannot be read as it should: nothing is changed; the operator looks at the cause, or waits.

    `reason` is a word for trail and logs.
    """

    def __init__(self, message: str, reason: str = "unreadable") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Translation:
    """How a kind of error looks: a stable code, an HTTP status, a process exit code, and whether its text is public.

    A private text names files or settings: operators at the command line see it, callers over HTTP see `public`.
    """

    error: type[Exception]
    code: str
    status: int
    exit_code: int
    public: str | None = None


_ASK_OPERATOR = "The service is not set up correctly. Ask its operator to run `muniment doctor`."
TRANSLATIONS: tuple[Translation, ...] = (
    Translation(BadRequestError, "bad_request", 400, 2),
    Translation(PromptTooLongError, "prompt_too_long", 400, 2),
    Translation(NotAuthenticatedError, "not_authenticated", 401, 3),
    Translation(NotAllowedError, "not_allowed", 403, 4),
    Translation(InvestigationNeededError, "investigation_needed", 403, 4),
    Translation(ModelNotFoundError, "model_not_found", 404, 5),
    Translation(NotFoundError, "not_found", 404, 5),
    Translation(GateFailedError, "gate_failed", 409, 6),
    Translation(ConflictError, "conflict", 409, 6),
    Translation(SyncBusyError, "busy", 409, 6),
    Translation(
        VaultUnreadableError,
        "conversation_unreadable",
        410,
        5,
        "This conversation can no longer be read. Start a new conversation.",
    ),
    Translation(QuotaExceededError, "quota_exceeded", 429, 8),
    Translation(TooManyRequestsError, "too_many_requests", 429, 8),
    Translation(MlflowUnavailableError, "mlflow_unavailable", 503, 8, _ASK_OPERATOR),
    Translation(NotReadyError, "not_ready", 503, 8),
    Translation(
        ProviderUnavailableError,
        "provider_unavailable",
        503,
        8,
        "The identity provider does not answer as it should, so nobody can be signed in by it. Try again later.",
    ),
    Translation(
        DirectoryUnavailableError,
        "directory_unavailable",
        503,
        8,
        "The directory of this company's users does not answer as it should. Try again later.",
    ),
    Translation(
        CopyOverdueError,
        "checkpoint_copy_overdue",
        503,
        7,
        "No other place vouches for the audit trail at the moment, so nothing is answered. Try again later.",
    ),
    Translation(
        TrailUnavailableError,
        "trail_unavailable",
        503,
        7,
        "The audit trail is not writable, so nothing is answered. Try again later.",
    ),
    Translation(
        EngineUnavailableError,
        "model_unavailable",
        503,
        8,
        "The language model is not available. Try again in a moment.",
    ),
    Translation(
        RedactionFailedError,
        "redaction_failed",
        503,
        8,
        "Personal data could not be checked, so nothing is answered. Try again later.",
    ),
    Translation(ModelMissingError, "model_missing", 503, 9, _ASK_OPERATOR),
    Translation(ModelCorruptError, "model_corrupt", 503, 9, _ASK_OPERATOR),
    Translation(PullFailedError, "pull_failed", 503, 9, _ASK_OPERATOR),
    Translation(CatalogueError, "catalogue_invalid", 500, 10, _ASK_OPERATOR),
    Translation(ModelsError, "model_failed", 500, 9, _ASK_OPERATOR),
    Translation(HomeMissingError, "home_missing", 500, 10, _ASK_OPERATOR),
    Translation(ConfigurationError, "configuration_invalid", 500, 10, _ASK_OPERATOR),
    Translation(DatabaseBusyError, "database_busy", 503, 8, "The database is busy. Try again in a moment."),
    Translation(DatabaseUnusableError, "database_unusable", 503, 11, _ASK_OPERATOR),
    Translation(LedgerUnusableError, "ledger_unusable", 503, 11, _ASK_OPERATOR),
    Translation(BackupError, "backup_failed", 500, 13, _ASK_OPERATOR),
    Translation(KeysUnusableError, "keys_unusable", 500, 10, _ASK_OPERATOR),
    Translation(ConnectorError, "source_failed", 502, 12, _ASK_OPERATOR),
    Translation(IndexUnsafeError, "index_unsafe", 503, 12, _ASK_OPERATOR),
    Translation(RetrievalError, "retrieval_failed", 503, 12, _ASK_OPERATOR),
    Translation(PoliciesError, "policy_failed", 500, 10, _ASK_OPERATOR),
)


def translate(error: Exception) -> Translation | None:
    """How an error of ours looks from outside; none for an error that is a defect."""
    return next((row for row in TRANSLATIONS if isinstance(error, row.error)), None)
