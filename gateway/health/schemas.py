"""How the service is, as probes and operators see it."""

from enum import StrEnum

import msgspec

from gateway.http_errors import ErrorDetail


class Part(StrEnum):
    """What must work before questions are answered."""

    DATABASE = "database"
    TRAIL = "audit trail"
    REDACTION = "redaction"
    INDEX = "index"
    MODEL = "model"


class PartHealth(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether a part works; operators also see why not, or what ails it though it works."""

    name: Part
    ready: bool
    detail: str | None = None


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to a probe; `error` is there when the service is not ready."""

    status: str
    parts: list[PartHealth] = []
    error: ErrorDetail | None = None
