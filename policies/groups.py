"""Nested groups: from the groups somebody is named in to every group these belong to.

Pure; where groups are stored is the gateway's (`gateway/identity/memberships.py`). Cedar is told of the result and
never of the nesting: a cycle among its entities would turn every decision about them into none; see
`policies/entities.py`.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from policies.errors import TooManyGroupsError

MOST_GROUPS = 2_000
"""Groups one principal may be in, nested ones included: twice what a Windows logon carries (1,015). With so many, Cedar
decided on 40 labels in 18 ms; with 10,000 it took 74 ms, at each request that finds no filter remembered."""


def effective_groups(
    direct: Iterable[str], parents: Mapping[str, Collection[str]], most: int = MOST_GROUPS
) -> frozenset[str]:
    """Every group that a principal in the groups `direct` is in, where `parents` names the groups a group is in.

    Names are compared as they are. Cycles, self-loops, duplicates and groups without an entry in `parents` are no
    errors; a group is looked at once, whatever leads to it, so the work grows with the memberships and not with paths.

    Raises:
        TooManyGroupsError: There are more than `most`. Whoever asks must be denied: with some of the groups left out,
            a label that denies one of those would no longer deny.
        TypeError: One name stands where names are expected; its letters must not be taken for groups.
    """
    found: set[str] = set()
    waiting = [_names(direct)]
    while waiting:
        for name in waiting.pop():
            if name in found:
                continue
            found.add(name)
            if len(found) > most:
                message = (
                    f"Somebody is in more than {most} groups, nested ones included, and is denied everything. "
                    "Look for a group that is in too many others where groups are kept."
                )
                raise TooManyGroupsError(message)
            if name in parents:
                waiting.append(_names(parents[name]))
    return frozenset(found)


def _names(names: Iterable[str]) -> Iterator[str]:
    if isinstance(names, str):
        message = f"the text {names[:40]!r} stands where a collection of group names is expected"
        raise TypeError(message)
    return iter(names)
