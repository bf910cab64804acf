import dataclasses

import pytest

from policies.principals import ANONYMOUS, Principal, PrincipalKind, Role


def test_whoever_presents_nothing_has_neither_roles_nor_groups() -> None:
    assert ANONYMOUS.kind is PrincipalKind.ANONYMOUS
    assert ANONYMOUS.roles == frozenset()
    assert ANONYMOUS.groups == frozenset()


def test_a_user_is_an_active_employee_unless_said_otherwise() -> None:
    user = Principal("ada")
    assert user.active
    assert user.roles == {Role.EMPLOYEE}
    assert user.kind is PrincipalKind.USER


def test_a_principal_cannot_be_changed_after_it_was_made() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Principal("ada").active = False  # type: ignore[misc]


@pytest.mark.parametrize(
    "other",
    [
        Principal("bob", frozenset({"staff"})),
        Principal("ada", frozenset({"staff", "board"})),
        Principal("ada", frozenset({"staff"}), frozenset({Role.AUDITOR})),
        Principal("ada", frozenset({"staff"}), kind=PrincipalKind.SERVICE),
        Principal("ada", frozenset({"staff"}), active=False),
    ],
)
def test_principals_that_differ_in_anything_are_not_equal(other: Principal) -> None:
    """Access filters are remembered by principal: two that may differ in rights must never be one."""
    assert Principal("ada", frozenset({"staff"})) != other
