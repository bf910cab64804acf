"""Entries of the trail as other systems read them: JSON lines, CEF and OCSF, one ASCII line each.

Every line is built from values, never from text with values in it, and holds no sign that could end it: whatever a
field holds, an entry is one record, and no record is anything but an entry.

CEF: ArcSight Common Event Format, implementation standard, version 0. OCSF: version 1.6.0, class API Activity (6003) of
the category Application Activity (6).
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import IntEnum, StrEnum

from policies.audit.chain import canonical, timestamp
from policies.audit.reader import Entry

_VENDOR, _PRODUCT, _VERSION = "Muniment", "Muniment", "1"
_OCSF_VERSION = "1.6.0"
_CATEGORY, _CLASS = 6, 6003
_MOST_NAME_CHARS = 255
_MOST_MESSAGE_CHARS = 1023
"""What CEF's dictionary allows a user's name, and `msg`."""


class Format(StrEnum):
    """The formats that entries can be written in."""

    CEF = "cef"
    JSON = "json"
    OCSF = "ocsf"


class _Activity(IntEnum):
    """What OCSF's API Activity knows."""

    CREATE = 1
    READ = 2
    UPDATE = 3
    DELETE = 4
    OTHER = 99


_BY_VERB = {
    "added": _Activity.CREATE,
    "asked": _Activity.READ,
    "begun": _Activity.CREATE,
    "changed": _Activity.UPDATE,
    "created": _Activity.CREATE,
    "disabled": _Activity.UPDATE,
    "enabled": _Activity.UPDATE,
    "ended": _Activity.DELETE,
    "explained": _Activity.READ,
    "given": _Activity.READ,
    "linked": _Activity.UPDATE,
    "listed": _Activity.READ,
    "nested": _Activity.UPDATE,
    "made": _Activity.CREATE,
    "placed": _Activity.CREATE,
    "pulled": _Activity.CREATE,
    "read": _Activity.READ,
    "removed": _Activity.DELETE,
    "retrieved": _Activity.READ,
    "revealed": _Activity.READ,
    "revoked": _Activity.DELETE,
    "selected": _Activity.UPDATE,
    "unlocked": _Activity.UPDATE,
    "unnested": _Activity.UPDATE,
}
"""The activity that the last word of an event's kind stands for; all others are `OTHER`."""
_FAILURES = {"denied", "failed", "locked", "refused"}


def record(entry: Entry, log: str, format_: Format) -> str:
    """An entry of the trail `log` as one line, without its end."""
    return _WRITERS[format_](entry, log)


def as_json(entry: Entry, log: str) -> str:
    """Everything an entry holds."""
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
    )


def as_cef(entry: Entry, log: str) -> str:
    """A record in the Common Event Format; what its dictionary has no key for is in `msg`, as JSON."""
    severity = 5 if _failed(entry) else 1
    header = ("CEF:0", _VENDOR, _PRODUCT, _VERSION, entry.kind, entry.kind, str(severity))
    extension = {
        "rt": str(_milliseconds(entry.at)),
        "externalId": str(entry.id),
        "deviceExternalId": log,
        "suser": _actor(entry)[:_MOST_NAME_CHARS],
        "duser": str(entry.event.get("user", ""))[:_MOST_NAME_CHARS],
        "outcome": "failure" if _failed(entry) else "success",
        "cs1Label": "request",
        "cs1": str(entry.event.get("request", "")),
        "cs2Label": "hash",
        "cs2": entry.hash,
        "msg": canonical(entry.event)[:_MOST_MESSAGE_CHARS],
    }
    pairs = (f"{key}={_cef_value(value)}" for key, value in extension.items() if value)
    return "|".join((header[0], *map(_cef_header, header[1:]), " ".join(pairs)))


def as_ocsf(entry: Entry, log: str) -> str:
    """An event of the class API Activity; what the class has no attribute for is `unmapped`."""
    activity = _activity(entry)
    failed = _failed(entry)
    actor, request = _actor(entry), str(entry.event.get("request", ""))
    metadata = {
        "event_code": entry.kind,
        "log_name": log,
        "original_time": timestamp(entry.at),
        "product": {"name": _PRODUCT, "vendor_name": _VENDOR, "version": _VERSION},
        "sequence": entry.id,
        "uid": entry.hash,
        "version": _OCSF_VERSION,
    }
    return canonical(
        {
            "activity_id": int(activity),
            "actor": {"user": {"uid": actor}} if actor else {"app_name": _PRODUCT},
            "api": {"operation": entry.kind} | ({"request": {"uid": request}} if request else {}),
            "category_uid": _CATEGORY,
            "class_uid": _CLASS,
            "metadata": metadata | ({"correlation_uid": request} if request else {}),
            "resources": [{"type": "document", "uid": document} for document in _documents(entry)],
            "severity_id": 3 if failed else 1,
            "src_endpoint": {"name": str(entry.event.get("network", "")) or "unknown"},
            "status_id": 2 if failed else 1,
            "time": _milliseconds(entry.at),
            "type_uid": _CLASS * 100 + int(activity),
            "unmapped": entry.event,
        }
    )


def _activity(entry: Entry) -> _Activity:
    return _BY_VERB.get(_verb(entry), _Activity.OTHER)


def _failed(entry: Entry) -> bool:
    return _verb(entry) in _FAILURES


def _verb(entry: Entry) -> str:
    return entry.kind.rpartition(":")[2].rpartition("-")[2]


def _actor(entry: Entry) -> str:
    """Who acted: `principal` or, in administration, `by`."""
    return str(entry.event.get("principal") or entry.event.get("by") or "")


def _documents(entry: Entry) -> list[str]:
    found = entry.event.get("documents") or entry.event.get("cited") or []
    return list(dict.fromkeys(map(str, found)))


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


_WRITERS: Mapping[Format, Callable[[Entry, str], str]] = {
    Format.CEF: as_cef,
    Format.JSON: as_json,
    Format.OCSF: as_ocsf,
}
