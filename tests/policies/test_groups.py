"""Nested groups become flat, whatever shape they have, or nobody gets anything."""

import pytest

from gateway.errors import translate
from policies.errors import TooManyGroupsError
from policies.groups import MOST_GROUPS, effective_groups


def test_a_group_brings_the_groups_it_is_in_and_no_others() -> None:
    parents = {"payroll": ["finance"], "finance": ["staff"], "legal": ["staff"], "staff": []}
    assert effective_groups(["payroll"], parents) == {"payroll", "finance", "staff"}
    assert effective_groups(["staff"], parents) == {"staff"}, "a group does not bring its members"
    assert effective_groups([], parents) == frozenset()


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ({"a": ["a"]}, {"a"}),
        ({"a": ["b"], "b": ["a"]}, {"a", "b"}),
        ({"a": ["b"], "b": ["c"], "c": ["b", "d"]}, {"a", "b", "c", "d"}),
        ({"a": ["b", "b", "b"], "b": ("c",)}, {"a", "b", "c"}),
        ({"a": frozenset({"ghost"})}, {"a", "ghost"}),
        ({"A": ["b"], "a ": ["c"], "a\u0301": ["d"], "": ["e"]}, {"a"}),
        ({"b": ["a"]}, {"a"}),
        ({}, {"a"}),
    ],
    ids=["self", "pair", "cycle", "duplicates", "ghost", "look-alikes", "member", "nothing"],
)
def test_odd_shapes_are_no_errors(parents: dict[str, list[str]], expected: set[str]) -> None:
    assert effective_groups(["a", "a"], parents) == expected


def test_depth_is_no_problem() -> None:
    chain = {str(number): [str(number + 1)] for number in range(MOST_GROUPS - 1)}
    assert len(effective_groups(["0"], chain)) == MOST_GROUPS


def test_the_number_of_paths_is_no_problem() -> None:
    """Layers of ten groups, each in all of the next: 10 to the 50th paths."""
    layers = {f"{layer}/{n}": [f"{layer + 1}/{m}" for m in range(10)] for layer in range(50) for n in range(10)}
    assert len(effective_groups(["0/0"], layers)) == 1 + 50 * 10


def test_too_many_groups_are_refused_and_never_cut_short() -> None:
    wide = {"a": [str(number) for number in range(MOST_GROUPS)]}
    with pytest.raises(TooManyGroupsError, match="is denied everything"):
        effective_groups(["a"], wide)
    assert len(effective_groups(["a"], {"a": wide["a"][1:]})) == MOST_GROUPS
    with pytest.raises(TooManyGroupsError):
        effective_groups((str(number) for number in range(10**9)), {})


def test_too_many_groups_are_told_from_outside_as_a_policy_that_failed() -> None:
    row = translate(TooManyGroupsError("secret names"))
    assert row is not None
    assert (row.code, row.status) == ("policy_failed", 500)
    assert row.public is not None


@pytest.mark.parametrize(("direct", "parents"), [("staff", {}), (["a"], {"a": "staff"})])
def test_a_name_is_not_taken_for_its_letters(direct: object, parents: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="staff"):
        effective_groups(direct, parents)  # type: ignore[arg-type]
