"""Everything that needs permission, in one list. A route names one of these or is denied."""

from enum import StrEnum


class Action(StrEnum):
    """A permission, `resource:verb`, in alphabetical order; retired ones stay as comments."""

    AUDIT_READ = "audit:read"
    AUDIT_REVEAL = "audit:reveal"
    CHAT_ASK = "chat:ask"
    CONVERSATIONS_READ = "conversations:read"
    DIRECTORY_MANAGE = "directory:manage"
    DOCUMENTS_READ = "documents:read"
    EMBEDDINGS_MAKE = "embeddings:make"
    HEALTH_READ = "health:read"
    KEYS_MANAGE = "keys:manage"
    LABELS_READ = "labels:read"
    METRICS_READ = "metrics:read"
    MODELS_LIST = "models:list"
    MODELS_SEND_REMOTE = "models:send-remote"
    OPENAPI_READ = "openapi:read"
    OVERSHARING_READ = "oversharing:read"
    PASSWORD_CHANGE = "password:change"  # noqa: S105 - the name of a permission, no password
    PERSONAL_DATA_REVEAL = "personal-data:reveal"
    POLICY_EXPLAIN = "policy:explain"
    SEARCH_QUERY = "search:query"
    SESSION_BEGIN = "session:begin"
    SESSION_END = "session:end"
    SESSION_READ = "session:read"
    SESSIONS_MANAGE = "sessions:manage"
    SOURCES_MANAGE = "sources:manage"
    SOURCES_READ = "sources:read"
    SOURCES_SYNC = "sources:sync"
    USAGE_READ = "usage:read"
    USAGE_READ_OWN = "usage:read-own"
    USERS_MANAGE = "users:manage"


OF_SOURCES = frozenset(
    {
        Action.LABELS_READ,
        Action.OVERSHARING_READ,
        Action.POLICY_EXPLAIN,
        Action.SOURCES_READ,
        Action.SOURCES_SYNC,
    }
)
"""Decided twice: whether somebody may ask for it at all, and then for each source that it is about."""
