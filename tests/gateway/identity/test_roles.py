"""Roles that exclude each other, and what none of them gives."""

import itertools

import pytest

from gateway.errors import ConflictError
from policies.authorizer import RequestContext
from policies.principals import SEPARATE_ROLES, Role
from tests.gateway.conftest import World, recorded


def test_nobody_is_both_auditor_and_operator(world: World) -> None:
    before = world.services.users.listed()
    for size in range(2, len(Role) + 1):
        for roles in map(frozenset, itertools.combinations(Role, size)):
            if roles >= SEPARATE_ROLES:
                with pytest.raises(ConflictError, match=r"AU-9\(4\)"):
                    world.services.users.add({"olga": frozenset()}, roles, by="test")
    assert world.services.users.listed() == before
    assert not [entry for entry in recorded(world, "user:added") if {"auditor", "operator"} <= set(entry["roles"])]


def test_other_roles_go_together(world: World) -> None:
    together = frozenset({Role.OPERATOR, Role.EMPLOYEE, Role.MONITOR, Role.SOURCE_OWNER})
    world.services.users.add({"olga": frozenset()}, together, by="test")
    assert world.services.users.principal("olga").roles == together


@pytest.mark.parametrize("role", Role)
def test_no_role_reads_a_document_by_itself(world: World, role: Role) -> None:
    world.services.users.add({"newcomer": frozenset()}, frozenset({role}), by="test")
    principal = world.services.users.principal("newcomer")
    assert not world.services.retriever.access(principal, RequestContext()).label_ids
