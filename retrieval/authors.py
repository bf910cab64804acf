"""Not too much of one author: whoever writes many passages to answer one question does not fill the result with them.

Pure: it depends on the passages that compete, in their order, and on nothing else there is.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from math import floor
from typing import TypeVar

_Item = TypeVar("_Item")
Fits = Callable[[_Item, Sequence[_Item]], bool]
"""Answers: may this one join those that were taken?"""


def author_key(source: str, author: str) -> Hashable | None:
    """Who wrote a document: a name counts within its source. None where the source does not say.

    Such a passage is not limited: counted by its document it would cost answers that stand in one long document, and
    stop nobody, who can write many.
    """
    name = " ".join(author.casefold().split())
    return (source, name) if name else None


def take(
    items: Sequence[_Item],
    most: int,
    share: float,
    author: Callable[[_Item], Hashable | None],
    fits: "Fits[_Item]" = lambda _item, _taken: True,
) -> list[_Item]:
    """The first items, at most so many, in their order; of one author at most `share` of `most`, and one in any case.

    Where others have too little, everybody may have one more until the result is full: a cap must not cost an answer.
    """
    taken: dict[int, _Item] = {}
    counts: Counter[Hashable | None] = Counter()
    for limit in range(max(1, floor(share * most)), most + 1):
        for place, item in enumerate(items):
            if len(taken) == most:
                return _in_order(taken)
            who = author(item)
            if place in taken or (who is not None and counts[who] >= limit):
                continue
            if fits(item, list(taken.values())):
                taken[place] = item
                counts[who] += 1
    return _in_order(taken)


def _in_order(taken: Mapping[int, _Item]) -> list[_Item]:
    return [taken[place] for place in sorted(taken)]
