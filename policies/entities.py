"""How principals and labels are told to Cedar, as its JSON. Names are data here, never policy text.

Groups need no entities of their own, and users that labels name neither. Sets drop duplicates, which would turn every
decision of a call into none. An empty name is a mistake at the source: it allows nobody, but still denies.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from policies.labels import Label
from policies.principals import Principal, PrincipalKind
from policies.sources import OwnedSource

Uid = dict[str, str]
"""An entity's type and id. The form with both apart takes any id; the form as one text would have to be escaped."""

SYSTEM: Uid = {"type": "System", "id": "muniment"}
_DIGESTS = 4096
"""Digests remembered: making one takes as long as a fifth of a decision."""
_TYPES = {PrincipalKind.ANONYMOUS: "Anonymous", PrincipalKind.SERVICE: "Service", PrincipalKind.USER: "User"}


def uid(type_: str, id_: str) -> Uid:
    """The name of an entity."""
    return {"type": type_, "id": id_}


def reference(named: Uid) -> dict[str, Uid]:
    """An entity as the value of an attribute."""
    return {"__entity": named}


def principal_uid(principal: Principal) -> Uid:
    """A principal's name; a user and a service of the same name are two."""
    return uid(_TYPES[principal.kind], principal.id)


def principal_entity(principal: Principal) -> dict[str, Any]:
    """A principal with its groups and roles; whoever is anonymous has neither."""
    groups = [uid("Group", name) for name in sorted(principal.groups)]
    roles = [uid("Role", role.value) for role in sorted(principal.roles)]
    return {
        "uid": principal_uid(principal),
        "attrs": {"active": principal.active and bool(principal.id)},
        "parents": [] if principal.kind is PrincipalKind.ANONYMOUS else groups + roles,
    }


def label_uid(label: Label) -> Uid:
    """A label's name: equal labels are one."""
    return uid("Label", _digest(label))


@lru_cache(_DIGESTS)
def _digest(label: Label) -> str:
    return label.digest


def label_entity(label: Label) -> dict[str, Any]:
    """A label with whom it names."""
    return {
        "uid": label_uid(label),
        "attrs": {
            "allow_groups": _references("Group", label.allow_groups - {""}),
            "allow_users": _references("User", label.allow_users - {""}),
            "classification": reference(uid("Classification", label.classification.value)),
            "deny_groups": _references("Group", label.deny_groups),
            "deny_users": _references("User", label.deny_users),
            "source": reference(uid("Source", label.source)),
        },
        "parents": [],
    }


def source_entity(source: OwnedSource) -> dict[str, Any]:
    """A source with its owners. Labels name their source without these: reading is not decided by who owns it."""
    return {
        "uid": uid("Source", source.name),
        "attrs": {
            "owner_groups": _references("Group", source.owner_groups - {""}),
            "owner_users": _references("User", source.owner_users - {""}),
        },
        "parents": [],
    }


def _references(type_: str, names: Iterable[str]) -> list[dict[str, Uid]]:
    return [reference(uid(type_, name)) for name in sorted(names)]
