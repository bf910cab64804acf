"""Who is asking: users and services, as every other folder sees them.

Where principals come from (keys, sessions, directories) is the gateway's business.
"""

from dataclasses import dataclass
from enum import StrEnum


class PrincipalKind(StrEnum):
    """What sort of actor a principal is."""

    ANONYMOUS = "anonymous"
    SERVICE = "service"
    USER = "user"


class Role(StrEnum):
    """What a principal may do besides reading; no role reads documents by itself."""

    AUDITOR = "auditor"
    EMPLOYEE = "employee"
    MONITOR = "monitor"
    OPERATOR = "operator"
    PROVISIONER = "provisioner"
    SOURCE_OWNER = "source-owner"


SEPARATE_ROLES = frozenset({Role.AUDITOR, Role.OPERATOR})
"""Nobody has both: whoever runs the system does not also judge the record of it (NIST SP 800-53, AU-9(4))."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user or service, with the groups that give it access.

    `active` is false for somebody who has left: nothing is allowed to them, whatever a label still says.
    """

    id: str
    groups: frozenset[str] = frozenset()
    roles: frozenset[Role] = frozenset({Role.EMPLOYEE})
    kind: PrincipalKind = PrincipalKind.USER
    active: bool = True


ANONYMOUS = Principal(id="anonymous", roles=frozenset(), kind=PrincipalKind.ANONYMOUS)
"""Whoever presents no valid credentials."""
