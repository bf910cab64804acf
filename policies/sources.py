"""Sources as rules see them: a name, and who looks after it. Owning a source is not reading its documents."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OwnedSource:
    """A configured source with its owners: users by name, and groups whose members all are.

    An owner also needs a role that the rules give something to; the shipped ones ask for `source-owner`.
    """

    name: str
    owner_groups: frozenset[str] = frozenset()
    owner_users: frozenset[str] = frozenset()
