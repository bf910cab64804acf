"""Entries of the trail as other systems read them: JSON lines, CEF and OCSF, one ASCII line each.

Every line is built from values, never from text with values in it, and holds no sign that could end it: whatever a
field holds, an entry is one record, and no record is anything but an entry.

CEF: ArcSight Common Event Format, implementation standard, version 0. OCSF: version 1.6.0, category Application
Activity (6): API Activity (6003) unless `_OTHER_CLASSES` names another of its classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from policies.audit.chain import canonical, timestamp
from policies.audit.reader import Entry

_VENDOR, _PRODUCT, _VERSION = "Muniment", "Muniment", "1"
_OCSF_VERSION = "1.6.0"
_CATEGORY = 6
_MOST_NAME_CHARS = 255
_MOST_MESSAGE_CHARS = 1023
"""What CEF's dictionary allows a user's name, and `msg`."""


class Format(StrEnum):
    """The formats that entries can be written in."""

    CEF = "cef"
    JSON = "json"
    OCSF = "ocsf"


class Class(IntEnum):
    """The classes of OCSF's Application Activity that our events belong to."""

    WEB_RESOURCES = 6001
    APPLICATION_LIFECYCLE = 6002
    API = 6003
    APPLICATION_ERROR = 6008


class _Activity(IntEnum):
    """What OCSF's API Activity knows."""

    CREATE = 1
    READ = 2
    UPDATE = 3
    DELETE = 4
    OTHER = 99


_BY_VERB = {
    "accepted": _Activity.UPDATE,
    "added": _Activity.CREATE,
    "approved": _Activity.UPDATE,
    "asked": _Activity.READ,
    "begun": _Activity.CREATE,
    "changed": _Activity.UPDATE,
    "compared": _Activity.READ,
    "closed": _Activity.UPDATE,
    "created": _Activity.CREATE,
    "decided": _Activity.READ,
    "disabled": _Activity.UPDATE,
    "enabled": _Activity.UPDATE,
    "dropped": _Activity.DELETE,
    "ended": _Activity.DELETE,
    "evaluated": _Activity.READ,
    "erased": _Activity.DELETE,
    "explained": _Activity.READ,
    "exported": _Activity.READ,
    "given": _Activity.READ,
    "linked": _Activity.UPDATE,
    "listed": _Activity.READ,
    "made": _Activity.CREATE,
    "nested": _Activity.UPDATE,
    "opened": _Activity.READ,
    "placed": _Activity.CREATE,
    "pulled": _Activity.CREATE,
    "read": _Activity.READ,
    "rebuilt": _Activity.UPDATE,
    "reduced": _Activity.DELETE,
    "removed": _Activity.DELETE,
    "reported": _Activity.READ,
    "restarted": _Activity.UPDATE,
    "restored": _Activity.UPDATE,
    "retrieved": _Activity.READ,
    "revealed": _Activity.READ,
    "revoked": _Activity.DELETE,
    "resealed": _Activity.UPDATE,
    "rotated": _Activity.UPDATE,
    "selected": _Activity.UPDATE,
    "sent": _Activity.READ,
    "unlocked": _Activity.UPDATE,
    "unnested": _Activity.UPDATE,
    "verified": _Activity.READ,
}
"""The activity that the last word of an event's kind stands for; all others are `OTHER`."""
_READ, _SEARCH = 2, 5
_INSTALL, _START, _STOP, _UPDATE = 1, 3, 4, 8
_GENERAL_ERROR = 1
_OTHER_CLASSES: Mapping[str, tuple[Class, int]] = {
    "answer:failed": (Class.APPLICATION_ERROR, _GENERAL_ERROR),
    "answer:unknown": (Class.APPLICATION_ERROR, _GENERAL_ERROR),
    "clock:behind": (Class.APPLICATION_ERROR, _GENERAL_ERROR),
    "conversation:read": (Class.WEB_RESOURCES, _READ),
    "directory:failed": (Class.APPLICATION_ERROR, _GENERAL_ERROR),
    "erasure:begun": (Class.API, _Activity.DELETE),
    "home:created": (Class.APPLICATION_LIFECYCLE, _INSTALL),
    "home:parts-made": (Class.APPLICATION_LIFECYCLE, _INSTALL),
    "investigation:opened": (Class.API, _Activity.CREATE),
    "model:promoted": (Class.APPLICATION_LIFECYCLE, _UPDATE),
    "model:pulled": (Class.APPLICATION_LIFECYCLE, _INSTALL),
    "model:rolled-back": (Class.APPLICATION_LIFECYCLE, _UPDATE),
    "model:selected": (Class.APPLICATION_LIFECYCLE, _UPDATE),
    "passages:retrieved": (Class.WEB_RESOURCES, _SEARCH),
    "policy:changed": (Class.APPLICATION_LIFECYCLE, _UPDATE),
    "policy:refused": (Class.APPLICATION_ERROR, _GENERAL_ERROR),
    "service:started": (Class.APPLICATION_LIFECYCLE, _START),
    "service:stopped": (Class.APPLICATION_LIFECYCLE, _STOP),
    "sync:failed": (Class.APPLICATION_ERROR, _GENERAL_ERROR),
}
"""Events that are not of API Activity, or whose last word says too little: class, and activity in its counting."""
_FAILURES = {"denied", "failed", "locked", "refused", "unknown"}


def record(entry: Entry, log: str, format_: Format, most_bytes: int | None = None) -> str:
    """An entry of the trail `log` as one line, without its end.

    One of more than `most_bytes` is written without its event, and says so: whoever needs that looks it up by the
    entry's number and hash. Such a record has less than 1,000 bytes.
    """
    write = _WRITERS[format_]
    line = write(entry, log, 0)
    return line if most_bytes is None or len(line) <= most_bytes else write(replace(entry, event={}), log, len(line))


def as_json(entry: Entry, log: str, cut_bytes: int = 0) -> str:
    """Everything an entry holds. A record that was cut had `cut_bytes`, in this format and in the others."""
    return canonical(
        {
            "at": timestamp(entry.at),
            "entry": entry.id,
            "event": entry.event,
            "hash": entry.hash,
            "kind": entry.kind,
            "log": log,
            "seq": entry.seq,
            "writer": entry.writer,
        }
        | ({"truncated_bytes": cut_bytes} if cut_bytes else {})
    )


def as_cef(entry: Entry, log: str, cut_bytes: int = 0) -> str:
    """A record in the Common Event Format; what its dictionary has no key for is in `msg`, as JSON."""
    severity = 5 if is_failure(entry.kind) else 1
    header = ("CEF:0", _VENDOR, _PRODUCT, _VERSION, entry.kind, entry.kind, str(severity))
    extension = {
        "rt": str(_milliseconds(entry.at)),
        "externalId": str(entry.id),
        "deviceExternalId": log,
        "suser": _actor(entry)[:_MOST_NAME_CHARS],
        "duser": str(entry.event.get("user", ""))[:_MOST_NAME_CHARS],
        "outcome": "failure" if is_failure(entry.kind) else "success",
        "cs1Label": "request",
        "cs1": str(entry.event.get("request", ""))[:_MOST_NAME_CHARS],
        "cs2Label": "hash",
        "cs2": entry.hash,
        "msg": f"truncated_bytes: {cut_bytes}" if cut_bytes else canonical(entry.event)[:_MOST_MESSAGE_CHARS],
    }
    pairs = (f"{key}={_cef_value(value)}" for key, value in extension.items() if value)
    return "|".join((header[0], *map(_cef_header, header[1:]), " ".join(pairs)))


def as_ocsf(entry: Entry, log: str, cut_bytes: int = 0) -> str:
    """An event of Application Activity; what its class has no attribute for is `unmapped`."""
    class_, activity = ocsf_class(entry.kind)
    failed = is_failure(entry.kind)
    actor, request = _actor(entry), str(entry.event.get("request", ""))
    metadata: dict[str, Any] = {
        "event_code": entry.kind,
        "log_name": log,
        "original_time": timestamp(entry.at),
        "product": {"name": _PRODUCT, "vendor_name": _VENDOR, "version": _VERSION},
        "sequence": entry.id,
        "uid": entry.hash,
        "version": _OCSF_VERSION,
    }
    if request:
        metadata["correlation_uid"] = request
    if class_ is not Class.API:
        metadata["profiles"] = ["host"]  # What gives the other classes their actor.
    if cut_bytes:
        metadata |= {"is_truncated": True, "untruncated_size": cut_bytes}
    return canonical(
        {
            "activity_id": int(activity),
            "actor": {"user": {"uid": actor}} if actor else {"app_name": _PRODUCT},
            "category_uid": _CATEGORY,
            "class_uid": int(class_),
            "metadata": metadata,
            "severity_id": 3 if failed else 1,
            "status_id": 2 if failed else 1,
            "time": _milliseconds(entry.at),
            "type_uid": int(class_ * 100 + activity),
            "unmapped": entry.event,
        }
        | _of_class(class_, entry, request)
    )


def ocsf_class(kind: str) -> tuple[Class, int]:
    """The class of OCSF that events of a kind belong to, and which of its activities they are."""
    return _OTHER_CLASSES.get(kind) or (Class.API, int(_BY_VERB.get(_verb(kind), _Activity.OTHER)))


def is_failure(kind: str) -> bool:
    """Whether events of a kind say that something was refused or went wrong."""
    return _verb(kind) in _FAILURES


def _of_class(class_: Class, entry: Entry, request: str) -> dict[str, Any]:
    """What a class asks for beyond what all have."""
    match class_:
        case Class.API:
            return {
                "api": {"operation": entry.kind} | ({"request": {"uid": request}} if request else {}),
                "resources": _documents(entry),
                "src_endpoint": {"name": str(entry.event.get("network", "")) or "unknown"},
            }
        case Class.WEB_RESOURCES:
            conversation = str(entry.event.get("conversation", ""))
            conversations = [{"type": "conversation", "uid": conversation}] if conversation else []
            return {"web_resources": [*_documents(entry), *conversations]}
        case Class.APPLICATION_LIFECYCLE:
            return {"app": {"name": str(entry.event.get("model", "")) or _PRODUCT}}
        case Class.APPLICATION_ERROR:
            detail = str(entry.event.get("error", "") or entry.event.get("reason", ""))
            return {"status_detail": detail} if detail else {}


def _verb(kind: str) -> str:
    return kind.rpartition(":")[2].rpartition("-")[2]


def _actor(entry: Entry) -> str:
    """Who acted: `principal` or, in administration, `by`."""
    return str(entry.event.get("principal") or entry.event.get("by") or "")


def _documents(entry: Entry) -> list[dict[str, str]]:
    found = entry.event.get("documents") or entry.event.get("cited") or []
    found = found if isinstance(found, list | tuple) else []  # Elsewhere it is how many.
    return [{"type": "document", "uid": document} for document in dict.fromkeys(map(str, found))]


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _cef_header(value: str) -> str:
    return _in_ascii(value).replace("|", "\\|").replace("\n", " ").replace("\r", " ")


def _cef_value(value: str) -> str:
    return _in_ascii(value).replace("=", "\\=").replace("\n", "\\n").replace("\r", "\\r")


def _in_ascii(value: str) -> str:
    r"""The text with backslashes doubled, and everything but printable ASCII and line ends as JSON escapes it."""
    escaped = (sign if " " <= sign <= "~" or sign in "\r\n" else canonical(sign)[1:-1] for sign in value)
    return "".join(escaped).replace("\\", "\\\\")


_WRITERS: Mapping[Format, Callable[[Entry, str, int], str]] = {
    Format.CEF: as_cef,
    Format.JSON: as_json,
    Format.OCSF: as_ocsf,
}
